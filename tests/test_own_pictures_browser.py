"""A classifier of one's own classes on its page and behind `serve`: names as text, and what Python says."""

import string
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, expect

from fashion_lightning import CNN
from fashion_lightning.data.classes import ImageSpec
from fashion_lightning.export.formats import write_page
from fashion_lightning.export.graph import metadata, trace
from fashion_lightning.inference import TrainedClassifier
from tests.browser import check_layout, open_page
from tests.served import ask, served

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("channels", [1, 3])
def test_page_and_server_show_26_names_and_say_what_python_says(
    channels: int, browser: Browser, tmp_path: Path
) -> None:
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
            page, complaints = open_page(browser, url, 1280)
            page.set_input_files("#file", tmp_path / "a.png")
            expect(page.locator("#class")).to_have_text(expected.names[0])
            shares = [f"{100 * share:.1f} %" for share in expected.probabilities[0].tolist()]
            assert page.locator(".bars .percent").all_inner_texts() == shares
            assert page.locator(".bars .name").all_inner_texts() == list(names)
            assert page.locator("h1").inner_text() == "What does it show?"
            check_layout(page, 1280)
            page.close()
            assert complaints == []
