"""The exported page in Chromium, opened from its file: it says what Python says, and nothing leaves it."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from playwright.sync_api import Browser, Page
from torch import Tensor

from benchmarks.photographs import BACKGROUNDS, RENDERINGS, photograph
from fashion_lightning import CNN, FashionMNISTClassifier
from fashion_lightning.data import source
from fashion_lightning.data.photographs import Prepared
from fashion_lightning.data.pictures import read_picture
from fashion_lightning.export import html_file
from fashion_lightning.export.graph import metadata, trace
from tests.networks import EveryOperation
from tests.test_report_browser import open_page

pytestmark = pytest.mark.browser

REAL = Path("/usr/share/datasets/fashion-mnist")
ASK = """async (file) => {
  const bytes = Uint8Array.from(atob(file), (char) => char.charCodeAt(0));
  const prepared = prepare(await decode(new File([bytes], "picture")));
  return { pixels: [...prepared.pixels], background: prepared.background, box: prepared.box };
}"""


@pytest.fixture(scope="session")
def classifier() -> FashionMNISTClassifier:
    """The default network with weights that nobody trained, and with which classes differ."""
    torch.manual_seed(3)
    classifier = FashionMNISTClassifier(CNN(), tta="none").train()
    with torch.no_grad():
        for _ in range(3):
            classifier(torch.randint(0, 256, (64, 1, 28, 28), dtype=torch.uint8))  # statistics of batch norm
    return classifier.eval()


@pytest.fixture(scope="session")
def exported(classifier: FashionMNISTClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "model.html"
    file.write_bytes(html_file.write(trace(classifier), metadata(classifier, "cnn")))
    return file


@pytest.fixture(params=[1280])
def page(browser: Browser, exported: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page; whatever it complains of or asks a network for is an error in the end."""
    page, complaints = open_page(browser, exported, request.param)
    yield page
    page.close()
    assert complaints == []


@pytest.fixture
def images(data: Path, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """1,000 images ``(1000, 1, 28, 28)``: of the real test set where this machine has it, else generated."""
    if not REAL.is_dir():
        return source.load("train", data)[0].repeat(2, 1, 1, 1)[:1000]
    with (REAL / "t10k-images-idx3-ubyte.gz").open("rb") as file:
        import gzip

        pixels = np.frombuffer(gzip.decompress(file.read())[16:], np.uint8).reshape(-1, 1, 28, 28)
    return torch.from_numpy(pixels[:1000].copy())


def probabilities(page: Page, images: Tensor) -> Tensor:
    pixels = images.reshape(-1, 784).tolist()
    return torch.tensor(page.evaluate("(all) => all.map((pixels) => [...runNetwork(steps, weights, pixels)])", pixels))


def test_the_network_says_of_1000_images_what_python_says(
    page: Page, classifier: FashionMNISTClassifier, images: Tensor
) -> None:
    names, expected = classifier.classify(images)
    assert len(set(names)) > 3
    said = torch.cat([probabilities(page, part) for part in torch.split(images, 200)])
    torch.testing.assert_close(said, expected, atol=1e-5, rtol=0)
    assert torch.equal(said.argmax(dim=1), expected.argmax(dim=1))


def test_every_operation_is_the_same_in_the_browser(browser: Browser, tmp_path: Path, images: Tensor) -> None:
    classifier = FashionMNISTClassifier(EveryOperation(), tta="flip_shift").eval()
    file = tmp_path / "every.html"
    file.write_bytes(html_file.write(trace(classifier), metadata(classifier, "every")))
    page, complaints = open_page(browser, file, 1280)
    expected = classifier.classify(images[:5]).probabilities
    torch.testing.assert_close(probabilities(page, images[:5]), expected, atol=1e-5, rtol=0)
    assert complaints == []


def prepared_in(page: Page, file: bytes) -> Prepared:
    said: dict[str, Any] = page.evaluate(ASK, base64.b64encode(file).decode())
    return Prepared(np.array(said["pixels"]).reshape(28, 28), said["background"], tuple(said["box"]))


def as_png(file: bytes) -> bytes:
    out = io.BytesIO()
    ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("RGB").save(out, "PNG")
    return out.getvalue()


def test_50_photographs_are_prepared_as_python_does(
    page: Page, classifier: FashionMNISTClassifier, images: Tensor, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    same_class = []
    for number in range(50):
        kind, rendering = BACKGROUNDS[number % len(BACKGROUNDS)], list(RENDERINGS)[number % len(RENDERINGS)]
        jpeg = photograph(images[number, 0].numpy(), kind, rendering, random)
        for file, tolerance in ((as_png(jpeg), 2), (jpeg, 255)):  # of a JPEG, two decoders differ by a level or two
            (path := tmp_path / "picture").write_bytes(file)
            expected, said = read_picture(path), prepared_in(page, file)
            assert np.abs(said.pixels - expected.pixels.astype(int)).max() <= tolerance
            assert said.background == expected.background
            assert np.allclose(said.box, expected.box, atol=1)
            both = classifier.classify(np.stack([said.pixels, expected.pixels])).names
            same_class.append(both[0] == both[1])
    assert all(same_class)


def picture(mode: str, size: tuple[int, int] = (300, 200)) -> Image.Image:
    """A dark patch off the middle, on light ground."""
    made = Image.new("RGB", size, (240, 240, 235))
    made.paste((60, 30, 40), (40, 30, 130, 160))
    made.paste((150, 140, 20), (60, 60, 110, 90))
    return made.convert(mode)


def content(image: Image.Image, suffix: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, suffix, **options)
    return file.getvalue()


def transparent() -> Image.Image:
    image = picture("RGBA")
    image.putalpha(Image.fromarray(np.where(np.asarray(picture("L")) < 200, 255, 0).astype(np.uint8)))
    return image


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return content(picture("RGB").transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)


@pytest.mark.parametrize(
    ("file", "tolerance"),
    [
        pytest.param(content(picture("RGB"), "PNG"), 0, id="PNG"),
        pytest.param(content(transparent(), "PNG"), 1, id="transparent"),
        pytest.param(content(picture("L"), "PNG"), 0, id="grey"),
        pytest.param(content(picture("P"), "GIF"), 0, id="GIF"),
        pytest.param(content(picture("RGB"), "BMP"), 0, id="BMP"),
        pytest.param(content(picture("RGB"), "WEBP", lossless=True), 0, id="WebP"),
        pytest.param(turned(), 3, id="turned by EXIF"),
        pytest.param(content(picture("RGB").resize((2400, 1600)), "JPEG", quality=95), 4, id="large"),
        pytest.param(content(picture("RGB").resize((60, 40)), "PNG"), 1, id="small"),
        pytest.param(content(picture("L").resize((28, 28)), "PNG"), 0, id="28x28, negated"),
        pytest.param(content(ImageOps.invert(picture("L").resize((28, 28))), "PNG"), 0, id="28x28"),
        pytest.param(content(Image.effect_noise((300, 200), 250), "PNG"), 2, id="no background"),
        pytest.param(content(Image.new("RGB", (100, 80), "white"), "PNG"), 0, id="nothing"),
        pytest.param(content(Image.new("RGB", (1, 1), "red"), "PNG"), 0, id="one pixel"),
    ],
)
def test_every_kind_of_picture_is_prepared_as_python_does(
    page: Page, tmp_path: Path, file: bytes, tolerance: int
) -> None:
    (path := tmp_path / "picture").write_bytes(file)
    expected, said = read_picture(path), prepared_in(page, file)
    assert np.abs(said.pixels - expected.pixels.astype(int)).max() <= tolerance
    assert said.background == expected.background
    assert np.allclose(said.box, expected.box, atol=1.5)
