"""A job of a real SLURM that is signalled, requeued and continued: it ends with the same weights."""

import os
import shlex
import time
from pathlib import Path

import pytest

from tests import kills, slurm
from tests.conftest import RUN

JOB = f"""#!/bin/bash
#SBATCH --ntasks=2 --requeue --open-mode=append --output=log.txt
which="--config tiny.yaml"
if [ -e {RUN}/checkpoints/last.ckpt ]; then which="--ckpt_path {RUN}"; fi
srun PROGRAM fit $which --trainer.devices=2
code=$?
echo "ended with $code"
if [ $code -gt 128 ]; then scontrol requeue $SLURM_JOB_ID; fi
"""


def wait_for(log: Path, text: str, times: int) -> None:
    """Wait until a log holds a text so many times. A job that was requeued starts at once, not in two minutes."""
    deadline = time.monotonic() + 300
    while not log.exists() or log.read_text().count(text) < times:
        assert time.monotonic() < deadline, log.exists() and log.read_text()
        for job in slurm.run("squeue", "-h", "-t", "PENDING", "-o", "%i").split():
            slurm.run("scontrol", "update", f"jobid={job}", "starttime=now")
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.skipif(slurm.MISSING, reason=slurm.REASON)
@pytest.mark.skipif("FASHION_LIGHTNING_SLURM" not in os.environ, reason="takes minutes; set FASHION_LIGHTNING_SLURM=1")
def test_a_job_that_is_signalled_and_requeued_ends_with_the_same_weights(
    recipe: Path, command_on_generated_data: list[str]
) -> None:
    recipe.write_text(recipe.read_text().replace("max_epochs: 2", "max_epochs: 40"))
    Path("job.sh").write_text(JOB.replace("PROGRAM", shlex.join(command_on_generated_data)))
    with slurm.cluster():
        jobs = {}
        for folder in (Path("undisturbed"), Path("signalled")):
            folder.mkdir()
            for name in ("tiny.yaml", "data"):
                (folder / name).symlink_to(Path(name).absolute())
            jobs[folder] = slurm.run("sbatch", "--parsable", f"--chdir={folder.absolute()}", "job.sh")
        log = folder / "log.txt"
        for number, signal in enumerate(("TERM", "USR1"), 1):
            wait_for(log, "Run folder", number)
            time.sleep(1)
            slurm.run("scancel", f"--signal={signal}", jobs[folder])
            wait_for(log, "ended with", number)
        for folder in jobs:
            wait_for(folder / "log.txt", "ended with 0", 1)
    endings = [line for line in log.read_text().splitlines() if line.startswith("ended with")]
    assert endings == ["ended with 143", "ended with 138", "ended with 0"]
    assert [path.name for path in Path("signalled/tensorboard_logs").iterdir()] == ["tiny"]  # no hpc_ckpt_1.ckpt
    assert kills.fingerprint("signalled" / RUN) == kills.fingerprint("undisturbed" / RUN)
