"""What a person sees who types ``tensorboard --logdir tensorboard_logs``, in a real browser."""

import json
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from fashion_lightning.data.classes import CLASS_NAMES
from tests.conftest import Run
from tests.interruption import wait_for
from tests.test_tensorboard import curve

pytestmark = pytest.mark.browser


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


@pytest.fixture
def tensorboard(cli: Run, drawn: Path) -> Iterator[str]:
    """The address of a TensorBoard of a run that was trained and tested; its log must be free of errors."""
    cli("test", "--ckpt_path", drawn)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(drawn.parents[1]), "--host", "127.0.0.1"]
    log, url = Path("tensorboard.log"), f"http://127.0.0.1:{port}"
    with log.open("wb") as output, subprocess.Popen([*command, "--port", port], stdout=output, stderr=output) as server:
        wait_for(lambda: f"{url}/" in log.read_text(), server)
        wait_for(lambda: get(f"{url}/data/runs"), server)
        yield url
        server.terminate()
    assert not re.search("error|traceback|exception", log.read_text(), re.IGNORECASE), log.read_text()


def test_every_tab_shows_what_a_run_wrote(browser: Browser, tensorboard: str, drawn: Path) -> None:
    page = browser.new_page(base_url=tensorboard, viewport={"width": 1400, "height": 900})
    page.set_default_timeout(120_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    page.goto("/#timeseries")
    charts = page.locator("scalar-card")
    charts.first.wait_for()
    assert charts.first.locator(".tag").first.get_attribute("title") == "lr"
    (tags,) = get(f"{tensorboard}/data/plugin/scalars/tags").values()
    assert "epoch" not in tags
    page.goto("/?tagFilter=pictures#timeseries")
    page.wait_for_function("document.querySelector('image-card img')?.naturalWidth == 350")

    page.goto("/#custom_scalars")
    page.get_by_text("Learning rate and images per second").wait_for()
    chart = page.locator("tf-custom-scalar-multi-line-chart-card").first
    chart.get_by_text("Matches (1)").wait_for()  # val/accuracy

    page.goto("/#pr_curves")
    page.locator("tf-pr-curve-card").nth(len(CLASS_NAMES) - 1).wait_for()

    page.goto("/#hparams")
    page.get_by_text(f"{curve(drawn, 'val/accuracy')[-1][1]:#.5g}").first.wait_for()

    page.close()
    assert errors == []
