"""Find the four files, for programs without fashion_lightning, such as Keras'."""

import os
from pathlib import Path

CACHE = os.environ.get("TORCH_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/torch"
PLACES = (Path("data"), Path(CACHE) / "datasets", Path("/usr/share/datasets/fashion-mnist"))
"""Where ``fit`` looks, in this order; it downloads the files into the second. See fashion_lightning/data/source.py."""


def data_folder(root: Path | None) -> Path:
    """Return the folder with the four gzip files: in ``root``, directly or as torchvision stores them, or in PLACES."""
    for place in [root] if root else PLACES:
        for candidate in (place.expanduser() / "FashionMNIST" / "raw", place.expanduser()):
            if (candidate / "train-images-idx3-ubyte.gz").is_file():
                return candidate.absolute()
    raise SystemExit("The four files are missing: `fashion-lightning fit` fetches them; --root names their folder.")
