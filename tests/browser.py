"""A real browser for the tests that look at pages: Debian's Chromium, driven by Playwright."""

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NEEDED = "FASHION_LIGHTNING_NEEDS_BROWSER"
"""Set it to make a missing browser a failure, as CI does if a browser can be installed."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window; the test is skipped where it is not installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        if os.environ.get(NEEDED):
            pytest.fail("no browser is installed: apt-get install chromium")
        pytest.skip("no browser is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        # As root, in containers, Chromium has no sandbox of its own; the pages are ours.
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open pages of one file; fail at the end if one wrote to its console or sent a request elsewhere."""
    complaints: list[str] = []

    def open_page(url: str, width: int = 1280, scheme: Any = "light", **options: Any) -> Page:
        page = browser.new_page(viewport={"width": width, "height": 850}, color_scheme=scheme, **options)
        page.set_default_timeout(120_000)
        # Chromium itself writes "Failed to load resource" for an answer that is an error.
        own = ("data:", "blob:", url)
        page.on(
            "console",
            lambda said: None if said.text.startswith("Failed to load") else complaints.append(said.text),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(own) else complaints.append(asked.url))
        page.goto(url)
        return page

    yield open_page
    for context in browser.contexts:
        context.close()
    assert complaints == []


def check_layout(page: Page, width: int) -> None:
    """Check that nothing sticks out of the page and that every picture is there."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(it => it.complete && it.naturalWidth > 0)")
    # Wide tables scroll within a frame of their own; everything else ends where the page does.
    outside = "[...document.querySelectorAll('main *')].filter(it => !it.closest('.scroll, svg')"
    right = "it.getBoundingClientRect().right > document.documentElement.clientWidth + 1"
    assert page.evaluate(f"{outside} && {right}).map(it => it.outerHTML)") == []


@functools.cache
def axe() -> str:
    """The script of axe-core; the test is skipped where npm cannot fetch it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            fetch = ["npm", "pack", "axe-core@4.14.1"]
            subprocess.run(fetch, cwd=folder, check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError):
            pytest.skip("axe-core cannot be had: npm pack axe-core")
        (package,) = Path(folder).iterdir()
        return subprocess.check_output(["tar", "xzOf", package, "package/axe.min.js"], text=True)


def violations(page: Page) -> list[str]:
    """The elements in which axe-core finds a fault of accessibility."""
    page.evaluate(axe())
    page.wait_for_timeout(500)  # until colour transitions end
    found = "axe.run().then(said => said.violations.flatMap(it => it.nodes.map(at => `${it.id}: ${at.html}`)))"
    return page.evaluate(found)  # type: ignore[no-any-return]
