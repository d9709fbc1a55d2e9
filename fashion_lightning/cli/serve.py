"""``fashion-lightning serve``: a page on which a trained classifier is tried, and an endpoint for programs."""

import ipaddress
from argparse import Namespace
from collections.abc import Sequence
from importlib.util import find_spec

from fashion_lightning.errors import UserError
from fashion_lightning.runs.checkpoint import find_checkpoint
from fashion_lightning.runs.find import find_run

PACKAGES = ("fastapi", "uvicorn")


def run(given: Namespace, _: Sequence[str]) -> None:
    """Serve a classifier until a signal comes.

    Raises:
        UserError: there is no checkpoint, packages are missing, or the address is taken.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UserError(f"serve needs packages that are not installed: pip install {' '.join(missing)}")
    place = find_run(given.ckpt_path)
    checkpoint = find_checkpoint(place, "best", named={given.network})

    from fashion_lightning.inference import load
    from fashion_lightning.serving.app import create_app
    from fashion_lightning.serving.server import address, listen, serve

    with listen(given.host, given.port) as listening:
        classifier = load(checkpoint.path, given.network)
        version = "" if checkpoint.run_dir is None else f", {checkpoint.run_dir.name}"
        views = "" if classifier.tta == "none" else f", test-time augmentation: {classifier.tta}"
        app = create_app(classifier, f"Recipe {checkpoint.name}{version}{views}")
        if not _is_loopback(listening.getsockname()[0]):
            print("No password is asked: whoever reaches this machine over its network can use the page.", flush=True)
        print(f"{checkpoint.path} is served at {address(listening)} until Ctrl-C.", flush=True)
        serve(app, listening)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback
