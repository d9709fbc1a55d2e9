"""The number of threads, which decides in what order sums are taken and so their last bits."""

import os
from pathlib import Path

import torch

from fashion_lightning.runs.progress import read_progress


def keep_threads(run_dir: Path) -> None:
    """Compute with as many threads as the run in this folder began with, or say that it cannot be.

    ``OMP_NUM_THREADS`` wins, as whatever the user sets; no file starts more threads than the machine has cores.
    """
    progress = read_progress(run_dir)
    if progress is None or progress.threads in (0, torch.get_num_threads()):
        return
    why = "OMP_NUM_THREADS" if "OMP_NUM_THREADS" in os.environ else ""
    if progress.threads > (os.cpu_count() or 1):  # of another machine, or of a stranger's folder
        why = f"this machine has {os.cpu_count()} cores"
    if not why:
        torch.set_num_threads(progress.threads)
        return
    print(
        f"The run began with {progress.threads} threads and goes on with {torch.get_num_threads()} ({why}): the last"
        " bits of its sums, and so its weights, will be others."
    )
