"""``fit``, ``validate``, ``test`` and ``predict``: what each does with what ``build.py`` has built."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from fashion_lightning import __version__
from fashion_lightning.callbacks.predictions import PredictionsCSV, output_path, print_best
from fashion_lightning.callbacks.preview import preview_path, write_preview
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
from fashion_lightning.report.evaluation_page import Sources, test_page
from fashion_lightning.report.findings import Evaluation, find
from fashion_lightning.report.near_duplicates import near_duplicates
from fashion_lightning.runs.continuing import report_of
from fashion_lightning.runs.durable import replacing
from fashion_lightning.runs.folder import discard_run
from fashion_lightning.runs.origin import read_origin
from fashion_lightning.runs.results import has_report
from fashion_lightning.runs.tensorboard import log_test_metrics
from fashion_lightning.seeding import run_seed
from fashion_lightning.tta import IN_WORDS, TTA, suffix


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


def _start(cli: FashionMNISTCLI, method: str | None = None) -> None:
    """Hand over to the Trainer's method of this command, or to another one."""
    keep_freed_memory()
    start = getattr(cli.trainer, method or cli.command)
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
    return last if last and last.is_file() and not _is_a_copy(cli) else None


def _is_a_copy(cli: FashionMNISTCLI) -> bool:
    """Whether the last checkpoint of a new run is no further than the one that the run began with."""
    first_step = cli.config_init["last_checkpoint"].first_step
    return cli.checkpoint is not None and cli.run_dir_is_new and cli.trainer.global_step == first_step


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
    evaluations = _evaluate(cli, "validation")
    if cli.trainer.is_global_zero:
        with _written(cli, "metrics above"):
            for tta, evaluation in evaluations.items():
                _write_metrics(cli, tta, evaluation_metrics(evaluation))


def test(cli: FashionMNISTCLI) -> None:
    """Measure a checkpoint on the test images, and report on it."""
    evaluations = _evaluate(cli, "test")
    validations, problems = _validate_for_report(cli)  # all processes take part
    if not cli.trainer.is_global_zero:
        return
    assert cli.checkpoint is not None
    images, training = cli.datamodule.test_set.images, None
    try:
        training = cli.datamodule.load("train")
    except UserError as error:
        problems["duplicates"] = str(error)
    tested = next(iter(evaluations.values()))["indices"]
    duplicates = near_duplicates(images[tested], training[0]) if training else None
    findings = {tta: find(evaluation, validations.get(tta), duplicates) for tta, evaluation in evaluations.items()}
    with _written(cli, "metrics above"):
        for tta, found in findings.items():
            metrics = {**evaluation_metrics(found.evaluation), **found.figures()}
            if cli.run_dir is not None:
                log_test_metrics(cli.run_dir, f"test{suffix(tta)}", metrics, cli.checkpoint.steps_done - 1)
            _write_metrics(cli, tta, metrics)
    fitted = read_origin(cli.run_dir) if cli.run_dir is not None else {}
    validation_images = len(validations["none"]["labels"]) if validations else 0
    sources = Sources(
        cli.checkpoint, images, training, problems, validation_images, fitted, cli.origin.of_now(cli.trainer)
    )
    with _written(cli, "report"):
        for tta in findings:
            path = _result_file(cli, tta, "html")
            with replacing(path) as file:
                file.write(test_page(tta, findings, sources))
            print(f"Report: {path}")


def _evaluate(cli: FashionMNISTCLI, images: str) -> dict[TTA, Evaluation]:
    """Measure, and print tables; the evaluations are on the CPU."""
    assert cli.checkpoint is not None  # command.py sees to it
    _start(cli)
    if not cli.model.evaluations:
        raise UserError(f"There was nothing to {cli.command}: a trainer.limit_ setting left no image.")
    if cli.trainer.is_global_zero:
        for tta, evaluation in cli.model.evaluations.items():
            title = f"{cli.checkpoint.path} on the {images} images{IN_WORDS[tta]}"
            print_evaluation(title, evaluation_metrics(evaluation))
    return _on_cpu(cli.model.evaluations)


def _validate_for_report(cli: FashionMNISTCLI) -> tuple[dict[TTA, Evaluation], dict[str, str]]:
    """The validation images, for a temperature; or why there is none, which the report says."""
    if cli.trainer.is_global_zero:
        print("\nMeasuring the validation images too, for the calibration in the report", flush=True)
    cli.model.evaluations = {}
    try:
        _start(cli, "validate")
    except (UserError, OSError) as error:
        return {}, {"temperature": f"the validation images could not be measured. {error}"}
    if not cli.model.evaluations:
        return {}, {"temperature": "a trainer.limit_ setting left no validation image."}
    return _on_cpu(cli.model.evaluations), {}


def _on_cpu(evaluations: dict[TTA, Evaluation]) -> dict[TTA, Evaluation]:
    return {tta: {name: value.cpu() for name, value in found.items()} for tta, found in evaluations.items()}


def _write_metrics(cli: FashionMNISTCLI, tta: TTA, metrics: dict[str, Any]) -> None:
    assert cli.checkpoint is not None
    write_evaluation(_result_file(cli, tta, "json"), cli.checkpoint, tta, metrics)


def _result_file(cli: FashionMNISTCLI, tta: TTA, kind: str) -> Path:
    assert cli.checkpoint is not None
    return _beside(cli, f"{cli.command}_{cli.checkpoint.path.stem}{suffix(tta)}.{kind}")


@contextmanager
def _written(cli: FashionMNISTCLI, what: str) -> Iterator[None]:
    """Say what could not be written; not with 0: whoever reads the file next would read one of another checkpoint."""
    try:
        yield
    except OSError as error:
        assert cli.checkpoint is not None
        place = cli.run_dir or cli.checkpoint.path.parent
        no_report = " There is no report either." if cli.command == "test" and what != "report" else ""
        raise UserError(f"The {what} could not be written to {place} ({error.strerror}).{no_report}") from error


def predict(cli: FashionMNISTCLI) -> None:
    """Write classes and probabilities of the test images, or of the user's own, as CSV."""
    output = cli.config["output"]
    default = "predictions_images.csv" if cli.datamodule.pictures else "predictions.csv"
    path = _beside(cli, default) if output is None else output_path(output)
    writer = PredictionsCSV(path, cli.datamodule)
    given = cli.config["preview"]
    preview = None if given is None else preview_path(given, bool(cli.datamodule.pictures))
    cli.trainer.callbacks.append(writer)  # type: ignore[attr-defined]
    _start(cli)
    if cli.trainer.is_global_zero:
        if cli.datamodule.picture_paths:
            print_best(writer)
        count = "1 prediction" if len(writer.rows) == 1 else f"{len(writer.rows):,} predictions"
        print(f"{count} written to {path}")
        if preview is not None:
            print(write_preview(preview, writer))
    if broken := cli.datamodule.broken_pictures:
        if cli.trainer.is_global_zero:
            print(*(f"skipped: {line}" for line in broken), sep="\n", file=sys.stderr)
        raise UserError(f"{len(broken):,} of {len(broken) + len(cli.datamodule.picture_paths):,} files were skipped.")


def _beside(cli: FashionMNISTCLI, name: str) -> Path:
    """A file in the run folder, or beside a checkpoint that lies elsewhere."""
    assert cli.checkpoint is not None
    return (cli.run_dir or cli.checkpoint.path.parent) / name


COMMANDS = {"fit": fit, "validate": validate, "test": test, "predict": predict}
