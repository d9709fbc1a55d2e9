"""``validate`` and ``test``: what each does with what ``build.py`` has built."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fashion_lightning.cli.build import FashionMNISTCLI
from fashion_lightning.cli.start import beside, start
from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import replacing
from fashion_lightning.report import evaluation_page, findings, near_duplicates
from fashion_lightning.report.page import percent
from fashion_lightning.runs.origin import read_origin
from fashion_lightning.runs.tensorboard import log_test_metrics
from fashion_lightning.tta import IN_WORDS, TTA, suffix


def validate(cli: FashionMNISTCLI) -> None:
    """Measure a checkpoint on the validation images."""
    evaluations = _evaluate(cli, "validation")
    if cli.trainer.is_global_zero:
        with _saying_what_failed(cli, "metrics above"):
            for tta, evaluation in evaluations.items():
                _write_metrics(cli, tta, evaluation_metrics(evaluation))


def test(cli: FashionMNISTCLI) -> None:
    """Measure a checkpoint on the test images, and report on it."""
    evaluations = _evaluate(cli, "test")
    validations, no_temperature = _validate_for_report(cli)  # all processes take part
    if not cli.trainer.is_global_zero:
        return
    assert cli.checkpoint is not None
    images, training = cli.datamodule.test_set.images, None
    if (duplicates := near_duplicates.near_duplicates(images)) is not None:
        with contextlib.suppress(UserError):  # then the page shows no pairs
            training = cli.datamodule.load("train")
    found_by_tta = {
        tta: findings.find(evaluation, validations.get(tta), duplicates) for tta, evaluation in evaluations.items()
    }
    with _saying_what_failed(cli, "metrics above"):
        for tta, found in found_by_tta.items():
            metrics = {**evaluation_metrics(found.evaluation), **found.figures()}
            if cli.run_dir is not None and cli.checkpoint.steps_done is not None:  # a run of one's own
                log_test_metrics(cli.run_dir, f"test{suffix(tta)}", metrics, cli.checkpoint.steps_done - 1)
            _write_metrics(cli, tta, metrics)
    fitted = read_origin(cli.run_dir) if cli.run_dir is not None else {}
    validation_images = len(validations["none"]["labels"]) if validations else 0
    tested = cli.origin.of_now(cli.trainer)
    sources = evaluation_page.Sources(
        cli.checkpoint, images, training, no_temperature, validation_images, fitted, tested
    )
    with _saying_what_failed(cli, "report"):
        for tta in found_by_tta:
            path = _result_file(cli, tta, "html")
            with replacing(path) as file:
                file.write(evaluation_page.test_page(tta, found_by_tta, sources))
            print(f"Report: {path}")


def _evaluate(cli: FashionMNISTCLI, images: str) -> dict[TTA, findings.Evaluation]:
    """Measure, and print tables; the evaluations are on the CPU."""
    assert cli.checkpoint is not None  # command.py sees to it
    start(cli)
    if not cli.model.evaluations:
        raise UserError(f"There was nothing to {cli.command}: a trainer.limit_ setting left no image.")
    evaluations = _on_cpu(cli.model.evaluations)
    if cli.trainer.is_global_zero:
        for tta, evaluation in evaluations.items():
            _print(f"{cli.checkpoint.path} on the {images} images{IN_WORDS[tta]}", evaluation_metrics(evaluation))
    return evaluations


def _validate_for_report(cli: FashionMNISTCLI) -> tuple[dict[TTA, findings.Evaluation], str]:
    """Measure the validation images, for the temperature; or return why they cannot be, for the report."""
    if cli.trainer.is_global_zero:
        print("\nMeasuring the validation images too, for the calibration in the report", flush=True)
    cli.model.evaluations = {}
    try:
        start(cli, "validate")
    except (UserError, OSError) as error:
        return {}, f"the validation images could not be measured. {error}"
    return _on_cpu(cli.model.evaluations), "" if cli.model.evaluations else "a trainer.limit_ setting left no image."


def _on_cpu(evaluations: dict[TTA, findings.Evaluation]) -> dict[TTA, findings.Evaluation]:
    return {tta: {name: value.cpu() for name, value in found.items()} for tta, found in evaluations.items()}


def evaluation_metrics(evaluation: findings.Evaluation) -> dict[str, Any]:
    """Return the result of an evaluation as plain values for JSON."""
    per_class = zip(CLASS_NAMES, *(evaluation[name].tolist() for name in ("precision", "recall", "f1")), strict=True)
    return {
        "images": int(evaluation["confusion"].sum()),
        **{name: evaluation[name].item() for name in ("accuracy", "top5", "loss")},
        "classes": {cls: {"precision": p, "recall": r, "f1": f} for cls, p, r, f in per_class},
        "confusion": evaluation["confusion"].tolist(),
    }


def _print(title: str, metrics: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table("class")
    for column in ("precision", "recall", "F1"):
        table.add_column(column, justify="right")
    for cls, values in metrics["classes"].items():
        table.add_row(cls, *(percent(values[name]) for name in ("precision", "recall", "f1")))
    console.print(f"\n{title}", table, sep="\n")
    console.print(
        f"accuracy {percent(metrics['accuracy'])}   top-5 {percent(metrics['top5'])}"
        f"   loss {metrics['loss']:.4f}   ({metrics['images']:,} images)"
    )


def _write_metrics(cli: FashionMNISTCLI, tta: TTA, metrics: dict[str, Any]) -> None:
    assert cli.checkpoint is not None
    path = _result_file(cli, tta, "json")
    record = {"checkpoint": cli.checkpoint.path.name, "steps": cli.checkpoint.steps_done, "tta": tta, **metrics}
    write_json(path, record)
    print(f"Written to {path}")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write or replace a JSON file in one step."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def _result_file(cli: FashionMNISTCLI, tta: TTA, kind: str) -> Path:
    assert cli.checkpoint is not None
    return beside(cli, f"{cli.command}_{cli.checkpoint.path.stem}{suffix(tta)}.{kind}")


@contextlib.contextmanager
def _saying_what_failed(cli: FashionMNISTCLI, what: str) -> Iterator[None]:
    """Say what could not be written: whoever reads the file next would read one of another checkpoint."""
    try:
        yield
    except OSError as error:
        no_report = " There is no report either." if cli.command == "test" and what != "report" else ""
        place = beside(cli, "")
        raise UserError(f"The {what} could not be written to {place} ({error.strerror}).{no_report}") from error
