"""Where the four Fashion-MNIST files come from, and the proof that they are the right ones.

Sources, in this order: the data folder, the user's own copy, a system copy, torchvision's download,
and the Debian package fetched through the machine's own apt sources. Whatever the source, the SHA-256 of the
*uncompressed* content decides: mirrors compress the same content differently, and a folder shared
with MNIST holds files of the same names (torchvision once read those as Fashion-MNIST).
"""

import contextlib
import gzip
import hashlib
import io
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import lock_file, one_at_a_time, remove_if_abandoned

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

WORKING_FOLDER = Path("data")
"""Where version 0.1 kept its files by default; one that is there is still used."""

SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
DEBIAN_PACKAGE = "dataset-fashion-mnist"
CONNECT_TIMEOUT_S = 20
FETCHING = ".fetching-"  # a folder of a fetch that is not done


def user_folder() -> Path:
    """Where data are kept once for a user: beside what torch itself keeps (``$TORCH_HOME``, see ``torch.hub``)."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or f"{cache}/torch").expanduser() / "datasets"


def load(split: Split, root: Path | None = None) -> tuple[Tensor, Tensor]:
    """Read one split, fetching it first where no source on this machine has it.

    Args:
        split: ``train`` or ``test``.
        root: the data folder; by default ``data`` in the working folder if the files are there, else the user's.

    Returns:
        images ``(N, 1, 28, 28)`` uint8 and labels ``(N,)`` int64; N is 60,000 or 10,000.

    Raises:
        UserError: a file in ``root`` has the wrong content, or no source can be reached.
    """
    if root is None:
        root = WORKING_FOLDER if _holds(WORKING_FOLDER, split) else user_folder()
    for left in raw_folder(root).glob(f"{FETCHING}*"):
        remove_if_abandoned(left)
    images, labels = _find(split, root) or _fetch(split, root)
    # IDX: a header of 4 bytes plus 4 per dimension, then the raw bytes. The hash covers both.
    return (
        torch.frombuffer(bytearray(images), dtype=torch.uint8, offset=16).view(-1, 1, 28, 28),
        torch.frombuffer(bytearray(labels), dtype=torch.uint8, offset=8).long(),
    )


def raw_folder(root: Path) -> Path:
    """Where files are kept below the data folder: torchvision's place, so that the two share them."""
    return root / "FashionMNIST" / "raw"


def _find(split: Split, root: Path) -> tuple[bytes, bytes] | None:
    """The verified content of one split from the data folder, the user's or the system's copy, if there."""
    if folder := _holds(root, split):
        return _verified_pair(split, folder)
    for folder in (raw_folder(user_folder()), SYSTEM_FOLDER):
        if _all_in(folder, split):
            with contextlib.suppress(UserError):  # a bad copy that nobody asked for: try the next source
                return _verified_pair(split, folder)
    return None


def _holds(root: Path, split: Split) -> Path | None:
    """The folder with the files of a split, in torchvision's layout or flat."""
    return next((folder for folder in (raw_folder(root), root) if _all_in(folder, split)), None)


def _all_in(folder: Path, split: Split) -> bool:
    return all(_existing(folder, name) for name in FILES[split])


def _existing(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _verified_pair(split: Split, folder: Path) -> tuple[bytes, bytes]:
    images, labels = (_read_verified(folder, name) for name in FILES[split])
    return images, labels


def _read_verified(folder: Path, name: str) -> bytes:
    path = _existing(folder, name)
    if path is None:
        raise UserError(f"{folder / name} is missing.")
    advice = "Delete it to have it fetched again, or name another folder with --data.root."
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}). {advice}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[name]:
        raise UserError(
            f"{path} is not Fashion-MNIST's (SHA-256 {digest[:12]}…, expected {SHA256[name][:12]}…;"
            f" MNIST has the same file names). {advice}"
        )
    return content


def _fetch(split: Split, root: Path) -> tuple[bytes, bytes]:
    """Fetch into a private folder beside the target, verify, then move whole files into place.

    An interrupted fetch leaves nothing in place. Of several processes one fetches, and the others wait for it.
    """
    target = raw_folder(root.resolve())
    reasons: list[str] = []
    sources: tuple[tuple[str, Callable[[Path], Path]], ...] = (
        ("torchvision's mirror", _download_with_torchvision),
        (f"the Debian package {DEBIAN_PACKAGE}", _download_with_apt),
    )
    try:
        target.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(target), _scratch_folder(target) as scratch:
            if found_now := _find(split, root):  # another process has fetched it, for which this one waited
                return found_now
            for number, (source, download) in enumerate(sources):
                folder = scratch / str(number)
                folder.mkdir()
                try:
                    with _progress(f"Fetching Fashion-MNIST from {source}", folder):
                        found = download(folder)
                        content = _verified_pair(split, found)
                except (UserError, RuntimeError, ValueError, OSError) as error:
                    reasons.append(f"{source}: {' '.join(str(error).split()) or type(error).__name__}")
                    continue
                for name in SHA256:
                    path = _existing(found, name)
                    # The other split travels along; it is verified when it is read.
                    if path is not None and _existing(target, name) is None:
                        os.replace(path, target / path.name)
                return content
    except OSError as error:
        raise UserError(
            f"The data folder {root} cannot be written ({error.strerror}). Name another with --data.root."
        ) from error
    raise UserError(
        f"Fashion-MNIST could not be fetched ({'; '.join(reasons)}). Put the four files into {target},"
        f" or on Debian and Ubuntu: apt-get install {DEBIAN_PACKAGE}"
    )


@contextlib.contextmanager
def _scratch_folder(target: Path) -> Iterator[Path]:
    """A folder that is removed at the end, or by a later run if this process is killed: until then it is locked."""
    while True:
        with tempfile.TemporaryDirectory(prefix=FETCHING, dir=target, ignore_cleanup_errors=True) as scratch:
            if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open a folder
                yield Path(scratch)
                return
            descriptor = os.open(scratch, os.O_DIRECTORY)
            try:
                if lock_file(descriptor):
                    yield Path(scratch)
                    return
            finally:
                os.close(descriptor)


def _download_with_torchvision(folder: Path) -> Path:
    from torchvision.datasets import FashionMNIST

    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(CONNECT_TIMEOUT_S)  # torchvision sets none: a silent network would hang
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            FashionMNIST(folder, train=True, download=True)
    finally:
        socket.setdefaulttimeout(timeout)
    return raw_folder(folder)


def _download_with_apt(folder: Path) -> Path:
    """Fetch and unpack the package with state and cache folders of our own, which needs no root."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise UserError("apt-get is not on this machine")
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    own = [f"-oDir::State::Lists={folder / 'lists'}", f"-oDir::Cache={folder / 'cache'}", "-oAPT::Sandbox::User="]
    apt_get = ["apt-get", "-qq", "-oAcquire::Retries=2", *own]
    with contextlib.suppress(UserError):  # one broken source among others fails it; the download will tell
        _run([*apt_get, "update"], folder)
    _run([*apt_get, "download", DEBIAN_PACKAGE], folder)
    (package,) = folder.glob(f"{DEBIAN_PACKAGE}_*.deb")
    _run(["dpkg-deb", "--extract", str(package), str(folder / "unpacked")], folder)
    return folder / "unpacked" / SYSTEM_FOLDER.relative_to("/")


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UserError(f"{command[0]}: {lines[-1]}")


@contextlib.contextmanager
def _progress(what: str, folder: Path) -> Iterator[None]:
    """Say what is fetched, how much has come (on a terminal), and how it ended."""
    from rich.console import Console

    started = time.monotonic()
    ended = threading.Event()

    def megabytes() -> str:
        with contextlib.suppress(OSError):  # files come and go while they are counted
            return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6:.0f} MB"
        return "…"

    print(f"{what} …", flush=True)
    with Console().status(what) as status:

        def watch() -> None:
            while not ended.wait(0.5):
                status.update(f"{what}: {megabytes()}, {time.monotonic() - started:.0f} s")

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        except BaseException:
            print(f"{what}: not reached", flush=True)
            raise
        finally:
            ended.set()
            watcher.join()
    print(f"{what}: done in {time.monotonic() - started:.0f} s", flush=True)
