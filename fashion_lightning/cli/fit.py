"""``fit``: what it does with what ``build.py`` has built; and which function runs which command."""

import contextlib
import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fashion_lightning.callbacks.stop_on_signal import Interrupted
from fashion_lightning.cli.arguments import complete
from fashion_lightning.cli.build import FashionMNISTCLI
from fashion_lightning.cli.evaluate import test, validate
from fashion_lightning.cli.messages import silence_what_is_not_news
from fashion_lightning.cli.predict import predict
from fashion_lightning.cli.report import print_fit, print_start, write_json
from fashion_lightning.cli.start import last_of, start
from fashion_lightning.errors import UserError
from fashion_lightning.processes import is_first_process
from fashion_lightning.runs.continuing import report_of
from fashion_lightning.runs.folder import discard_run
from fashion_lightning.runs.progress import read_progress
from fashion_lightning.runs.results import has_report
from fashion_lightning.seeding import run_seed


def run(given: Namespace, settings: Sequence[str]) -> None:
    """Run ``fit``, ``validate``, ``test`` or ``predict``.

    Of several processes, the first one says what all would say; errors are any process's own.
    """
    silence_what_is_not_news()
    with contextlib.ExitStack() as stack:
        if not is_first_process():
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(Path(os.devnull).open("w"))))
        try:
            RUNS[given.command](FashionMNISTCLI(complete(given, settings)))
        finally:
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()  # its threads may else abort the process at its end


def fit(cli: FashionMNISTCLI) -> None:
    """Train, or go on training; then say what came of it and what to do next."""
    in_place = cli.checkpoint is not None and cli.checkpoint.in_place
    is_first = cli.trainer.is_global_zero
    if cli.checkpoint is not None and cli.finished:
        print(cli.finished)
        if in_place and cli.run_dir and is_first and not has_report(cli.run_dir):
            print("Its report is missing or damaged, and is written now.")
            _report_fit(cli, cli.run_dir, report_of(cli.checkpoint))
        return
    if in_place and cli.run_dir is not None:
        _keep_threads(cli.run_dir)
    if is_first:
        print_start(cli.checkpoint, cli.trainer, cli.run_dir, cli.model.make_scheduler is not None)
    if is_first and cli.run_dir is not None:
        (cli.run_dir / "fit.json").unlink(missing_ok=True)  # a run that goes on is not finished
    try:
        start(cli)
    except (UserError, OSError, SystemExit) as error:
        last = last_of(cli)
        if is_first and last is None and cli.run_dir is not None and cli.run_dir_is_new:
            discard_run(cli.run_dir)  # leave no folder of a new run that came to nothing
        if isinstance(error, SystemExit) or not is_first:
            raise
        raise UserError(f"{error}{f' The last good checkpoint: {last}' if last else ''}") from error
    except Interrupted as interrupted:
        if not is_first:
            raise SystemExit(0) from None  # Lightning kills the first process where another has failed
        if cli.run_dir is not None:
            print(f"Interrupted. Continue with: fashion-lightning fit --ckpt_path {cli.run_dir}")
        raise SystemExit(interrupted.exit_code) from None
    if cli.run_dir is not None and is_first:
        first_step = cli.timer.start_time("train")
        metrics = {
            "epochs": cli.trainer.current_epoch,
            "steps": cli.trainer.global_step,
            "fit_seconds": cli.timer.time_elapsed("train"),
            "start_seconds": None if first_step is None else first_step - cli.given.began,
            "best": cli.config_init["best_checkpoint"].best_metrics,
            "last": cli.run_config.latest_metrics(cli.trainer),
        }
        _report_fit(cli, cli.run_dir, metrics)


def _report_fit(cli: FashionMNISTCLI, run_dir: Path, metrics: dict[str, Any]) -> None:
    parameters = sum(p.numel() for p in cli.model.network.parameters())
    about = {"recipe": cli.name, "seed": run_seed(), "processes": cli.trainer.world_size, "parameters": parameters}
    report = {**about, **metrics}
    write_json(run_dir / "fit.json", report)
    print_fit(run_dir, report)


def _keep_threads(run_dir: Path) -> None:
    """Compute with as many threads as the run began with, or say that it cannot be.

    The number of threads decides in what order sums are taken, and so their last bits. ``OMP_NUM_THREADS`` wins, as
    whatever the user sets; no file starts more threads than the machine has cores.
    """
    progress = read_progress(run_dir)
    if progress is None or progress.threads in (0, torch.get_num_threads()):
        return
    cores = os.cpu_count() or 1
    if "OMP_NUM_THREADS" not in os.environ and progress.threads <= cores:
        torch.set_num_threads(progress.threads)
        return
    why = "OMP_NUM_THREADS" if progress.threads <= cores else f"this machine has {cores} cores"
    print(
        f"The run began with {progress.threads} threads and goes on with {torch.get_num_threads()} ({why}): the last"
        " bits of its sums, and so its weights, will be others."
    )


RUNS = {"fit": fit, "validate": validate, "test": test, "predict": predict}
