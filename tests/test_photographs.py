"""Pictures of every format and mode become what the data set would have made of them."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from fashion_lightning.data.classes import FASHION_MNIST, ImageSpec, rendered
from fashion_lightning.errors import UserError
from fashion_lightning.files.pictures import opened
from fashion_lightning.photographs import files as pictures
from fashion_lightning.photographs import preview
from fashion_lightning.photographs.prepare import Pixels, Prepared, prepare
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
    return image


def enlarged(image: Pixels, ground: str = "white") -> Image.Image:
    """An image of the data set as a catalogue shows it: dark, 13.5 times as large, off the middle."""
    picture = Image.new("RGB", (900, 700), ground)
    picture.paste(Image.fromarray(255 - image).resize((378, 378), Image.Resampling.BICUBIC), (90, 213))
    return picture


def test_a_catalogue_picture_becomes_the_image_that_was_enlarged() -> None:
    assert np.corrcoef(prepare(enlarged(bag())).pixels.ravel(), bag().ravel())[0, 1] > 0.9


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


def test_what_is_transparent_is_white() -> None:
    picture = shirt().convert("RGBA")
    picture.putalpha(Image.fromarray(np.where(np.asarray(shirt().convert("L")) < 128, 255, 0).astype(np.uint8)))
    assert is_the_shirt(prepare(picture))


@pytest.mark.parametrize("ground", ["white", "#808080", "#d0b060", "black"])
def test_a_garment_on_plain_ground_is_boxed(ground: str) -> None:
    prepared = prepare(shirt(ground))
    assert prepared.box == pytest.approx((0.25, 0.12, 0.65, 0.4), abs=0.006)
    assert is_the_shirt(prepared)


def test_a_network_for_photographs_sees_a_frame_around_it_or_the_middle() -> None:
    framed, middle = (prepare(picture, rendered(48)) for picture in (shirt(), shirt().crop((120, 60, 240, 220))))
    assert framed.pixels.shape == (48, 48, 3)
    left, top, right, bottom = framed.box
    assert 400 * (right - left) == pytest.approx(500 * (bottom - top), abs=1) == pytest.approx(160 / 0.85, abs=3)
    assert middle.box == pytest.approx((0, 0.125, 1, 0.875))
    assert (framed.pixels[0] == 255).all()
    assert (framed.pixels[24, 24] == (0, 0, 128)).all()


def test_a_frame_that_is_given_is_what_the_network_sees_also_beyond_the_picture() -> None:
    for images in (FASHION_MNIST, rendered(48), ImageSpec(("a", "b"), 32)):
        assert prepare(shirt(), images, (0.25, 0.12, 0.65, 0.4)).box == pytest.approx((0.25, 0.12, 0.65, 0.4))
    wide = prepare(shirt("red"), rendered(48), (-0.5, -0.5, 1.5, 1.5)).pixels
    assert (wide[[0, 0, -1, -1], [0, -1, 0, -1]] == (255, 0, 0)).all()


def test_an_image_of_the_data_set_goes_through_untouched(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (28, 28)).astype(np.uint8)
    pixels[[0, 0, -1, -1], [0, -1, 0, -1]] = 0
    for mode in ("L", "RGB"):
        Image.fromarray(pixels).convert(mode).save(tmp_path / "a.png")
        assert np.array_equal(pictures.read_picture(tmp_path / "a.png").pixels, pixels)
    assert np.array_equal(prepare(Image.fromarray(255 - pixels)).pixels, pixels)


def test_a_large_jpeg_is_decoded_smaller(tmp_path: Path) -> None:
    shirt().resize((3200, 4000)).save(tmp_path / "a.jpg")
    with opened(tmp_path / "a.jpg") as picture:
        assert picture.size == (800, 1000)
        assert is_the_shirt(prepare(picture))


def test_the_content_of_a_file_decides_and_dot_files_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "photos [2024]"
    folder.mkdir()
    for name in ("a.jfif", "b", "c.heic", "._a.jpg", "Thumbs.db"):
        shirt().save(folder / name, "JPEG")
    (folder / "c.heic").write_bytes(b"what only a phone can read")
    found = pictures.find_pictures([str(folder)])
    assert [path.name for path in found] == ["a.jfif", "b", "c.heic"]
    assert found[:1] == pictures.find_pictures([f"{folder}/*.jfif", f"{tmp_path}/**/*.jfif", f"{tmp_path}/**/a*"])
    read = pictures.read_pictures(found)
    assert read.paths == found[:2]
    assert "c.heic cannot be read as an image" in read.broken[0]


@pytest.mark.slow
def test_predictions_of_a_folder_are_shown_and_written_and_broken_files_are_named(cli: Run, trained: Path) -> None:
    Path("own").mkdir()
    shirt().save("own/[red]a.png")
    shirt().save("own/torn.jpg")
    os.truncate("own/torn.jpg", Path("own/torn.jpg").stat().st_size - 500)
    random = np.random.default_rng(0)
    for index in range(30):
        Image.fromarray(random.integers(0, 100, (28, 28)).astype(np.uint8)).save(f"own/{index:02}.png")
    predict = ("predict", "--ckpt_path", trained, "--images", "own")
    printed = cli(*predict, "--output", "a.json", "--preview", "p.png", exits=2)
    cli(*predict, "--output", "a.csv", exits=2)
    for said in ("skipped: own/torn.jpg cannot be read as an image", "error: 1 of 32 files were skipped.", "p.png"):
        assert said in printed
    with Image.open("p.png") as sheet:
        assert (sheet.format, sheet.width > sheet.height / 4) == ("PNG", True)
    records = json.loads(Path("a.json").read_text())
    rows = list(csv.DictReader(Path("a.csv").read_text().splitlines()))
    images = sorted(f"own/{name}.png" for name in ("[red]a", *(f"{index:02}" for index in range(30))))
    assert [row["image"] for row in rows] == [record["image"] for record in records] == images
    for row, record in zip(rows, records, strict=True):
        shares = record["probabilities"]
        assert row["class"] == record["class"] == max(shares, key=shares.get)
        assert (row["doubtful"] == "true") == record["doubtful"] == (max(shares.values()) < 0.5)
        assert row["likely"] == (" or ".join(record["likely"]) or "none of these classes")
        assert record["likely"] == [] or record["likely"][0] == row["class"]


def test_the_preview_holds_each_picture_and_what_the_network_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    shirt().save("a$b$.png")
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    preview.write_preview(Path("p.png"), [Path("a$b$.png")], [([0.4, 0.3, 0.3, *[0.0] * 7], ["Coat"])], FASHION_MNIST)
    left, right = drawn[0].axes
    assert np.array_equal(np.asarray(right.images[0].get_array()), prepare(shirt()).pixels)
    assert left.get_title(loc="left") == "T-shirt/top 40.0 %, doubtful; likely: Coat\na$b$.png"


def test_a_picture_of_an_iphone_names_the_package_that_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(100))
    with pytest.raises(UserError, match="pip install pillow-heif"):
        pictures.read_picture(tmp_path / "a.heic")
