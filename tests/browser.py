"""A real browser for the tests that look at pages: Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

NEEDED = "FASHION_LIGHTNING_NEEDS_BROWSER"
"""Set where a missing browser is a failure, as CI does where one can be had."""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Chromium without a window; the test is skipped where it is not installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        if os.environ.get(NEEDED):
            pytest.fail("no browser is installed: apt-get install chromium")
        pytest.skip("no browser is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        # As root, in containers, Chromium has no sandbox of its own; the pages are ours.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()
