"""Jobs of a real SLURM: one is signalled, requeued and ends with the same weights; an array works on one sweep."""

import os
import shlex
import time
from pathlib import Path

import pytest

from tests import kills, postgresql, slurm

JOB = """#!/bin/bash
#SBATCH --ntasks=2 --requeue --open-mode=append --output=log.txt
runs=job_$SLURM_JOB_ID    # a requeued job keeps its number
run=$runs/tiny/version_0
if [ -e $run/checkpoints/last.ckpt ]; then which="--ckpt_path $run"; else which="--config tiny.yaml"; fi
srun PROGRAM fit $which --runs $runs --trainer.devices=2
code=$?
echo "ended with $code"
if [ $code -gt 128 ]; then scontrol requeue $SLURM_JOB_ID; fi
"""

EPOCH = "\nepoch "
"""How the line of each epoch begins."""

ARRAY = """#!/bin/bash
#SBATCH --array=0-1 --ntasks=2 --output=log_%a.txt
srun PROGRAM sweep --config tiny.yaml --space space.yaml --trials 4 --storage STORAGE
echo "ended with $?"
"""


def wait_for(log: Path, text: str, times: int) -> None:
    """Wait until a log holds a text so many times. A job that was requeued starts soon, not in two minutes."""
    deadline = time.monotonic() + 300
    while not log.exists() or log.read_text().count(text) < times:
        assert time.monotonic() < deadline, log.exists() and log.read_text()
        for line in slurm.run("squeue", "-h", "-o", "%i %T %r").splitlines():
            if line.endswith("PENDING BeginTime"):
                time.sleep(2)  # within the second in which its first part ended, its credential is taken for revoked
                slurm.run("scontrol", "update", f"jobid={line.split()[0]}", "starttime=now")
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.skipif(slurm.MISSING, reason=slurm.REASON)
@pytest.mark.skipif("FASHION_LIGHTNING_SLURM" not in os.environ, reason="takes minutes; set FASHION_LIGHTNING_SLURM=1")
def test_a_job_that_is_signalled_and_requeued_ends_with_the_same_weights(
    recipe: Path, command_on_generated_data: list[str]
) -> None:
    recipe.write_text(recipe.read_text().replace("max_epochs: 2", "max_epochs: 20"))
    Path("job.sh").write_text(JOB.replace("PROGRAM", shlex.join(command_on_generated_data)))
    with slurm.cluster():
        jobs = {}
        for folder in (Path("undisturbed"), Path("signalled")):
            folder.mkdir()
            for name in ("tiny.yaml", "data"):
                (folder / name).symlink_to(Path(name).absolute())
            jobs[folder] = slurm.run("sbatch", "--parsable", f"--chdir={folder.absolute()}", "job.sh")
        log = folder / "log.txt"
        wait_for(log, EPOCH, 1)
        for number, signal in enumerate(("TERM", "USR1"), 1):
            wait_for(log, EPOCH, log.read_text().count(EPOCH) + 1)  # it trains now, wherever it went on
            slurm.run("scancel", f"--signal={signal}", jobs[folder])
            wait_for(log, "ended with", number)
        for folder in jobs:
            wait_for(folder / "log.txt", "ended with 0", 1)
    endings = [line for line in log.read_text().splitlines() if line.startswith("ended with")]
    assert endings == ["ended with 143", "ended with 138", "ended with 0"]
    assert [path.name for path in Path("signalled").glob("job_*/*")] == ["tiny"]  # no hpc_ckpt_1.ckpt
    run, other = (folder / f"job_{job}/tiny/version_0" for folder, job in jobs.items())
    assert kills.fingerprint(run) == kills.fingerprint(other)


@pytest.mark.slow
@pytest.mark.skipif(slurm.MISSING or postgresql.MISSING, reason=f"{slurm.REASON}; {postgresql.REASON}")
@pytest.mark.skipif("FASHION_LIGHTNING_SLURM" not in os.environ, reason="takes minutes; set FASHION_LIGHTNING_SLURM=1")
@pytest.mark.usefixtures("recipe")
def test_the_tasks_of_a_job_array_work_at_one_sweep(command_on_generated_data: list[str]) -> None:
    Path("space.yaml").write_text("lr: {low: 0.01, high: 0.1}")
    script = ARRAY.replace("PROGRAM", shlex.join(command_on_generated_data))
    with postgresql.server() as server, slurm.cluster():
        Path("job.sh").write_text(script.replace("STORAGE", shlex.quote(server.url("postgres"))))
        slurm.run("sbatch", "job.sh")
        for task in range(2):
            wait_for(Path(f"log_{task}.txt"), "ended with 0", 1)
    assert Path("tensorboard_logs/tiny_sweep/trials.csv").read_text().count(",complete,") == 4
