"""Pictures of every format and mode become what the data set would have made of them."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fashion_lightning.data import pictures
from fashion_lightning.data.photographs import Prepared, prepare
from fashion_lightning.errors import UserError
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


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tif", "bmp"])
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    shirt().save(tmp_path / f"a.{suffix}")
    assert is_the_shirt(pictures.read_picture(tmp_path / f"a.{suffix}"))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "LA", "YCbCr"])
def test_every_mode_is_read(mode: str) -> None:
    assert is_the_shirt(prepare(shirt().convert(mode)))


def test_sixteen_bits_are_scaled_not_cut_off(tmp_path: Path) -> None:
    Image.fromarray(np.asarray(shirt().convert("L")).astype(np.uint16) * 257).save(tmp_path / "a.png")
    assert is_the_shirt(pictures.read_picture(tmp_path / "a.png"))


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


def test_a_broken_file_is_named_and_skipped_and_the_others_are_written(cli: Run, trained: Path) -> None:
    Path("own").mkdir()
    shirt().save("own/a.png")
    Path("own/b.png").write_bytes(b"broken")
    shirt().save("own/c.jpg")
    printed = cli("predict", "--ckpt_path", trained, "--data.images", "own", "--output", "a.csv", exits=2)
    assert "skipped: own/b.png cannot be read as an image" in printed
    assert "error: 1 of 3 files were skipped." in printed
    assert [line.split(",")[0] for line in Path("a.csv").read_text().splitlines()] == [
        "image",
        "own/a.png",
        "own/c.jpg",
    ]


def test_a_file_cut_short_is_broken(tmp_path: Path) -> None:
    file = io.BytesIO()
    shirt().save(file, "JPEG")
    (tmp_path / "a.jpg").write_bytes(file.getvalue()[:-500])
    with pytest.raises(UserError, match="cannot be read as an image"):
        pictures.read_picture(tmp_path / "a.jpg")


def test_own_pictures_are_shown_in_a_table_and_written_as_json(cli: Run, trained: Path) -> None:
    shirt().save("[red]a.png")
    printed = cli("predict", "--ckpt_path", trained, "--data.images", "[red]a.png", "--output", "a.json")
    assert "[red]a.png" in printed
    assert "white ones do not occur" in printed
    (record,) = json.loads(Path("a.json").read_text())
    assert record["image"] == "[red]a.png"
    assert record["class"] == max(record["probabilities"], key=record["probabilities"].get)
    assert record["class"] in printed
