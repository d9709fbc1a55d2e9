"""Find or fetch the four Fashion-MNIST files, and verify them.

Sources, in this order: the data folder, the user's copy, a system copy, torchvision's download, and the Debian package
from the machine's apt sources. The SHA-256 of the *uncompressed* content decides, because mirrors compress differently,
and MNIST's files have the same names (torchvision once read them as Fashion-MNIST).
"""

import contextlib
import hashlib
import io
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from fashion_lightning.data.idx import content_of, parse_idx
from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import one_at_a_time

Split = Literal["train", "test"]

FILES: dict[Split, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}

SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
DEBIAN_PACKAGE = "dataset-fashion-mnist"
FETCHING = ".fetching-"  # prefix of the folders of unfinished fetches


def user_folder() -> Path:
    """Return the data folder of a user, beside torch's own folders below ``$TORCH_HOME``."""
    return Path(torch.hub.get_dir()).with_name("datasets")


def load(split: Split, root: Path | None = None) -> tuple[Tensor, Tensor]:
    """Read one split; fetch it first if no folder on this machine has it.

    Args:
        split: ``train`` or ``test``.
        root: the data folder, with the files or empty; by default ``data`` in the working folder if the files are
            there, else the user's folder, else that of Debian's package.

    Returns:
        images ``(N, 1, 28, 28)`` uint8 and labels ``(N,)`` int64; N is 60,000 or 10,000.

    Raises:
        UserError: ``root`` is missing or holds other files, or no source can be reached.
    """
    found = _find(split, root or Path("data")) or (None if root is None else _look_again(split, root))
    found = found or _find(split, user_folder(), SYSTEM_FOLDER) or _fetch(split, root or user_folder())
    images, labels = (torch.from_numpy(parse_idx(content, Path(split)).copy()) for content in found)
    return images[:, None], labels.long()


def raw_folder(root: Path) -> Path:
    """Return the folder of the files within the data folder: the same as torchvision's, which can then share them."""
    return root / "FashionMNIST" / "raw"


def _find(split: Split, *roots: Path) -> list[bytes] | None:
    """Return images and labels of a split from the first of the data folders that holds both."""
    for root in roots:
        for folder in (root, raw_folder(root), root / "raw"):
            contents = [_with_content(name, folder) for name in FILES[split]]
            if None not in contents:
                return contents  # type: ignore[return-value]
    return None


def _with_content(name: str, folder: Path) -> bytes | None:
    """Return the verified content for a name, from any file of a similar name in a folder."""
    begin, kind, _ = name.split("-", 2)
    for path in sorted(folder.glob(f"{begin}*{kind}*")):
        with contextlib.suppress(UserError, OSError):  # damaged or unreadable
            if hashlib.sha256(content := content_of(path)).hexdigest() == SHA256[name]:
                return content
    return None


def _look_again(split: Split, root: Path) -> list[bytes] | None:
    """Return what another process has just fetched into ``root``; refuse a missing folder or one with other files."""
    if not root.is_dir():
        raise UserError(f"--data.root: there is no folder {root}. Create it, and fit fetches Fashion-MNIST into it.")
    with one_at_a_time(root):  # waits for another process's fetch
        found = _find(split, root)
    held = [
        path
        for folder in (root, raw_folder(root))
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and path.name != "FashionMNIST"
    ]
    if held and found is None:
        names = ", ".join(path.name for path in held[:4]) + (", …" if len(held) > 4 else "")
        raise UserError(
            f"--data.root {root} does not hold all of Fashion-MNIST's files, but {names} (checked by SHA-256: MNIST's"
            f" have the same names). To train on these: --data.folder {root}"
        )
    return found


def _fetch(split: Split, root: Path) -> list[bytes]:
    """Fetch into a temporary folder within the target, verify, then move whole files into place.

    An interrupted fetch leaves no file in place. If several processes need the files, one fetches while others wait.
    """
    target = raw_folder(root.resolve())
    sources = {
        "torchvision's mirror": _download_with_torchvision,
        f"the Debian package {DEBIAN_PACKAGE}": _download_with_apt,
    }
    reasons: list[str] = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(root):
            if found_now := _find(split, root):  # fetched by the process that this one waited for
                return found_now
            for left in target.glob(f"{FETCHING}*"):  # from killed processes: nobody else fetches now
                shutil.rmtree(left, ignore_errors=True)
            for source, download in sources.items():
                print(f"Fetching Fashion-MNIST from {source} …", flush=True)
                with tempfile.TemporaryDirectory(prefix=FETCHING, dir=target, ignore_cleanup_errors=True) as scratch:
                    try:
                        found = download(Path(scratch))
                        if (contents := _find(split, found)) is None:
                            raise UserError("its files are not Fashion-MNIST's by their SHA-256")
                    except (UserError, RuntimeError, ValueError, OSError) as error:
                        reasons.append(f"{source}: {' '.join(str(error).split()) or type(error).__name__}")
                        continue
                    for path in found.glob("*-ubyte*"):  # the other split's, too, which is verified when read
                        os.replace(path, target / path.name)
                    return contents
    except OSError as error:
        raise UserError(
            f"The data folder {root} cannot be written ({error.strerror}). Name another with --data.root."
        ) from error
    raise UserError(
        f"Fashion-MNIST could not be fetched ({'; '.join(reasons)}). Put the four files into {target},"
        f" or on Debian and Ubuntu: apt-get install {DEBIAN_PACKAGE}"
    )


def _download_with_torchvision(folder: Path) -> Path:
    from torchvision.datasets import FashionMNIST

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # seconds; torchvision sets none and would hang on a silent network
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            FashionMNIST(folder, train=True, download=True)
    finally:
        socket.setdefaulttimeout(timeout)
    return raw_folder(folder)


def _download_with_apt(folder: Path) -> Path:
    """Fetch and unpack the package in our own apt state and cache folders, which needs no root."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise UserError("apt-get is not on this machine")
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    own = [f"-oDir::State::Lists={folder / 'lists'}", f"-oDir::Cache={folder / 'cache'}", "-oAPT::Sandbox::User="]
    apt_get = ["apt-get", "-qq", "-oAcquire::Retries=2", *own]
    with contextlib.suppress(UserError):  # any broken source fails it; the download may still work
        _run([*apt_get, "update"], folder)
    _run([*apt_get, "download", DEBIAN_PACKAGE], folder)
    (package,) = folder.glob(f"{DEBIAN_PACKAGE}_*.deb")
    _run(["dpkg-deb", "--extract", str(package), str(folder / "unpacked")], folder)
    return folder / "unpacked" / SYSTEM_FOLDER.relative_to("/")


def _run(command: list[str], folder: Path) -> None:
    if (done := subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)).returncode:
        raise UserError(f"{command[0]} {done.stderr.strip().rpartition(os.linesep)[2]}")
