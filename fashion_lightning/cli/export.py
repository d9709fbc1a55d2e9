"""``fashion-lightning export``: a trained classifier as one file that runs elsewhere."""

from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from fashion_lightning.errors import UserError
from fashion_lightning.export import html_file, onnx_file, pt2_file, safetensors_file
from fashion_lightning.files.output_file import output_file, write_output
from fashion_lightning.runs.checkpoint import find_checkpoint
from fashion_lightning.runs.find import find_run

FORMATS = {".onnx": onnx_file, ".pt2": pt2_file, ".html": html_file, ".safetensors": safetensors_file}
"""By the suffix of the file."""

SUFFIXES = " or ".join(", ".join(FORMATS).rsplit(", ", 1))

IMAGES = 1000
"""Training images that a file is checked with. It was trained on them, which does not matter: two programs are
compared, and not with labels."""


def run(given: Namespace, _: Sequence[str]) -> None:
    """Export a classifier, and check the file against it.

    Raises:
        UserError: there is no checkpoint, its network cannot be exported, or nothing can be written to ``--output``.
    """
    path = output_file("--output", given.output)
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"--output must end in {SUFFIXES}, not {path.name!r}.")
    file_format = FORMATS[path.suffix.lower()]
    if missing := [name for name in file_format.PACKAGES if find_spec(name) is None]:
        raise UserError(f"{path.name} needs packages that are not installed: pip install {' '.join(missing)}")
    place = find_run(given.ckpt_path)
    checkpoint = find_checkpoint(place, "best", named={given.network})

    from fashion_lightning.data import source
    from fashion_lightning.export.check import BATCHES, largest_difference
    from fashion_lightning.export.graph import exporting, metadata, trace
    from fashion_lightning.inference import load

    classifier = load(checkpoint.path, given.network)
    classifier.tta = given.tta or classifier.tta
    root = vars(given)["data.root"]
    images = source.load("train", None if root is None else Path(root).expanduser())[0][:IMAGES]
    if file_format is safetensors_file:
        network = str(checkpoint.config["model"]["network"]["class_path"])  # the user's own run or typed class names it
        content = safetensors_file.write(checkpoint, classifier.tta)
        exported = safetensors_file.load(content, network)
    else:
        with exporting(classifier):
            content = file_format.write(trace(classifier), metadata(classifier, checkpoint.name))
            exported = file_format.load(content)
    difference = largest_difference(classifier, exported, images)
    write_output(path, content)
    batches = f"in batches of {', '.join(map(str, BATCHES[:-1]))} and {BATCHES[-1]}"
    how = "one by one" if file_format is html_file else batches
    print(
        f"Checked on {len(images):,} training images {how}: the classes are those of {checkpoint.path}, and the"
        f" probabilities within {difference:.1g}."
    )
    print(f"Written to {path}: {len(content) / 1e6:.1f} MB, test-time augmentation: {classifier.tta}")
