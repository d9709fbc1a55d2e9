"""The pages in a real browser: from a file, without a network, on a phone and on a desk."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import check_layout, open_page
from tests.conftest import Run

pytestmark = pytest.mark.browser

WIDTHS = [390, 1400]


@pytest.fixture
def report(cli: Run, trained: Path) -> Path:
    """The report of a run of the tiny recipe."""
    cli("test", "--ckpt_path", trained)
    return trained / "test_best.html"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_report_opens_from_its_file_and_fits(browser: Browser, report: Path, width: int) -> None:
    page, complaints = open_page(browser, report.absolute().as_uri(), width)
    check_layout(page, width)
    assert page.locator("#mistakes + p").inner_text().startswith("All ")
    for name in ("classes", "confusion", "calibration", "duplicates", "mistakes", "recipe"):
        page.locator(f'nav a[href="#{name}"]').click()
        assert page.locator(f"#{name}").is_visible()
    settings = page.locator("details", has_text="All settings that make the recipe")
    assert not settings.locator("table").is_visible()
    settings.locator("summary").click()
    assert settings.locator("table").is_visible()
    check_layout(page, width)
    assert complaints == []


def test_the_report_is_readable_in_the_dark_and_prints_all_but_what_is_folded_away(
    browser: Browser, report: Path
) -> None:
    lightness = "what => getComputedStyle(document.body)[what].match(/\\d+/g).reduce((sum, it) => sum + +it, 0) / 765"
    for scheme, ink_is_lighter in (("light", False), ("dark", True)):
        page, complaints = open_page(browser, report.absolute().as_uri(), 1400, scheme)
        ink, paper = (page.evaluate(lightness, what) for what in ("color", "backgroundColor"))
        assert (ink > paper) == ink_is_lighter
        assert abs(ink - paper) > 0.6
        page.emulate_media(media="print")
        assert not page.locator("nav").is_visible()
        assert page.locator(".card").first.is_visible()
        assert page.pdf().startswith(b"%PDF")
        assert complaints == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_comparison_opens_from_its_file_and_fits(browser: Browser, cli: Run, trained: Path, width: int) -> None:
    cli("compare", trained, "--output", "report")
    page, complaints = open_page(browser, Path("report/comparison.html").absolute().as_uri(), width)
    check_layout(page, width)
    assert complaints == []
