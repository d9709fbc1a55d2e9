"""``export`` and ``serve``: write a trained classifier as a file that runs elsewhere, or serve it as a page."""

import ipaddress
from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import output_file, write_output
from fashion_lightning.runs.checkpoint import find_checkpoint
from fashion_lightning.runs.folder import find_run

PACKAGES = {".onnx": ("onnx", "onnxscript", "onnxruntime"), ".pt2": (), ".html": (), ".safetensors": ()}
"""Additional packages that a format needs, by the suffix of the file."""

IMAGES = 1000
"""Number of images to check a file with. Training images will do: two programs are compared, without labels."""


def export(given: Namespace, _: Sequence[str]) -> None:
    """Export a classifier, and check the file against it."""
    path = output_file("--output", given.output, *PACKAGES)
    suffix = path.suffix.lower()
    need_packages(path.name, PACKAGES[suffix])
    checkpoint = find_checkpoint(find_run(given.ckpt_path, given.runs), "best", given.runs, {given.network})

    import torch

    from fashion_lightning.data import own_pictures, source
    from fashion_lightning.data.classes import FASHION_MNIST
    from fashion_lightning.export import formats, graph
    from fashion_lightning.inference import load

    classifier = load(checkpoint.path, given.network, given.runs)
    classifier.tta = given.tta or classifier.tta
    root, folder = (
        vars(given)["data.root"] or checkpoint.config["data"].get("root"),
        checkpoint.config["data"].get("folder"),
    )
    what, known = "training images", classifier.images
    if known == FASHION_MNIST:
        images = source.load("train", None if root is None else Path(root).expanduser())[0]
    elif folder is not None and Path(folder).is_dir():  # of the user's own run
        images = own_pictures.load(Path(folder), known.size, known.channels).splits["train"][0]
    else:
        what, images = "images of noise", torch.randint(256, (IMAGES, *known.shape), dtype=torch.uint8)
    images = images[:: -(-len(images) // IMAGES)]  # evenly spaced, for all classes
    with graph.exporting(classifier):
        if suffix == ".safetensors":
            # Trusted: the network comes from the user's own run or the typed class.
            network = str(checkpoint.config["model"]["network"]["class_path"])
            content = formats.write_card_and_weights(checkpoint, classifier.tta)
            exported = formats.load_card_and_weights(content, network)
        else:
            write, load_exported = formats.FORMATS[suffix]
            content = write(graph.trace(classifier), graph.metadata(classifier, checkpoint.name))
            exported = load_exported(content)
        difference = graph.largest_difference(classifier, exported, images)
    write_output(path, content)
    print(
        f"Checked on {len(images):,} {what}: the classes are those of {checkpoint.path}, and no"
        f" probability differs by more than {difference:.1g}."
    )
    print(f"Written to {path}: {len(content) / 1e6:.1f} MB, test-time augmentation: {classifier.tta}")


def serve(given: Namespace, _: Sequence[str]) -> None:
    """Serve a classifier until a signal comes."""
    need_packages("serve", ("fastapi", "uvicorn"))
    checkpoint = find_checkpoint(find_run(given.ckpt_path, given.runs), "best", given.runs, {given.network})

    from fashion_lightning.inference import load
    from fashion_lightning.serving import app, server

    with server.listen(given.host, given.port) as listening:
        classifier = load(checkpoint.path, given.network, given.runs)
        version = "" if checkpoint.run_dir is None else f", {checkpoint.run_dir.name}"
        views = "" if classifier.tta == "none" else f", test-time augmentation: {classifier.tta}"
        if not ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback:
            print("There is no password: everybody who can reach this machine can use the page.", flush=True)
        print(f"{checkpoint.path} is served at {server.address(listening)} until Ctrl-C.", flush=True)
        page = app.create_app(classifier, f"Recipe {checkpoint.name}{version}{views}", host=given.host)
        server.serve(page, listening)


def need_packages(what: str, packages: Sequence[str]) -> None:
    """Check that optional packages are installed; raise a ``UserError`` that says how to install them."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise UserError(f"{what} needs packages that are not installed: pip install {' '.join(missing)}")
