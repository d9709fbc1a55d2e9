"""Where the files come from, and that only the right ones are used."""

import gzip
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from fashion_lightning.data import source
from fashion_lightning.errors import UserError
from tests.conftest import TRAIN_IMAGES, write_idx


def copy_from(folder: Path) -> object:
    """A download that brings the generated files."""

    def download(into: Path) -> Path:
        return Path(shutil.copytree(folder, into / "unpacked"))

    return download


def fails(into: Path) -> Path:
    raise RuntimeError(f"no route to host, {into.name}")


def test_images_and_labels_have_the_documented_shapes_and_types(data: Path) -> None:
    images, labels = source.load("train", data)
    assert images.shape == (TRAIN_IMAGES, 1, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.shape == (TRAIN_IMAGES,)
    assert labels.tolist()[:12] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]


def test_the_content_decides_in_torchvisions_layout_or_flat_zipped_or_not_under_kaggles_names(
    data: Path, tmp_path: Path
) -> None:
    expected = source.load("test", data)
    for folder in (tmp_path / "flat", tmp_path / "deep" / "FashionMNIST" / "raw"):
        folder.mkdir(parents=True)
        for name in source.FILES["test"]:
            content = gzip.decompress((data / f"{name}.gz").read_bytes())
            (folder / name.replace("-idx", ".idx")).write_bytes(content)
    for root in (tmp_path / "flat", tmp_path / "deep", tmp_path / "deep" / "FashionMNIST"):
        assert all(torch.equal(a, b) for a, b in zip(source.load("test", root), expected, strict=True))


def test_a_system_copy_is_read_in_place(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "SYSTEM_FOLDER", data)
    source.load("train", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_bad_system_copy_is_passed_over(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in source.FILES["train"]:
        write_idx(tmp_path / "system", name, np.zeros((3, 28, 28), np.uint8))
    monkeypatch.setattr(source, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.setattr(source, "_download_with_torchvision", copy_from(data))
    (tmp_path / "data").mkdir()
    assert len(source.load("train", tmp_path / "data")[0]) == TRAIN_IMAGES


@pytest.mark.parametrize("working", ["_download_with_torchvision", "_download_with_apt"])
def test_a_download_fills_the_data_folder_once(
    working: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(source, "_download_with_torchvision", fails)
    monkeypatch.setattr(source, "_download_with_apt", fails)
    monkeypatch.setattr(source, working, copy_from(data))
    source.load("train", tmp_path)
    assert "Fetching Fashion-MNIST" in capsys.readouterr().out
    monkeypatch.setattr(source, working, fails)
    source.load("train", tmp_path)
    source.load("test", tmp_path)  # Debian's package and torchvision bring all four files
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in source.raw_folder(tmp_path).iterdir()) == sorted(
        f"{name}.gz" for name in source.SHA256
    )


def test_without_any_source_the_message_names_each_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_download_with_torchvision", fails)
    monkeypatch.setattr(source, "_download_with_apt", fails)
    with pytest.raises(UserError, match=r"torchvision.*no route to host.*Debian.*Put the four files into"):
        source.load("train", tmp_path)
    assert list(source.raw_folder(tmp_path).iterdir()) == []


def hold_mnist(folder: Path) -> None:
    for name in source.FILES["train"]:
        write_idx(folder, name, np.ones((5, 28, 28), np.uint8))


@pytest.mark.parametrize(
    ("hold", "line"),
    [
        (hold_mnist, r"but train-images-idx3-ubyte.gz, .* \(checked by SHA-256: MNIST's have the same names\)"),
        (
            lambda folder: (folder / "circle").mkdir(parents=True),
            r"but circle .* To train on these: --data.folder .*typed",
        ),
        (lambda folder: None, r"--data.root: there is no folder .*typed"),
    ],
)
def test_a_typed_folder_with_other_things_or_that_is_not_there_is_refused_and_left_alone(
    hold: Callable[[Path], object], line: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "SYSTEM_FOLDER", data)  # which must not take its place without a word
    hold(tmp_path / "typed")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    with pytest.raises(UserError, match=line):
        source.load("train", tmp_path / "typed")
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_half_a_file_is_refused_and_half_a_download_never_put_in_place(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(into: Path) -> Path:
        into.mkdir(exist_ok=True)
        for name in source.SHA256:
            (into / f"{name}.gz").write_bytes((data / f"{name}.gz").read_bytes()[:100])
        return into

    for name in ("_download_with_torchvision", "_download_with_apt"):
        monkeypatch.setattr(source, name, half)
    with pytest.raises(UserError, match="its files are not Fashion-MNIST's by their SHA-256"):
        source.load("train", tmp_path)
    assert list(source.raw_folder(tmp_path).iterdir()) == []
    with pytest.raises(UserError, match="does not hold all of Fashion-MNIST's files, but t10k-images"):
        source.load("train", half(tmp_path / "typed"))


def test_two_first_runs_at_once_both_succeed(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_download_with_torchvision", copy_from(data))
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(source.load, "train", tmp_path) for _ in range(4)]
    assert {len(run.result()[0]) for run in runs} == {TRAIN_IMAGES}
    assert len(list(source.raw_folder(tmp_path).iterdir())) == len(source.SHA256)


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"The data folder .*file/datasets cannot be written .* --data.root"):
        source.load("train")


def test_a_later_fetch_clears_what_a_killed_one_left(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = source.raw_folder(tmp_path) / ".fetching-left"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"half")
    monkeypatch.setattr(source, "_download_with_torchvision", copy_from(data))
    source.load("train", tmp_path)
    assert not list(left.parent.glob(".fetching-*"))


def place_in(root: Path, data: Path) -> Path:
    """Copy the generated files into a data folder, in torchvision's layout."""
    return Path(shutil.copytree(data, source.raw_folder(root)))


def test_data_are_fetched_once_for_a_user_not_once_for_each_folder(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_download_with_torchvision", copy_from(data))
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        assert len(source.load("train")[0]) == TRAIN_IMAGES
        source.load("test", Path())  # a folder without the files is not filled needlessly
        assert list(Path().iterdir()) == []
        monkeypatch.setattr(source, "_download_with_torchvision", fails)


def test_data_in_the_working_folder_are_used_as_by_earlier_versions(data: Path, tmp_path: Path) -> None:
    place_in(tmp_path / "data", data)
    source.load("train")
    assert not source.user_folder().exists()


def test_a_named_folder_wins_and_a_bad_copy_of_the_users_is_replaced(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = place_in(source.user_folder(), data)
    for file in bad.iterdir():
        file.write_bytes(b"bad")
    place_in(tmp_path / "named", data)
    source.load("train", tmp_path / "named")
    monkeypatch.setattr(source, "_download_with_torchvision", copy_from(data))
    assert len(source.load("train")[0]) == TRAIN_IMAGES  # here the user's copy is the data folder
