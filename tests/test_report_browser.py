"""The pages in a real browser: from a file, without a network, on a phone and on a desk."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.conftest import Run

pytestmark = pytest.mark.browser

WIDTHS = [390, 1400]


def open_page(browser: Browser, file: Path, width: int, scheme: str = "light") -> tuple[Page, list[str]]:
    """A page opened from its file, and what it complained of or asked the network for."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.set_default_timeout(120_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    own = ("data:", "blob:", here := file.absolute().as_uri())
    page.on("request", lambda asked: None if asked.url.startswith(own) else complaints.append(asked.url))
    page.goto(here)
    return page, complaints


def check_layout(page: Page, width: int) -> None:
    """Nothing sticks out of the page, and every picture is there."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(it => it.complete && it.naturalWidth > 0)")
    # What is wider than the page scrolls within a frame of its own; everything else ends where the page does.
    outside = "[...document.querySelectorAll('main *')].filter(it => !it.closest('.scroll, svg')"
    outside += (
        " && it.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(it => it.outerHTML)"
    )
    assert page.evaluate(f"{outside}.map(it => it.outerHTML)") == []


@pytest.fixture
def report(cli: Run, trained: Path) -> Path:
    """The report of a run of the tiny recipe."""
    cli("test", "--ckpt_path", trained)
    return trained / "test_best.html"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_report_opens_from_its_file_and_fits(browser: Browser, report: Path, width: int) -> None:
    page, complaints = open_page(browser, report, width)
    check_layout(page, width)
    assert page.locator("#mistakes + p").inner_text().startswith("All ")
    for name in ("classes", "confusion", "calibration", "duplicates", "mistakes", "doubted", "recipe"):
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
        page, complaints = open_page(browser, report, 1400, scheme)
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
    page, complaints = open_page(browser, Path("report/comparison.html"), width)
    check_layout(page, width)
    assert complaints == []
