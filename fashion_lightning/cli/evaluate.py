"""``validate``, ``test`` and ``predict``: measure a checkpoint, or classify images with it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fashion_lightning.callbacks.predictions import PredictionsCSV, print_best
from fashion_lightning.cli.build import FashionMNISTCLI
from fashion_lightning.data.batches import EVAL_BATCH_SIZE, Batch, ImagesInMemory, InOrder, batch_loader
from fashion_lightning.data.tta import IN_WORDS, TTA, suffix
from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import output_file, replacing, write_json
from fashion_lightning.photographs.files import find_pictures, read_pictures
from fashion_lightning.photographs.preview import write_preview
from fashion_lightning.report import evaluation_page, findings
from fashion_lightning.report.page import percent
from fashion_lightning.runs import folder, origin, tensorboard
from fashion_lightning.tables import print_table


def validate(cli: FashionMNISTCLI) -> None:
    """Measure a checkpoint on the validation images."""
    evaluations = _evaluate(cli, "validation")
    for tta, evaluation in evaluations.items() if cli.trainer.is_global_zero else ():
        _write_metrics(cli, tta, evaluation_metrics(evaluation, cli.model.images.class_names))


def test(cli: FashionMNISTCLI) -> None:
    """Measure a checkpoint on the test images, and write a report."""
    evaluations = _evaluate(cli, "test")
    validations, no_temperature = {}, ""
    print("\nMeasuring the validation images too, for the calibration in the report", flush=True)
    try:
        validations = _measure(cli, "validate")  # all processes take part
    except (UserError, OSError) as error:
        no_temperature = f"the validation images could not be measured. {error}"
    if not cli.trainer.is_global_zero:
        return
    images, names = cli.datamodule.test_set.images, cli.model.images.class_names
    duplicates = findings.near_duplicates(images)
    found_by_tta = {tta: findings.find(found, validations.get(tta), duplicates) for tta, found in evaluations.items()}
    for tta, found in found_by_tta.items():
        metrics = {**evaluation_metrics(found.evaluation, names), **found.figures()}
        # Only for the user's own run, and without --output: with it, the run folder may be read-only.
        if cli.run_dir is not None and cli.measured.steps_done is not None and cli.given.output is None:
            tensorboard.log_test_metrics(cli.run_dir, f"test{suffix(tta)}", metrics, cli.measured.steps_done - 1)
        _write_metrics(cli, tta, metrics)
    told = {
        "no_temperature": no_temperature,
        "validation_images": len(validations["none"]["labels"]) if validations else 0,
        "fitted": origin.read_origin(cli.run_dir) if cli.run_dir is not None and cli.measured.is_own else {},
        "tested": cli.run_files.of_now(cli.trainer),
    }
    for tta in found_by_tta:
        path = _result_file(cli, tta, "html")
        with replacing(path) as file:
            file.write(evaluation_page.test_page(tta, found_by_tta, cli.measured, images, names, **told))
        print(f"Report: {path}")


def _evaluate(cli: FashionMNISTCLI, images: str) -> dict[TTA, findings.Evaluation]:
    """Measure a checkpoint, and print tables."""
    if output := getattr(cli.given, "output", None):
        output_file("--output", f"{output}/results.json", ".json")  # check before the work
    evaluations = _measure(cli, cli.command)
    for tta, evaluation in evaluations.items() if cli.trainer.is_global_zero else ():
        metrics = evaluation_metrics(evaluation, cli.model.images.class_names)
        rows = [[cls, *map(percent, values.values())] for cls, values in metrics["classes"].items()]
        print(f"\n{cli.measured.path} on the {images} images{IN_WORDS[tta]}")
        print_table(["class", "precision", "recall", "F1"], rows, left=("class",))
        print(
            f"accuracy {percent(metrics['accuracy'])}   balanced over classes {percent(metrics['balanced_accuracy'])}"
            f"   top-5 {percent(metrics['top5'])}   loss {metrics['loss']:.4f}   ({metrics['images']:,} images)"
        )
    return evaluations


def _measure(cli: FashionMNISTCLI, method: str) -> dict[TTA, findings.Evaluation]:
    """Call a method of the Trainer, and return the evaluations."""
    cli.model.evaluations = {}
    cli.start(method)
    evaluations: dict[TTA, findings.Evaluation] = cli.model.evaluations
    if not evaluations:
        raise UserError(f"There was nothing to {method}: data.val_size or a trainer.limit_ setting left no image.")
    return evaluations


def evaluation_metrics(evaluation: findings.Evaluation, class_names: Sequence[str]) -> dict[str, Any]:
    """Return the results of an evaluation as plain values for JSON."""
    per_class = zip(class_names, *(evaluation[name].tolist() for name in ("precision", "recall", "f1")), strict=True)
    return {
        "images": int(evaluation["confusion"].sum()),
        **{name: evaluation[name].item() for name in ("accuracy", "top5", "loss")},
        "balanced_accuracy": findings.balanced_accuracy(evaluation),
        "classes": {cls: {"precision": p, "recall": r, "f1": f} for cls, p, r, f in per_class},
        "confusion": evaluation["confusion"].tolist(),
    }


def _write_metrics(cli: FashionMNISTCLI, tta: TTA, metrics: dict[str, Any]) -> None:
    path = _result_file(cli, tta, "json")
    write_json(path, {"checkpoint": cli.measured.path.name, "steps": cli.measured.steps_done, "tta": tta} | metrics)
    # `list` and `compare` count results of the user's own runs.
    print(
        f"Written to {path}"
        if path.parent != cli.run_dir or cli.measured.is_own or folder.lies_in(path.parent, folder.LOGS)
        else f"Written to {path}; if you keep runs there, test with --runs"
    )


def _result_file(cli: FashionMNISTCLI, tta: TTA, kind: str) -> Path:
    name, output = f"{cli.command}_{cli.measured.path.stem}{suffix(tta)}.{kind}", getattr(cli.given, "output", None)
    if output is None:
        return _beside(cli, name)
    output = Path(output).expanduser()
    output.mkdir(parents=True, exist_ok=True)
    return output / name


def _beside(cli: FashionMNISTCLI, name: str) -> Path:
    """Return a path in the run folder or beside the checkpoint; in the working folder for the package's weights."""
    place = cli.run_dir or cli.measured.path.parent
    return (Path() if place == folder.WEIGHTS else place) / name


def predict(cli: FashionMNISTCLI) -> None:
    """Write classes and probabilities of the test images, or of the user's photographs."""
    output, images, preview = cli.given.output, cli.given.images, cli.given.preview
    name = "predictions.csv" if images is None else "predictions_images.csv"
    path = _beside(cli, name) if output is None else output_file("--output", output, ".csv", ".json")
    if preview is not None and images is None:
        raise UserError("--preview shows your own pictures; name them after --images.")
    preview = None if preview is None else output_file("--preview", preview, ".png")
    photographs, loader = None, None
    if images is not None:
        photographs = read_pictures(find_pictures(images), cli.model.images, cli.trainer.is_global_zero)
        loader = _loader(photographs.images, cli.trainer.global_rank, cli.trainer.world_size)
    writer = PredictionsCSV(
        path,
        cli.model.images.class_names,
        photographs.paths if photographs else cli.datamodule.own.files if cli.datamodule.own else (),
        is_test=images is None,
    )
    cli.trainer.callbacks.append(writer)  # type: ignore[attr-defined]
    cli.start("predict", loader)
    if not cli.trainer.is_global_zero:
        return
    answers = [writer.answer(index) for index in writer.rows]
    if photographs is not None:
        print_best(photographs.paths, answers, cli.model.images)
    print(f"{len(answers):,} prediction{'s' if len(answers) != 1 else ''} written to {path if answers else 'no file'}")
    if photographs is not None and preview is not None and answers:
        print(write_preview(preview, photographs.paths, answers, cli.model.images))
    if photographs is not None and photographs.broken:
        print(*(f"skipped: {line}" for line in photographs.broken), sep="\n", file=sys.stderr)
        skipped = len(photographs.broken)
        raise UserError(f"{skipped:,} of {skipped + len(photographs.paths):,} files were skipped.")


def _loader(images: Tensor, rank: int, world_size: int) -> DataLoader[Batch]:
    """Make batches of images without labels; a process without images repeats the first one."""
    sampler = InOrder(len(images), EVAL_BATCH_SIZE, rank, world_size)
    if not len(sampler.positions):
        sampler.positions = torch.tensor([0])
    return batch_loader(ImagesInMemory(images, torch.full((len(images),), -1)), sampler)
