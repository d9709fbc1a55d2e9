"""``predict``: what it does with what ``build.py`` has built."""

import sys

from fashion_lightning.callbacks.predictions import PredictionsCSV, output_path, print_best
from fashion_lightning.callbacks.preview import preview_path, write_preview
from fashion_lightning.cli.build import FashionMNISTCLI
from fashion_lightning.cli.start import beside, start
from fashion_lightning.errors import UserError


def predict(cli: FashionMNISTCLI) -> None:
    """Write classes and probabilities of the test images, or of the user's own, as CSV."""
    output = cli.config["output"]
    default = "predictions_images.csv" if cli.datamodule.pictures else "predictions.csv"
    path = beside(cli, default) if output is None else output_path(output)
    writer = PredictionsCSV(path, cli.datamodule)
    given = cli.config["preview"]
    preview = None if given is None else preview_path(given, bool(cli.datamodule.pictures))
    cli.trainer.callbacks.append(writer)  # type: ignore[attr-defined]
    start(cli)
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
