"""Pictures of every format and mode become what the data set would have made of them."""

import csv
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from fashion_lightning.callbacks.predictions import print_best
from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.photographs import files as pictures
from fashion_lightning.photographs import preview
from fashion_lightning.photographs.background import Pixels, grown
from fashion_lightning.photographs.prepare import Prepared, prepare
from tests.conftest import Run


def shirt(background: str = "white", size: tuple[int, int] = (400, 500)) -> Image.Image:
    """Dark blue, off centre: a body of 100x140 and sleeves of 30 on both sides."""
    picture = Image.new("RGB", size, background)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((130, 60, 229, 199), "navy")
    draw.rectangle((100, 60, 259, 99), "navy")
    return picture


def is_the_shirt(prepared: Prepared) -> bool:
    """Upright: 28 wide at the sleeves, 17 or 18 below, bright."""
    widths = (prepared.pixels > 128).sum(1)
    rows = widths[widths > 0]
    return 23 <= len(rows) <= 25 and rows[2] >= 27 and 16 <= rows[-3] <= 19 and prepared.pixels.max() == 255


def bag() -> Pixels:
    """As in the data set ``(28, 28)``: bright, its outline darker, black seen through the handle."""
    image = np.zeros((28, 28), np.uint8)
    image[10:, 2:26] = np.linspace(150, 225, 24)
    image[:10, 8:20] = 200
    image[3:10, 11:17] = 0
    return np.where(grown(image == 0) & (image > 0) | (np.arange(28) == 27)[:, None] & (image > 0), 110, image)


def photographed(image: Pixels, background: int, negated: bool, how: Image.Resampling) -> Image.Image:
    """An image of the data set enlarged by 13.5, cut out, and laid off centre on a background."""
    values = np.where(image > 0, 255 - image if negated else image, 0).astype(np.uint8)
    cut = Image.fromarray(np.where(image > 0, 255, 0).astype(np.uint8)).resize((378, 378), Image.Resampling.NEAREST)
    picture = Image.new("L", (900, 700), background)
    if negated and background == 255:
        picture.paste(Image.fromarray(255 - image).resize((378, 378), how), (90, 213))
    else:
        picture.paste(Image.fromarray(values).resize((378, 378), Image.Resampling.NEAREST), (90, 213), cut)
    return picture


@pytest.mark.parametrize("how", [Image.Resampling.NEAREST, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
def test_rows_and_columns_are_those_of_the_image_that_was_enlarged(how: Image.Resampling) -> None:
    prepared = prepare(photographed(bag(), 255, True, how))
    assert np.abs(prepared.pixels - bag() * (255 / 225)).mean() < 4


def test_light_on_black_and_cut_out_on_black_are_told_apart() -> None:
    light = prepare(photographed(bag(), 0, False, Image.Resampling.NEAREST)).pixels
    assert np.abs(light - bag() * (255 / 225)).mean() < 3
    cut_out = prepare(photographed(bag(), 0, True, Image.Resampling.NEAREST)).pixels
    assert np.corrcoef(cut_out[11:26, 4:24].ravel(), bag()[11:26, 4:24].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("background", [0, 128, 255])
def test_what_is_seen_through_a_handle_is_background(background: int) -> None:
    pixels = prepare(photographed(bag(), background, True, Image.Resampling.NEAREST)).pixels
    assert pixels[4:9, 12:16].max() < 30


@pytest.mark.parametrize("level", [90, 255])
def test_a_light_silhouette_is_seen_whole(level: int) -> None:
    picture = np.zeros((280, 280), np.uint8)
    picture[60:230, 100:190] = level
    pixels = prepare(Image.fromarray(picture)).pixels
    assert (pixels == 255).sum() >= 27 * 14


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tif", "bmp"])
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    shirt().save(tmp_path / f"a.{suffix}")
    assert is_the_shirt(pictures.read_picture(tmp_path / f"a.{suffix}"))


def test_every_mode_is_read_and_sixteen_bits_are_scaled_not_cut_off() -> None:
    deep = Image.fromarray(np.asarray(shirt().convert("L")).astype(np.uint16) * 257)
    for picture in (deep, *(shirt().convert(mode) for mode in ("L", "P", "RGBA", "CMYK", "LA", "YCbCr"))):
        assert is_the_shirt(prepare(picture)), picture.mode


def test_a_picture_is_turned_upright_as_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    shirt().transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.jpg", exif=exif)
    assert is_the_shirt(pictures.read_picture(tmp_path / "a.jpg"))


def test_what_is_transparent_is_background() -> None:
    picture = shirt().convert("RGBA")
    picture.putalpha(Image.fromarray(np.where(np.asarray(shirt().convert("L")) < 128, 255, 0).astype(np.uint8)))
    assert prepare(picture).background == "transparent"
    assert is_the_shirt(prepare(picture))


@pytest.mark.parametrize(
    ("background", "kind"), [("white", "light"), ("#808080", "grey"), ("#d0b060", "coloured"), ("#fdfdfd", "light")]
)
def test_the_background_is_found_and_the_garment_boxed(background: str, kind: str) -> None:
    prepared = prepare(shirt(background))
    assert prepared.background == kind
    assert prepared.box == pytest.approx((100, 60, 260, 200), abs=3)
    assert is_the_shirt(prepared)


def test_an_uneven_background_is_found() -> None:
    slope = np.linspace(130, 250, 400)[None, :, None] * np.ones((500, 1, 3))
    pixels = np.where(np.asarray(shirt())[..., :1] < 128, np.asarray(shirt()), slope).astype(np.uint8)
    prepared = prepare(Image.fromarray(pixels))
    assert prepared.background == "uneven"
    assert is_the_shirt(prepared)


def test_noise_alone_has_no_background() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (100, 100, 3)).astype(np.uint8) * 255
    assert prepare(Image.fromarray(np.kron(noise, np.ones((8, 8, 1), np.uint8)))).background == "none"


def test_an_image_of_the_data_set_goes_through_untouched(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (28, 28)).astype(np.uint8)
    pixels[[0, 0, -1, -1], [0, -1, 0, -1]] = 0
    for mode in ("L", "RGB"):
        Image.fromarray(pixels).convert(mode).save(tmp_path / "a.png")
        prepared = pictures.read_picture(tmp_path / "a.png")
        assert prepared.background == "already prepared"
        assert np.array_equal(prepared.pixels, pixels)
    assert np.array_equal(prepare(Image.fromarray(255 - pixels)).pixels, pixels)


def test_a_large_jpeg_is_decoded_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shirt().resize((3200, 4000)).save(tmp_path / "a.jpg")
    sizes: list[tuple[int, int]] = []

    def watched(picture: Image.Image) -> Prepared:
        sizes.append(picture.size)
        return prepare(picture)

    monkeypatch.setattr(pictures, "prepare", watched)
    assert is_the_shirt(pictures.read_picture(tmp_path / "a.jpg"))
    assert sizes == [(800, 1000)]


def test_predictions_of_a_folder_are_shown_and_written_and_broken_files_are_named(cli: Run, trained: Path) -> None:
    Path("own").mkdir()
    shirt().save("own/[red]a.png")
    shirt().save("own/torn.jpg")
    os.truncate("own/torn.jpg", Path("own/torn.jpg").stat().st_size - 500)
    random = np.random.default_rng(0)
    for index in range(30):
        Image.fromarray(random.integers(0, 100, (28, 28)).astype(np.uint8)).save(f"own/{index:02}.png")
    printed = cli("predict", "--ckpt_path", trained, "--images", "own", "--output", "a.json", exits=2)
    cli("predict", "--ckpt_path", trained, "--images", "own", "--output", "a.csv", exits=2)
    assert "skipped: own/torn.jpg cannot be read as an image" in printed
    assert "error: 1 of 32 files were skipped." in printed
    records = json.loads(Path("a.json").read_text())
    rows = list(csv.DictReader(Path("a.csv").read_text().splitlines()))
    assert (
        [row["image"] for row in rows]
        == [record["image"] for record in records]
        == sorted(f"own/{name}.png" for name in ("[red]a", *(f"{index:02}" for index in range(30))))
    )
    for row, record in zip(rows, records, strict=True):
        shares = record["probabilities"]
        assert row["class"] == record["class"] == max(shares, key=shares.get)
        assert (row["doubtful"] == "true") == record["doubtful"] == (max(shares.values()) < 0.5)
    assert "white ones do not occur" in printed


def test_the_table_marks_a_doubtful_class(capsys: pytest.CaptureFixture[str]) -> None:
    print_best([Path("[red]a.png"), Path("b.png")], [[0.49, 0.48, *[0.00375] * 8], [0.51, 0.46, *[0.00375] * 8]])
    printed = capsys.readouterr().out
    assert "T-shirt/top 49.0 % ?" in printed
    assert "[red]a.png" in printed
    assert printed.count("% ?") == 1
    assert "Doubtful (?): 1 of 2." in printed


def test_a_folder_becomes_28x28_grey_images(tmp_path: Path) -> None:
    Image.new("RGB", (280, 140), (200, 200, 200)).save(tmp_path / "b.png")
    Image.new("L", (28, 28), 7).save(tmp_path / "a.jpg", quality=100)
    read = pictures.read_pictures(pictures.find_pictures([str(tmp_path)]))
    assert [path.name for path in read.paths] == ["a.jpg", "b.png"]
    assert read.images.shape == (2, 1, 28, 28)
    assert (read.images[0] == 7).all()
    assert read.images[1, 0, [0, 14], [0, 14]].tolist() == [0, 255]  # nothing stands out: all is garment


def test_the_preview_shows_each_picture_beside_what_the_network_saw(
    cli: Run, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("own").mkdir()
    for name in ("a" * 90, "b$c$", "c", "d", "e"):
        shirt().save(f"own/{name}.png")
    drawn: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *args: Any, **options: Any) -> None:
        drawn.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    monkeypatch.setattr(preview, "SHOWN", 4)
    printed = cli("predict", "--ckpt_path", trained, "--images", "own", "--output", "a.csv", "--preview", "p.png")
    assert "The first 4 of 5 pictures and what the network saw of them: p.png" in printed
    with Image.open("p.png") as sheet:
        assert sheet.format == "PNG"
    cells = [axes for axes in drawn[0].axes if axes.images]
    assert len(cells) == 2 * 4
    assert np.array_equal(np.asarray(cells[1].images[0].get_array()), prepare(shirt()).pixels)
    said, name = cells[0].get_title(loc="left").split("\n")
    assert said.split(" %")[0].rpartition(" ")[0] in CLASS_NAMES
    assert name == f"{'a' * 22}…{'a' * 18}.png"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_pictures(command_on_generated_data: list[str], trained: Path) -> None:
    Path("own").mkdir()
    shirt().resize((3200, 4000)).save("own/000.jpg")
    peaks = []
    for count in (5, 65):
        for index in range(1, count):
            Path(f"own/{index:03}.jpg").unlink(missing_ok=True)
            Path(f"own/{index:03}.jpg").hardlink_to("own/000.jpg")
        predict = [*command_on_generated_data, "predict", "--ckpt_path", str(trained), "--images", "own"]
        process = subprocess.Popen(predict, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status  # so that Popen knows it has ended
        assert status == 0
        peaks.append(usage.ru_maxrss / 1024)
    assert peaks[1] - peaks[0] < 40, peaks  # MiB; sixty pictures, as they are decoded, have 137
