"""``export`` and ``serve``: a trained classifier as a file that runs elsewhere, or as a page and an endpoint."""

import ipaddress
from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from fashion_lightning.errors import UserError
from fashion_lightning.export import html_file, onnx_file, pt2_file, safetensors_file
from fashion_lightning.files.output_file import output_file, write_output
from fashion_lightning.runs.checkpoint import Checkpoint, find_checkpoint
from fashion_lightning.runs.find import find_run

FORMATS = {".onnx": onnx_file, ".pt2": pt2_file, ".html": html_file, ".safetensors": safetensors_file}
"""Formats by the suffix of the file."""

IMAGES = 1000
"""Number of training images that a file is checked with: two programs are compared, and not with labels."""


def export(given: Namespace, _: Sequence[str]) -> None:
    """Export a classifier, and check the file against it.

    Raises:
        UserError: there is no checkpoint, its network cannot be exported, or nothing can be written to ``--output``.
    """
    path = output_file("--output", given.output)
    file_format = FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise UserError(f"--output must end in {' or '.join(FORMATS)}, not {path.name!r}.")
    need_packages(path.name, file_format.PACKAGES)
    checkpoint = _best_checkpoint(given)

    from fashion_lightning.data import source
    from fashion_lightning.export import check, graph
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
        with graph.exporting(classifier):
            content = file_format.write(graph.trace(classifier), graph.metadata(classifier, checkpoint.name))
            exported = file_format.load(content)
    difference = check.largest_difference(classifier, exported, images)
    write_output(path, content)
    how = "one by one" if file_format is html_file else f"in batches of {', '.join(map(str, check.BATCHES))}"
    print(
        f"Checked on {len(images):,} training images {how}: the classes are those of {checkpoint.path}, and the"
        f" probabilities within {difference:.1g}."
    )
    print(f"Written to {path}: {len(content) / 1e6:.1f} MB, test-time augmentation: {classifier.tta}")


def serve(given: Namespace, _: Sequence[str]) -> None:
    """Serve a classifier until a signal comes.

    Raises:
        UserError: there is no checkpoint, packages are missing, or the address is taken.
    """
    need_packages("serve", ("fastapi", "uvicorn"))
    checkpoint = _best_checkpoint(given)

    from fashion_lightning.inference import load
    from fashion_lightning.serving import app, server

    with server.listen(given.host, given.port) as listening:
        classifier = load(checkpoint.path, given.network)
        version = "" if checkpoint.run_dir is None else f", {checkpoint.run_dir.name}"
        views = "" if classifier.tta == "none" else f", test-time augmentation: {classifier.tta}"
        page = app.create_app(classifier, f"Recipe {checkpoint.name}{version}{views}")
        if not ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback:
            print("No password is asked: whoever reaches this machine over its network can use the page.", flush=True)
        print(f"{checkpoint.path} is served at {server.address(listening)} until Ctrl-C.", flush=True)
        server.serve(page, listening)


def need_packages(what: str, packages: Sequence[str]) -> None:
    """Check that optional packages are installed.

    Raises:
        UserError: says how to install them.
    """
    if missing := [name for name in packages if find_spec(name) is None]:
        raise UserError(f"{what} needs packages that are not installed: pip install {' '.join(missing)}")


def _best_checkpoint(given: Namespace) -> Checkpoint:
    return find_checkpoint(find_run(given.ckpt_path), "best", named={given.network})
