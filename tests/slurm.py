"""A SLURM cluster of one node for a test: on free ports of this machine, its state in a temporary folder."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

MISSING = os.getuid() != 0 or not all(map(shutil.which, ("munged", "slurmctld", "slurmd", "srun", "sbatch")))
"""For a test's ``skipif``."""

REASON = "needs SLURM and root: apt-get install slurmctld slurmd slurm-client munge"

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
StateSaveLocation={folder}
SlurmdSpoolDir={folder}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
AuthType=auth/munge
AuthInfo=socket={folder}/munge
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=8
PartitionName=all Nodes={host} Default=YES
"""
"""Without cgroups, which a container lacks."""

DAEMONS = (
    # On one machine any file can be the key; --force accepts one that other users can read.
    "munged --foreground --force --key-file={folder}/slurm.conf --socket={folder}/munge --pid-file={folder}/munge.pid"
    " --seed-file={folder}/seed --log-file={folder}/munge.log",
    "slurmctld -D",
    "slurmd -D",
)


@contextlib.contextmanager
def cluster() -> Iterator[None]:
    """A cluster that runs, and that SLURM's commands reach within the block."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ports = first.getsockname()[1], second.getsockname()[1]
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(host=socket.gethostname(), ports=ports, folder=folder))
    with mock.patch.dict(os.environ, SLURM_CONF=str(config)), (folder / "log").open("wb") as log:
        daemons = [subprocess.Popen(command.format(folder=folder).split(), stderr=log) for command in DAEMONS]
        try:
            while "idle" not in run("sinfo", "-h", "-o", "%t"):
                time.sleep(0.2)
            yield
        finally:
            run("scancel", "--user=root")
            for daemon in reversed(daemons):
                daemon.terminate()
                daemon.wait()
            shutil.rmtree(folder, ignore_errors=True)


def run(*command: str) -> str:
    """What one of SLURM's commands prints; empty while no daemon answers."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
