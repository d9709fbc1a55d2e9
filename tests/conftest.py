"""Generated data and a tiny recipe: every test runs offline, in its own folder."""

import gzip
import hashlib
import shutil
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from PIL import Image

from fashion_lightning.data import source, split
from fashion_lightning.runs import origin
from tests.browser import browser, open_page  # noqa: F401

Run = Callable[..., str]

ROOT = Path(__file__).parents[1]

RUN, SECOND = (Path(f"tensorboard_logs/tiny/version_{number}") for number in range(2))
"""The folders of the first two runs of the tiny recipe."""

TRAIN_IMAGES, TEST_IMAGES = 600, 100

ENOUGH_TO_CHOOSE = 50  # validation images

TINY_RECIPE = """
model:
  network:
    class_path: fashion_lightning.networks.CNN
    init_args: {stem: 4, widths: [4, 4, 8]}
  optimizer:
    class_path: fashion_lightning.optimizers.Muon
  scheduler:
    class_path: fashion_lightning.schedules.LinearDecay
data:
  batch_size: 50
  val_size: 100
  flip: random
  shift: 1
pictures: false
trainer:
  accelerator: cpu
  max_epochs: 2
  log_every_n_steps: 5
"""


def write_idx(folder: Path, name: str, array: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bytes:
    """Write an array of bytes as gzipped IDX, the format of the real files, and return the IDX content."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    content = header + array.tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.gz").write_bytes(gzip.compress(content, 1))
    return content


def write_generated_data(folder: Path) -> dict[str, str]:
    """Write four small files, each class with stripes of its own, and return their hashes."""
    random, hashes = np.random.default_rng(0), {}
    for part, count in (("train", TRAIN_IMAGES), ("test", TEST_IMAGES)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = random.integers(0, 60, (count, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            stripes = image if label % 2 else image.T
            stripes[:: 2 + label // 2] += 150
        for name, array in zip(source.FILES[part], (images, labels), strict=True):  # type: ignore[index]
            hashes[name] = hashlib.sha256(write_idx(folder, name, array)).hexdigest()
    return hashes


def write_pictures(folder: Path, counts: dict[str, int], size: int = 12) -> Path:
    """Write class folders of coloured pictures: noise with stripes, whose width tells the class; no two are equal."""
    random = np.random.default_rng(0)
    for number, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for picture in range(count):
            pixels = random.integers(0, 100, (size, size + 2, 3), dtype=np.uint8)
            pixels[:: number + 2, :, number % 3] += 150
            Image.fromarray(pixels).save(folder / name / f"{picture}.png")
    return folder


def command_with_hashes(script: Path, hashes: dict[str, str]) -> list[str]:
    """Return the start of a command whose process takes files with these hashes for the real ones.

    The processes that it starts do so too.
    """
    lines = (
        "import os; os.environ.setdefault('OMP_NUM_THREADS', '1')",
        "from fashion_lightning.runs import processes",
        "from fashion_lightning.cli import main",
        "from fashion_lightning.data import source, split",
        f"split.ENOUGH_TO_CHOOSE = {ENOUGH_TO_CHOOSE}",
        f"processes.PROGRAM = {[sys.executable, str(script)]}",
        f"source.SHA256.update({hashes!r})",
        "main()",
    )
    # The processes that decode pictures for `serve` import this script again.
    script.write_text("if __name__ == '__main__':\n    " + "\n    ".join(lines) + "\n")
    return [sys.executable, str(script)]


def quiet_trainer(**settings: Any) -> Trainer:
    """A Trainer on the CPU that prints and saves nothing."""
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        **settings,
    )


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with the generated files, and their hashes."""
    folder = tmp_path_factory.mktemp("generated")
    return folder, write_generated_data(folder)


@pytest.fixture(autouse=True)
def offline(generated: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use the generated files instead of the real ones; fail a test that uses the network."""

    def no_network(folder: Path) -> Path:
        raise AssertionError(f"a test reached for the network, into {folder}")

    monkeypatch.setattr(source, "SHA256", generated[1])
    monkeypatch.setattr(split, "ENOUGH_TO_CHOOSE", ENOUGH_TO_CHOOSE)
    monkeypatch.setattr(source, "SYSTEM_FOLDER", tmp_path / "no-system-copy")
    monkeypatch.setattr(source, "_download_with_torchvision", no_network)
    monkeypatch.setattr(source, "_download_with_apt", no_network)
    monkeypatch.setattr(origin, "git_state", lambda folder: {})  # otherwise that of the developer's checkout
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def data(generated: tuple[Path, dict[str, str]]) -> Path:
    """A data folder that holds the generated files."""
    return generated[0]


@pytest.fixture
def images(data: Path) -> torch.Tensor:
    """The training images ``(600, 1, 28, 28) uint8``."""
    return source.load("train", data)[0]


@pytest.fixture
def recipe(tmp_path: Path, data: Path) -> Path:
    """A recipe file of a tiny network on the generated data."""
    (tmp_path / "data").symlink_to(data)  # where a checkpoint that names no folder looks
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY_RECIPE)
    return path


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process and return what it printed."""
    from fashion_lightning.cli import main

    def run(*args: str | Path, exits: int | None = None) -> str:
        if exits is None:
            main([str(arg) for arg in args])
        else:
            with pytest.raises(SystemExit) as stopped:
                main([str(arg) for arg in args])
            assert stopped.value.code == exits
        printed = capfd.readouterr()
        return printed.out + printed.err

    return run


@pytest.fixture
def command_on_generated_data(tmp_path: Path) -> list[str]:
    """Return the start of a command whose process uses the generated files."""
    return command_with_hashes(tmp_path / "fashion_lightning_on_generated_data.py", source.SHA256)


@pytest.fixture
def on_generated_data(monkeypatch: pytest.MonkeyPatch, command_on_generated_data: list[str]) -> None:
    """Make the package's child processes use the generated files and one thread each."""
    for module in ("runs.processes", "from_python"):
        monkeypatch.setattr(f"fashion_lightning.{module}.PROGRAM", tuple(command_on_generated_data))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def fitted(cli: Run, recipe: Path, generated: tuple[Path, dict[str, str]]) -> Callable[..., Path]:
    """Fit the tiny recipe with more settings, once for each; return ``RUN``, the folder of a copy of that run."""

    def fit(*settings: str, exits: int | None = None) -> Path:
        kept = generated[0].with_name(hashlib.sha256(repr(settings).encode()).hexdigest())
        if not kept.exists():
            cli("fit", "--config", recipe, *settings, exits=exits)
            next(RUN.parents[1].glob("*/version_0")).rename(kept)  # may be named after its network
        shutil.copytree(kept, RUN)
        return RUN

    return fit


@pytest.fixture
def trained(fitted: Callable[..., Path]) -> Path:
    """The run folder of a finished run of the tiny recipe."""
    return fitted()


@pytest.fixture
def drawn(fitted: Callable[..., Path]) -> Path:
    """The run folder of a finished run with pictures."""
    return fitted("--pictures=true")
