"""``validate`` and ``test``: what each does with what ``build.py`` has built."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fashion_lightning.cli.build import FashionMNISTCLI
from fashion_lightning.cli.report import evaluation_metrics, print_evaluation, write_evaluation
from fashion_lightning.cli.start import beside, start
from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import replacing
from fashion_lightning.report.evaluation_page import Sources, test_page
from fashion_lightning.report.findings import Evaluation, find
from fashion_lightning.report.near_duplicates import near_duplicates
from fashion_lightning.runs.origin import read_origin
from fashion_lightning.runs.tensorboard import log_test_metrics
from fashion_lightning.tta import IN_WORDS, TTA, suffix


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
    validations, no_temperature = _validate_for_report(cli)  # all processes take part
    if not cli.trainer.is_global_zero:
        return
    assert cli.checkpoint is not None
    images = cli.datamodule.test_set.images
    training = None
    if (duplicates := near_duplicates(images)) is not None:
        with contextlib.suppress(UserError):  # then the page shows no pairs
            training = cli.datamodule.load("train")
    findings = {tta: find(evaluation, validations.get(tta), duplicates) for tta, evaluation in evaluations.items()}
    with _written(cli, "metrics above"):
        for tta, found in findings.items():
            metrics = {**evaluation_metrics(found.evaluation), **found.figures()}
            if cli.run_dir is not None and cli.checkpoint.steps_done is not None:  # a run of one's own
                log_test_metrics(cli.run_dir, f"test{suffix(tta)}", metrics, cli.checkpoint.steps_done - 1)
            _write_metrics(cli, tta, metrics)
    fitted = read_origin(cli.run_dir) if cli.run_dir is not None else {}
    validation_images = len(validations["none"]["labels"]) if validations else 0
    tested = cli.origin.of_now(cli.trainer)
    sources = Sources(cli.checkpoint, images, training, no_temperature, validation_images, fitted, tested)
    with _written(cli, "report"):
        for tta in findings:
            path = _result_file(cli, tta, "html")
            with replacing(path) as file:
                file.write(test_page(tta, findings, sources))
            print(f"Report: {path}")


def _evaluate(cli: FashionMNISTCLI, images: str) -> dict[TTA, Evaluation]:
    """Measure, and print tables; the evaluations are on the CPU."""
    assert cli.checkpoint is not None  # command.py sees to it
    start(cli)
    if not cli.model.evaluations:
        raise UserError(f"There was nothing to {cli.command}: a trainer.limit_ setting left no image.")
    if cli.trainer.is_global_zero:
        for tta, evaluation in cli.model.evaluations.items():
            title = f"{cli.checkpoint.path} on the {images} images{IN_WORDS[tta]}"
            print_evaluation(title, evaluation_metrics(evaluation))
    return _on_cpu(cli.model.evaluations)


def _validate_for_report(cli: FashionMNISTCLI) -> tuple[dict[TTA, Evaluation], str]:
    """Measure the validation images, for the temperature; or return why they cannot be, for the report."""
    if cli.trainer.is_global_zero:
        print("\nMeasuring the validation images too, for the calibration in the report", flush=True)
    cli.model.evaluations = {}
    try:
        start(cli, "validate")
    except (UserError, OSError) as error:
        return {}, f"the validation images could not be measured. {error}"
    if not cli.model.evaluations:
        return {}, "a trainer.limit_ setting left no validation image."
    return _on_cpu(cli.model.evaluations), ""


def _on_cpu(evaluations: dict[TTA, Evaluation]) -> dict[TTA, Evaluation]:
    return {tta: {name: value.cpu() for name, value in found.items()} for tta, found in evaluations.items()}


def _write_metrics(cli: FashionMNISTCLI, tta: TTA, metrics: dict[str, Any]) -> None:
    assert cli.checkpoint is not None
    write_evaluation(_result_file(cli, tta, "json"), cli.checkpoint, tta, metrics)


def _result_file(cli: FashionMNISTCLI, tta: TTA, kind: str) -> Path:
    assert cli.checkpoint is not None
    return beside(cli, f"{cli.command}_{cli.checkpoint.path.stem}{suffix(tta)}.{kind}")


@contextlib.contextmanager
def _written(cli: FashionMNISTCLI, what: str) -> Iterator[None]:
    """Say what could not be written; not with 0: whoever reads the file next would read one of another checkpoint."""
    try:
        yield
    except OSError as error:
        assert cli.checkpoint is not None
        place = cli.run_dir or cli.checkpoint.path.parent
        no_report = " There is no report either." if cli.command == "test" and what != "report" else ""
        raise UserError(f"The {what} could not be written to {place} ({error.strerror}).{no_report}") from error
