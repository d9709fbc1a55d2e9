"""What a person sees who types ``tensorboard --logdir tensorboard_logs``, in a real browser."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fashion_lightning.data.classes import CLASS_NAMES
from tests.conftest import Run
from tests.test_tensorboard import curve

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PATIENCE = 120_000
"""Milliseconds that a page may take."""


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


@contextmanager
def server(logs: Path) -> Iterator[tuple[str, Path]]:
    """TensorBoard as a user starts it, and its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = Path("tensorboard.log")
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--host", "127.0.0.1"]
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "--port", str(port)], stdout=output, stderr=output)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while True:
            try:
                if get(f"{url}/data/runs"):
                    break
            except OSError:
                assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield url, log
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def tensorboard(cli: Run, drawn: Path) -> Iterator[str]:
    """The address of a TensorBoard of a run that was trained and tested; its log must be free of errors."""
    cli("test", "--ckpt_path", drawn)
    with server(drawn.parents[1]) as (url, log):
        yield url
    assert not re.search("error|traceback|exception", log.read_text(), re.IGNORECASE), log.read_text()


@pytest.fixture
def page(browser: "Browser", tensorboard: str) -> "Iterator[Page]":
    """A new window."""
    page = browser.new_page(base_url=tensorboard, viewport={"width": 1400, "height": 900})
    page.set_default_timeout(PATIENCE)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []


def test_the_first_tab_begins_with_accuracy_and_loss_and_has_no_chart_of_epochs(page: "Page", tensorboard: str) -> None:
    page.goto("/#timeseries")
    charts = page.locator("scalar-card")
    charts.nth(3).wait_for()
    titles = [charts.nth(number).locator(".tag").first.get_attribute("title") for number in range(4)]
    assert titles == ["accuracy/train", "accuracy/val", "loss/train", "loss/val"]
    charts.first.locator("line-chart").wait_for()
    (tags,) = get(f"{tensorboard}/data/plugin/scalars/tags").values()
    assert "epoch" not in tags
    assert {"lr", "train/loss", "val/accuracy"} <= tags.keys()


def test_the_custom_layout_and_pictures_are_shown(page: "Page") -> None:
    page.goto("/#custom_scalars")
    page.get_by_text("Accuracy and loss, over images trained on").wait_for()
    chart = page.locator("tf-custom-scalar-multi-line-chart-card").first
    chart.get_by_text("Matches (2)").wait_for()  # accuracy/train and accuracy/val
    page.goto("/?tagFilter=pictures#timeseries")
    page.locator("image-card img").first.wait_for()
    page.wait_for_function("document.querySelector('image-card img').naturalWidth == 740")


def test_precision_and_recall_have_a_curve_for_each_class(page: "Page", tensorboard: str) -> None:
    page.goto("/#pr_curves")
    page.locator("tf-pr-curve-card").first.wait_for()
    assert page.locator("tf-pr-curve-card").count() == len(CLASS_NAMES)
    (tags,) = get(f"{tensorboard}/data/plugin/pr_curves/tags").values()
    assert {tag.partition("/")[2] for tag in tags} == {name.replace("/", " or ") for name in CLASS_NAMES}


def test_the_projector_loads_every_image(page: "Page") -> None:
    with (
        page.expect_response(re.compile("/projector/tensor")) as tensor,
        page.expect_response(re.compile("/projector/sprite_image")) as sprite,
        page.expect_response(re.compile("/projector/metadata")) as metadata,
    ):
        page.goto("/#projector")
    assert len(tensor.value.body()) == 100 * 8 * 4  # float32 features of 100 validation images
    assert sprite.value.ok
    assert len(metadata.value.text().splitlines()) == 1 + 100


def test_the_hparams_tab_shows_settings_and_real_numbers_and_the_graph_is_drawn(page: "Page", drawn: Path) -> None:
    page.goto("/#hparams")
    page.get_by_text(f"{curve(drawn, 'accuracy/val')[-1][1]:#.5g}").first.wait_for()
    page.goto("/#graphs")
    page.locator("svg g.node").first.wait_for()
