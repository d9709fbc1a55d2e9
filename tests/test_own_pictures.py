"""A folder of one's own pictures is a data set like another: found, prepared once, trained on, and told apart."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fashion_lightning
from fashion_lightning.data import own_pictures
from fashion_lightning.data.classes import ImageSpec
from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.errors import UserError
from tests.conftest import Run, write_idx, write_pictures

FAST = ("--epochs", "1", "--batch_size", "20", "--pictures", "false", "--trainer.accelerator", "cpu")
SMALL = ("--network", "cnn", "--model.network.init_args.stem", "4", "--model.network.init_args.widths", "[4,8]")


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """Three classes, one of them rare, in colour."""
    return write_pictures(tmp_path / "shapes", {"red": 40, "<b>green": 40, "$blue^$ = [x]": 10})


def equal(one: own_pictures.OwnPictures, other: own_pictures.OwnPictures) -> bool:
    pairs = [zip(one.splits[split], other.splits[split], strict=True) for split in ("train", "test")]
    return all(torch.equal(a, b) for pair in pairs for a, b in pair)


def test_class_folders_give_classes_size_colour_and_normalization(shapes: Path) -> None:
    (shapes / ".DS_Store").touch()
    (shapes / "red" / "Thumbs.db").touch()
    (shapes / "red" / "._0.png").write_bytes(b"x")
    (shapes / "red").symlink_to((shapes / "red").rename(shapes.with_name("elsewhere")))
    data = own_pictures.load(shapes, size=16)
    assert data.images.class_names == ("$blue^$ = [x]", "<b>green", "red")
    assert (data.images.size, data.images.channels) == (16, 3)
    (train, _), (test, test_labels) = data.splits["train"], data.splits["test"]
    assert train.shape == (76, 3, 16, 16)
    assert (len(test), torch.bincount(test_labels).tolist()) == (14, [2, 6, 6])  # 15 % of each class
    pixels = train.float() / 255
    assert data.images.mean == tuple(round(x, 4) for x in pixels.mean((0, 2, 3)).tolist())
    assert data.images.std == tuple(round(x, 4) for x in pixels.std((0, 2, 3)).tolist())
    assert own_pictures.load(shapes, size=16, channels=1).splits["train"][0].shape == (76, 1, 16, 16)
    (shapes / "red").rename(shapes / "train")
    found = own_pictures.load(shapes).images
    assert [*found.class_names, found.size] == ["$blue^$ = [x]", "<b>green", "train", 28]


def test_train_val_and_test_folders_are_kept_apart(shapes: Path, tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        shutil.copytree(shapes, tmp_path / "parts" / part)
    data = own_pictures.load(tmp_path / "parts", size=8)
    assert (len(data.splits["train"][0]), data.validation, len(data.splits["test"][0])) == (180, 90, 90)
    assert "90 test pictures are training pictures too" in data.lines[0]
    own = FashionMNISTDataModule(folder=str(tmp_path / "parts"), size=8)
    own.setup("fit")
    own.val_size = 0
    with pytest.raises(UserError, match="have a validation folder: leave data"):
        own.setup("fit")
    assert own.val_set.indices.tolist() == list(range(90, 180))


def test_pictures_are_prepared_once_until_a_file_changes(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = own_pictures.load(shapes, size=8)
    monkeypatch.setattr(own_pictures, "_prepared", None)  # whoever prepares again fails
    again = own_pictures.load(shapes, size=8)
    assert (again.images, again.lines, again.files) == (first.images, first.lines, first.files)
    assert equal(again, first)
    (shapes / "red" / "0.png").write_bytes((shapes / "red" / "1.png").read_bytes())
    with pytest.raises(TypeError):
        own_pictures.load(shapes, size=8)


def digits(folder: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """IDX files of 26 classes numbered from 1, as EMNIST's letters are, and class folders of the same images."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(1, 27, dtype=np.uint8), 6)
    images = random.integers(0, 256, (len(labels), 8, 8), dtype=np.uint8)
    for part in ("train", "test"):
        write_idx(folder / "idx", f"emnist-letters-{part}-images-idx3-ubyte", images)
        write_idx(folder / "idx", f"emnist-letters-{part}-labels-idx1-ubyte", labels)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            place = folder / "folders" / part / f"{label:02}"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{number:03}.png")
    return images


def test_idx_files_of_any_number_of_classes_are_the_same_data_as_class_folders(tmp_path: Path) -> None:
    images = digits(tmp_path)
    idx, folders = own_pictures.load(tmp_path / "idx"), own_pictures.load(tmp_path / "folders", size=8, channels=1)
    assert idx.images.class_names == tuple(map(str, range(1, 27)))
    assert idx.images.shape == folders.images.shape == (1, 8, 8)
    assert equal(idx, folders)
    assert torch.equal(idx.splits["train"][0][:, 0], torch.from_numpy(images))
    (tmp_path / "idx" / "classes.txt").write_text("\n".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    assert own_pictures.load(tmp_path / "idx").images.class_names[:2] == ("A", "B")


def test_idx_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    digits(tmp_path)
    (tmp_path / "idx" / "classes.txt").write_text("A\nB")
    with pytest.raises(UserError, match="has 2 names, but the labels have 26 classes"):
        own_pictures.load(tmp_path / "idx")
    images = next((tmp_path / "idx").glob("*train-images*"))
    images.write_bytes(gzip.compress(gzip.decompress(images.read_bytes())[:-1]))
    with pytest.raises(UserError, match="is not a complete IDX file of integers"):
        own_pictures.load(tmp_path / "idx")


def no_classes(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "train.parquet").touch()


def one_class(folder: Path) -> None:
    for name in ("<b>green", "$blue^$ = [x]"):
        shutil.rmtree(folder / name)


def few_pictures(folder: Path) -> None:
    for number in range(6):
        (folder / "$blue^$ = [x]" / f"{number}.png").unlink()


def broken(folder: Path) -> None:
    for number in range(9):
        (folder / "red" / f"{number}.png").write_bytes(b"")


def all_equal(folder: Path) -> None:
    for file in folder.glob("*/*.png"):
        Image.new("RGB", (9, 9)).save(file)


def untrained(folder: Path) -> None:
    shutil.move(folder, folder.parent / "moved")
    shutil.move(folder.parent / "moved", folder / "train")
    write_pictures(folder / "test", {"yellow": 5})


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (shutil.rmtree, "--data.folder: there is no folder .*shapes"),
        (no_classes, "but train.parquet. Put .*: .*/cat/1.jpg.* Extract pictures from tables and archives first"),
        (one_class, "holds one class only, red: a classifier needs two"),
        (few_pictures, "The class .blue.* of .* has fewer than 5 pictures to train on. Add some"),
        (
            lambda folder: shutil.copytree(folder / "red", folder / "red/more"),
            "red/more/0.png is not directly in a class folder",
        ),
        (
            lambda folder: shutil.copytree(folder / "red", folder / "Red"),
            "The classes Red and red of .* differ only in case",
        ),
        (broken, "9 of 90 files cannot be read: .*red/0.png cannot be read .* Up to 5% may be unreadable"),
        (all_equal, "All pictures in .* look the same"),
        (
            lambda folder: shutil.copytree(folder / "red", folder / "train/red"),
            "0.png is not directly in a class folder. Place pictures like .*shapes/train/cat/1.jpg",
        ),
        (untrained, "has no pictures to train on for the class yellow"),
        (lambda folder: (folder / "yellow").mkdir(), "has no pictures to train on for the class yellow"),
    ],
)
def test_errors_of_the_first_hour_are_one_line(
    spoil: Callable[[Path], object], line: str, shapes: Path, cli: Run
) -> None:
    spoil(shapes)
    assert cli("fit", "--data.folder", shapes, *FAST, *SMALL, exits=2).count("\n") == 1
    with pytest.raises(UserError, match=line):
        own_pictures.load(shapes)
    assert not Path("tensorboard_logs").exists()


def test_a_few_broken_files_are_named_and_skipped(shapes: Path) -> None:
    (shapes / "red" / "7.png").write_bytes((shapes / "red" / "7.png").read_bytes()[:60])
    (shapes / "red" / "notes.txt").write_text("no picture")
    data = own_pictures.load(shapes, size=8)
    assert data.lines[1].startswith("2 of 91 files cannot be read: ")
    assert "7.png" in data.lines[1]
    assert "notes.txt" in data.lines[1]


def test_more_than_half_of_the_memory_is_refused(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", {"SC_PHYS_PAGES": 10, "SC_PAGE_SIZE": 4096}.__getitem__)
    with pytest.raises(UserError, match=r"need 0.0 GB of memory, more than half .* smaller --data.size than 28"):
        own_pictures.load(shapes)
    assert "0.0 MB in memory as 8x8 pixels" in own_pictures.load(shapes, size=8, channels=1).lines[-1]


@pytest.mark.slow
def test_own_pictures_are_trained_on_tested_continued_and_shown_with_their_names(shapes: Path, cli: Run) -> None:
    printed = cli("fit", "--data.folder", "shapes", "--data.size", "32", "--cutout", "30", "--balanced", *FAST, *SMALL)
    assert all(text in printed for text in ("15% of each class is kept for `test`", "0.3 MB in memory as 32x32 pixels"))
    run = Path("tensorboard_logs/shapes/version_0")
    card = json.loads(torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["fashion_lightning"]["card"])
    assert ImageSpec.of(card["images"]) == own_pictures.load(shapes, size=32).images
    assert card["network"]["init_args"]["num_classes"] == 3
    printed = cli("test", "--ckpt_path", "shapes", "--trainer.accelerator", "cpu")
    assert all(text in printed for text in ("$blue^$ = [x]", "balanced over classes"))
    report = (run / "test_best.html").read_text()
    assert ("&lt;b&gt;green" in report, "<b>green" in report) == (True, False)
    figures = json.loads((run / "test_best.json").read_text())
    assert figures["balanced_accuracy"] * 3 == pytest.approx(sum(row["recall"] for row in figures["classes"].values()))
    predict = ["predict", "--ckpt_path", "shapes", "--trainer.accelerator", "cpu"]
    assert "90 predictions" in cli(*predict, "--images", "shapes")
    cli(*predict, "--output", "test.json")
    answers = {(shapes / answer["image"]): answer["label"] for answer in json.loads(Path("test.json").read_text())}
    assert [(file.is_file(), file.parent.name) for file in answers] == [(True, label) for label in answers.values()]
    (shapes / "latest.txt").touch()  # no folder of test pictures
    (shapes / "red" / "40.png").write_bytes((shapes / "red" / "3.png").read_bytes())
    assert "'red' has 35, not 34" in cli("fit", "--ckpt_path", "shapes", "--epochs", "2", exits=2)
    assert "'red' has 35, not 34" in cli("test", "--ckpt_path", "shapes", exits=2)  # its test pictures would be others
    (shapes / "red" / "40.png").unlink()
    assert "2 epochs in" in cli("fit", "--ckpt_path", "shapes", "--epochs", "2")
    classifier = fashion_lightning.load("shapes")
    assert classifier.classify(shapes / "red" / "0.png").names[0] in classifier.images.class_names


def test_a_data_set_with_other_classes_is_refused(shapes: Path, trained: Path, cli: Run) -> None:
    assert "knows the 10 classes T-shirt/top, Trouser, Pullover, …; the data have 3" in cli(
        "test", "--ckpt_path", trained, "--data.folder", shapes, exits=2
    )
    assert "are not those that" in cli("fit", "--ckpt_path", trained, "--data.folder", shapes, exits=2)


def test_weights_are_fine_tuned_and_freeze_trains_the_head_alone(shapes: Path, trained: Path, cli: Run) -> None:
    fast = (*FAST, "--data.folder", shapes, "--weights", trained)
    assert "new: head.weight" in cli("fit", *fast, "--freeze")
    before = fashion_lightning.load(trained).network.state_dict()
    after = fashion_lightning.load("shapes_from_tiny_version_0").network.state_dict()
    changed = {name for name in after if after[name].shape != before[name].shape or (after[name] != before[name]).any()}
    assert changed == {"head.weight"}
    assert "give the other layers' weights" in cli("fit", "--freeze", exits=2)
