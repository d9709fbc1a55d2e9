"""``fit``: what it does with what ``build.py`` has built; and which function runs which command."""

import contextlib
import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
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
from fashion_lightning.cli.threads import keep_threads
from fashion_lightning.errors import UserError
from fashion_lightning.processes import is_first_process
from fashion_lightning.runs.continuing import report_of
from fashion_lightning.runs.folder import discard_run
from fashion_lightning.runs.results import has_report
from fashion_lightning.seeding import run_seed


def run(given: Namespace, settings: Sequence[str]) -> None:
    """Run ``fit``, ``validate``, ``test`` or ``predict``."""
    silence_what_is_not_news()
    with contextlib.nullcontext() if is_first_process() else _saying_nothing():
        _run(given, settings)


@contextlib.contextmanager
def _saying_nothing() -> Iterator[None]:
    """Of several processes, the first one says what all would say; errors are any process's own."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _run(given: Namespace, settings: Sequence[str]) -> None:
    try:
        RUNS[given.command](FashionMNISTCLI(complete(given, settings)))
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # its threads may else abort the process at its end


def fit(cli: FashionMNISTCLI) -> None:
    """Train, or go on training; then say what came of it and what to do next."""
    if cli.checkpoint is not None and cli.finished:
        print(cli.finished)
        if cli.checkpoint.in_place and cli.run_dir and cli.trainer.is_global_zero and not has_report(cli.run_dir):
            print("Its report is missing or damaged, and is written now.")
            _report_fit(cli, cli.run_dir, report_of(cli.checkpoint))
        return
    if cli.checkpoint is not None and cli.checkpoint.in_place and cli.run_dir is not None:
        keep_threads(cli.run_dir)
    if cli.trainer.is_global_zero:
        print_start(cli.checkpoint, cli.trainer, cli.run_dir, cli.model.make_scheduler is not None)
        if cli.run_dir is not None:
            (cli.run_dir / "fit.json").unlink(missing_ok=True)  # a run that goes on is not finished
    try:
        start(cli)
    except (UserError, OSError) as error:
        if not cli.trainer.is_global_zero:
            raise
        kept = f" The last good checkpoint: {last_of(cli)}" if last_of(cli) else ""
        _discard_if_empty(cli)
        raise UserError(f"{error}{kept}") from error
    except SystemExit:  # a signal before the first step
        _discard_if_empty(cli)
        raise
    except Interrupted as interrupted:
        if not cli.trainer.is_global_zero:
            raise SystemExit(0) from None  # Lightning kills the first process where another has failed
        if cli.run_dir is not None:
            print(f"Interrupted. Continue with: fashion-lightning fit --ckpt_path {cli.run_dir}")
        raise SystemExit(interrupted.exit_code) from None
    if cli.run_dir is not None and cli.trainer.is_global_zero:
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


def _discard_if_empty(cli: FashionMNISTCLI) -> None:
    """Leave no folder of a new run that came to nothing."""
    if cli.run_dir is not None and cli.run_dir_is_new and cli.trainer.is_global_zero and last_of(cli) is None:
        discard_run(cli.run_dir)


def _report_fit(cli: FashionMNISTCLI, run_dir: Path, metrics: dict[str, Any]) -> None:
    parameters = sum(p.numel() for p in cli.model.network.parameters())
    about = {"recipe": cli.name, "seed": run_seed(), "processes": cli.trainer.world_size, "parameters": parameters}
    report = {**about, **metrics}
    write_json(run_dir / "fit.json", report)
    print_fit(run_dir, report)


RUNS = {"fit": fit, "validate": validate, "test": test, "predict": predict}
