"""``fit``, ``validate``, ``test`` and ``predict``: what each does with what ``build.py`` has built."""

import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from fashion_lightning import __version__
from fashion_lightning.callbacks.predictions import PredictionsCSV, csv_output, print_best
from fashion_lightning.callbacks.stop_on_signal import Interrupted
from fashion_lightning.cli.arguments import complete
from fashion_lightning.cli.build import FashionMNISTCLI
from fashion_lightning.cli.memory import OUT_OF_MEMORY, is_out_of_memory, keep_freed_memory
from fashion_lightning.cli.messages import silence_what_is_not_news
from fashion_lightning.cli.report import (
    evaluation_metrics,
    print_evaluation,
    print_fit,
    print_start,
    write_evaluation,
    write_json,
)
from fashion_lightning.cli.threads import keep_threads
from fashion_lightning.errors import UserError, place_in_own_code
from fashion_lightning.runs.continuing import report_of
from fashion_lightning.runs.folder import discard_run
from fashion_lightning.runs.results import has_report
from fashion_lightning.runs.tensorboard import log_test_metrics
from fashion_lightning.seeding import run_seed
from fashion_lightning.tta import IN_WORDS, suffix


def run(arguments: list[str], began: float) -> None:
    """Run ``fit``, ``validate``, ``test`` or ``predict``, which began at this ``time.monotonic()``."""
    silence_what_is_not_news()
    completed = complete(arguments)
    checkpoint = completed.checkpoint
    try:
        COMMANDS[completed.command](FashionMNISTCLI(completed, began))
    except UserError as error:
        if checkpoint is None or checkpoint.version == __version__:
            raise
        versions = f"fashion-lightning {checkpoint.version}, this is {__version__}"
        raise UserError(f"{error} ({checkpoint.path} was written by {versions}.)") from error
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # its threads may else abort the process at its end


def fit(cli: FashionMNISTCLI) -> None:
    """Train, or go on training; then say what came of it and what to do next."""
    if cli.checkpoint is not None and cli.finished:
        print(cli.finished)
        if cli.checkpoint.in_place and cli.run_dir and not has_report(cli.run_dir):
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
        _start(cli)
    except (UserError, OSError) as error:
        kept = f" The last good checkpoint: {_last_of(cli)}" if _last_of(cli) else ""
        _discard_if_empty(cli)
        raise UserError(f"{error}{kept}") from error
    except SystemExit:  # a signal before the first step
        _discard_if_empty(cli)
        raise
    except Interrupted as interrupted:
        if cli.run_dir is not None:
            print(f"Interrupted. Continue with: fashion-lightning fit --ckpt_path {cli.run_dir}")
        raise SystemExit(interrupted.exit_code) from None
    if cli.run_dir is not None and cli.trainer.is_global_zero:
        first_step = cli.timer.start_time("train")
        metrics = {
            "epochs": cli.trainer.current_epoch,
            "steps": cli.trainer.global_step,
            "fit_seconds": cli.timer.time_elapsed("train"),
            "start_seconds": None if first_step is None else first_step - cli.began,
            "best": cli.config_init["best_checkpoint"].best_metrics,
            "last": cli.run_config.latest_metrics(cli.trainer),
        }
        _report_fit(cli, cli.run_dir, metrics)


def _start(cli: FashionMNISTCLI) -> None:
    """Hand over to the Trainer's method of this command."""
    keep_freed_memory()
    start = getattr(cli.trainer, cli.command)
    # Only `fit` restores more than weights, which the model has already.
    path = str(cli.checkpoint.path) if cli.checkpoint is not None and cli.command == "fit" else None
    verbosity = {"verbose": False} if cli.command in ("validate", "test") else {}
    try:
        start(cli.model, datamodule=cli.datamodule, ckpt_path=path, weights_only=True, **verbosity)
    except MisconfigurationException as error:
        raise UserError(str(error)) from error
    except (UserError, OSError):
        raise
    except Exception as error:  # whatever a network or an optimizer of the user's raises within a step
        if is_out_of_memory(error):
            raise UserError(OUT_OF_MEMORY) from error
        what = "Training" if cli.command == "fit" else f"`{cli.command}`"
        reason = f"{what} failed: {type(error).__name__}: {str(error)[:300]}{place_in_own_code(error)}"
        if cli.run_dir is None or _last_of(cli) is None:  # of a fit that failed before its start, nothing stays
            raise UserError(f"{reason}. FASHION_LIGHTNING_DEBUG=1 shows the whole traceback.") from error
        details = cli.run_dir / "traceback.txt"
        details.write_text(traceback.format_exc(), encoding="utf-8")
        raise UserError(f"{reason} The whole traceback is in {details}.") from error


def _last_of(cli: FashionMNISTCLI) -> Path | None:
    """What a fit that ends early can be continued from."""
    last = cli.run_dir / "checkpoints" / "last.ckpt" if cli.run_dir and cli.command == "fit" else None
    return last if last and last.is_file() else None


def _discard_if_empty(cli: FashionMNISTCLI) -> None:
    """Leave no folder of a new run that came to nothing."""
    if cli.run_dir is not None and cli.run_dir_is_new and _last_of(cli) is None:
        discard_run(cli.run_dir)


def _report_fit(cli: FashionMNISTCLI, run_dir: Path, metrics: dict[str, Any]) -> None:
    parameters = sum(p.numel() for p in cli.model.network.parameters())
    report = {"recipe": cli.name, "seed": run_seed(), "parameters": parameters, **metrics}
    write_json(run_dir / "fit.json", report)
    print_fit(run_dir, report)


def validate(cli: FashionMNISTCLI) -> None:
    """Measure a checkpoint on the validation images."""
    _evaluate(cli, "validation")


def test(cli: FashionMNISTCLI) -> None:
    """Measure a checkpoint on the test images."""
    _evaluate(cli, "test")


def _evaluate(cli: FashionMNISTCLI, images: str) -> None:
    assert cli.checkpoint is not None  # command.py sees to it
    _start(cli)
    if not cli.model.evaluations:
        raise UserError(f"There was nothing to {cli.command}: a trainer.limit_ setting left no image.")
    if not cli.trainer.is_global_zero:
        return
    measured = {tta: evaluation_metrics(evaluation) for tta, evaluation in cli.model.evaluations.items()}
    for tta, metrics in measured.items():
        print_evaluation(f"{cli.checkpoint.path} on the {images} images{IN_WORDS[tta]}", metrics)
    try:
        for tta, metrics in measured.items():
            if cli.command == "test" and cli.run_dir is not None:
                log_test_metrics(cli.run_dir, f"test{suffix(tta)}", metrics, cli.checkpoint.steps_done - 1)
            path = _beside(cli, f"{cli.command}_{cli.checkpoint.path.stem}{suffix(tta)}.json")
            write_evaluation(path, cli.checkpoint, tta, metrics)
    except OSError as error:  # not 0: whoever reads the file next would read metrics of another checkpoint
        place = cli.run_dir or cli.checkpoint.path.parent
        raise UserError(f"The metrics above could not be written to {place} ({error.strerror}).") from error


def predict(cli: FashionMNISTCLI) -> None:
    """Write classes and probabilities of the test images, or of the user's own, as CSV."""
    output = cli.config["output"]
    default = "predictions_images.csv" if cli.datamodule.pictures else "predictions.csv"
    path = _beside(cli, default) if output is None else csv_output(output)
    writer = PredictionsCSV(path, cli.datamodule)
    cli.trainer.callbacks.append(writer)  # type: ignore[attr-defined]
    _start(cli)
    if cli.trainer.is_global_zero:
        if cli.datamodule.picture_paths:
            print_best(writer)
        print(f"{len(writer.rows):,} predictions written to {path}")
    if broken := cli.datamodule.broken_pictures:
        if cli.trainer.is_global_zero:
            print(*(f"skipped: {line}" for line in broken), sep="\n", file=sys.stderr)
        raise UserError(f"{len(broken):,} of {len(broken) + len(cli.datamodule.picture_paths):,} files were skipped.")


def _beside(cli: FashionMNISTCLI, name: str) -> Path:
    """A file in the run folder, or beside a checkpoint that lies elsewhere."""
    assert cli.checkpoint is not None
    return (cli.run_dir or cli.checkpoint.path.parent) / name


COMMANDS = {"fit": fit, "validate": validate, "test": test, "predict": predict}
