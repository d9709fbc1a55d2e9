"""The exported page in Chromium, opened from its file: it says what Python says, and nothing leaves it."""

import base64
import io
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from playwright.sync_api import Page, expect
from torch import Tensor

from fashion_lightning import CNN
from fashion_lightning.data.classes import ImageSpec
from fashion_lightning.export.formats import write_page
from fashion_lightning.export.graph import metadata, trace
from fashion_lightning.inference import TrainedClassifier
from fashion_lightning.photographs.files import read_picture
from tests.browser import check_layout
from tests.networks import EveryOperation
from tests.served import ask, file_of, served

pytestmark = pytest.mark.browser

Open = Callable[..., Page]

LARGE = 4
"""Levels by which pixels of a large picture may differ."""

ASK = """async (file) => {
  const bytes = Uint8Array.from(atob(file), (char) => char.charCodeAt(0));
  const prepared = prepare(await decode(new File([bytes], "picture")), images);
  return { pixels: [...prepared.pixels], box: prepared.box };
}"""


@pytest.fixture(scope="session")
def classifier() -> TrainedClassifier:
    """A CNN with default arguments and random weights."""
    torch.manual_seed(3)
    return TrainedClassifier(CNN(), tta="none").eval()


@pytest.fixture(scope="session")
def exported(classifier: TrainedClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "model.html"
    file.write_bytes(write_page(trace(classifier), metadata(classifier, "cnn")))
    return file


@pytest.fixture
def page(open_page: Open, exported: Path) -> Page:
    """The page of that classifier."""
    return open_page(exported.as_uri())


def test_every_operation_is_the_same_in_the_browser(open_page: Open, tmp_path: Path, images: Tensor) -> None:
    classifier = TrainedClassifier(EveryOperation(), tta="flip_shift").eval()
    file = tmp_path / "every.html"
    file.write_bytes(write_page(trace(classifier), metadata(classifier, "every")))
    page = open_page(file.as_uri())
    expected = classifier.classify(images[:5]).probabilities
    ask = "(all) => all.map((pixels) => [...runNetwork(steps, weights, pixels, shape)[1]])"
    said = torch.tensor(page.evaluate(ask, images[:5].reshape(-1, 784).tolist()))
    torch.testing.assert_close(said, expected, atol=1e-5, rtol=0)


def picture(mode: str, size: tuple[int, int] = (300, 200)) -> Image.Image:
    """A dark patch off the middle, on light ground."""
    made = Image.new("RGB", size, (240, 240, 235))
    made.paste((60, 30, 40), (40, 30, 130, 160))
    made.paste((150, 140, 20), (60, 60, 110, 90))
    return made.convert(mode)


def transparent() -> Image.Image:
    image = picture("RGBA")
    image.putalpha(Image.fromarray(np.where(np.asarray(picture("L")) < 200, 255, 0).astype(np.uint8)))
    return image


def turned(size: tuple[int, int] = (200, 300)) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return file_of(picture("RGB").transpose(Image.Transpose.ROTATE_90).resize(size), "JPEG", quality=95, exif=exif)


@pytest.mark.parametrize(
    ("file", "tolerance"),
    [
        pytest.param(file_of(picture("RGB"), "PNG"), 0, id="PNG"),
        pytest.param(file_of(transparent(), "PNG"), 1, id="transparent"),
        pytest.param(file_of(picture("L"), "PNG"), 0, id="grey"),
        pytest.param(file_of(picture("P"), "GIF"), 0, id="GIF"),
        pytest.param(file_of(picture("RGB"), "BMP"), 0, id="BMP"),
        pytest.param(file_of(picture("RGB"), "WEBP", lossless=True), 0, id="WebP"),
        pytest.param(turned(), 3, id="turned by EXIF"),
        pytest.param(file_of(picture("RGB").resize((2400, 1600)), "JPEG", quality=95), LARGE, id="large"),
        pytest.param(turned((1600, 2400)), LARGE, id="large, turned by EXIF"),
        pytest.param(file_of(picture("RGB").resize((60, 40)), "PNG"), 1, id="small"),
        pytest.param(file_of(picture("L").resize((28, 28)), "PNG"), 0, id="28x28, negated"),
        pytest.param(file_of(ImageOps.invert(picture("L").resize((28, 28))), "PNG"), 0, id="28x28"),
        pytest.param(file_of(Image.effect_noise((300, 200), 250), "PNG"), 2, id="no background"),
        pytest.param(file_of(Image.new("RGB", (100, 80), "white"), "PNG"), 0, id="nothing"),
        pytest.param(file_of(ImageOps.invert(picture("L")), "PNG"), 1, id="light on black"),
        pytest.param(file_of(Image.new("RGB", (1, 1), "red"), "PNG"), 0, id="one pixel"),
    ],
)
def test_every_kind_of_picture_is_prepared_as_python_does(page: Page, file: bytes, tolerance: int) -> None:
    expected = read_picture(io.BytesIO(file))
    said: dict[str, Any] = page.evaluate(ASK, base64.b64encode(file).decode())
    differs = np.abs(np.array(said["pixels"]).reshape(28, 28) - expected.pixels) > tolerance
    assert differs.mean() <= (0.1 if tolerance == LARGE else 0)  # browsers reduce it in their own way: a row may move
    assert np.allclose(said["box"], expected.box, atol=0.005)


DROP = """([file, name]) => {
  const bytes = Uint8Array.from(atob(file), (char) => char.charCodeAt(0));
  const dropped = new DataTransfer();
  dropped.items.add(new File([bytes], name));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
}"""


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_a_dropped_picture_is_classified_and_the_page_fits(
    open_page: Open, exported: Path, classifier: TrainedClassifier, tmp_path: Path, width: int, scheme: str
) -> None:
    page = open_page(exported.as_uri(), width, scheme)
    (path := tmp_path / "picture.png").write_bytes(file_of(picture("RGB"), "PNG"))
    page.evaluate(DROP, [base64.b64encode(path.read_bytes()).decode(), "picture.png"])
    expect(page.locator("#share")).not_to_be_empty()
    names, expected = classifier.classify(path)
    assert page.locator("#said").inner_text() == f"{names[0]} {100 * expected.max():.1f} %"
    shown = page.locator(".bars .percent").all_inner_texts()
    assert shown == [f"{100 * share:.1f} %" for share in expected[0].tolist()]
    expect(page.locator("#original")).to_be_visible()
    expect(page.locator("#seen")).to_have_js_property("naturalWidth", 28)
    check_layout(page, width)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"no picture", "This file cannot be opened as a picture. JPEG, PNG, WebP, GIF and BMP can be opened."),
        (file_of(picture("RGB"), "JPEG")[:300], "This file cannot be opened as a picture."),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "This file cannot be opened as a picture."),
        (b"", "This file cannot be opened as a picture."),
        (b"    ftypheic", "This browser cannot open HEIC, in which iPhones store photographs. Save it as JPEG."),
        (bytes(50_000_000), "The picture has 50 MB. The limit is 40 MB."),
    ],
    ids=["text", "torn", "SVG", "empty", "HEIC", "50 MB"],
)
def test_what_is_no_picture_gets_one_line_and_the_page_goes_on(
    page: Page, tmp_path: Path, file: bytes, said: str
) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(file)
    page.set_input_files("#file", path)
    page.wait_for_selector("#problem:not([hidden])")
    assert page.locator("#problem").inner_text().startswith(said)
    assert page.locator("#class").inner_text() == "No answer"
    path.write_bytes(file_of(picture("RGB"), "PNG"))
    page.set_input_files("#file", path)
    expect(page.locator("#share")).not_to_be_empty()
    assert not page.locator("#problem").is_visible()


@pytest.mark.parametrize("channels", [1, 3])
def test_page_and_server_show_26_names_and_say_what_python_says(channels: int, open_page: Open, tmp_path: Path) -> None:
    names = tuple(f"<b>{letter}" for letter in string.ascii_uppercase)
    images = ImageSpec(names, 32, channels, (0.5,) * channels, (0.25,) * channels)
    torch.manual_seed(0)
    network = CNN(stem=4, widths=[8, 8, 8], num_classes=26, channels=channels, size=32)
    classifier = TrainedClassifier(network, images=images).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (90, 70, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")  # partly transparent
    expected = classifier.classify(tmp_path / "a.png")
    (tmp_path / "letters.html").write_bytes(write_page(trace(classifier), metadata(classifier, "letters")))
    with served(classifier) as port:
        said = ask(port, (tmp_path / "a.png").read_bytes())[1]
        assert said["class"] == expected.names[0]
        assert list(said["probabilities"].values()) == pytest.approx(expected.probabilities[0].tolist(), abs=1e-6)
        for url in ((tmp_path / "letters.html").as_uri(), f"http://127.0.0.1:{port}/"):
            page = open_page(url)
            page.set_input_files("#file", tmp_path / "a.png")
            expect(page.locator("#class")).to_have_text(expected.names[0])
            shares = [f"{100 * share:.1f} %" for share in expected.probabilities[0].tolist()]
            assert page.locator(".bars .percent").all_inner_texts() == shares
            assert page.locator(".bars .name").all_inner_texts() == list(names)
            assert page.locator("h1").inner_text() == "What does it show?"
            check_layout(page, 1280)
