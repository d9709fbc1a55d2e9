"""The page of ``serve`` in a real browser: a picture dropped, pasted, chosen, photographed or drawn."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, JSHandle, Page, expect

from fashion_lightning.data.classes import CLASS_NAMES, DOUBTFUL
from fashion_lightning.inference import load
from fashion_lightning.photographs.prepare import prepare
from tests.browser import open_page as browser_page
from tests.browser import violations
from tests.conftest import Run
from tests.served import file_of, served, shirt

pytestmark = pytest.mark.browser

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, trained: Path) -> Iterator[Open]:
    """Opens the page; at the end, no page may have complained or asked another place."""
    pages: list[tuple[Page, list[str]]] = []
    with served(load(trained)) as port:

        def open_page(width: int = 1280, scheme: str = "light") -> Page:
            phone = {"has_touch": width < 500, "is_mobile": width < 500}
            pages.append(browser_page(browser, f"http://127.0.0.1:{port}/", width, scheme, **phone))
            return pages[-1][0]

        yield open_page
        for page, complaints in pages:
            page.close()
            assert complaints == []


def carried(page: Page, content: bytes, kind: str) -> JSHandle:
    """What is dropped or pasted, with one file in it."""
    return page.evaluate_handle(
        """([content, kind]) => {
          const data = new DataTransfer();
          data.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], "it", { type: kind }));
          return data;
        }""",
        [base64.b64encode(content).decode(), kind],
    )


def drop(page: Page, content: bytes, kind: str = "image/png") -> None:
    data = carried(page, content, kind)
    page.dispatch_event("#drop", "dragover", {"dataTransfer": data})
    assert "over" in (page.get_attribute("#drop", "class") or "")
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    assert "over" not in (page.get_attribute("#drop", "class") or "")


def answer(page: Page) -> tuple[str, str]:
    """Class and probability that the page shows, when it does."""
    expect(page.locator("#share")).not_to_be_empty()
    expect(page.locator("main")).not_to_have_class("busy")
    return page.inner_text("#class"), page.inner_text("#share")


def bars(page: Page) -> list[float]:
    """The length of each bar at rest, as a share of its whole length."""
    page.wait_for_timeout(500)
    return page.evaluate(  # type: ignore[no-any-return]
        "[...document.querySelectorAll('.bar')].map(bar =>"
        " bar.getBoundingClientRect().width / bar.parentElement.getBoundingClientRect().width)"
    )


def draw(page: Page, y: float) -> None:
    """Draw a stroke across the paper at a share of its height."""
    box: Any = page.locator("#paper").bounding_box()
    y = box["y"] + y * box["height"]
    page.mouse.move(box["x"] + 0.1 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], y, steps=5)
    page.mouse.up()


def test_a_dropped_file_is_answered_as_python_answers(open_page: Open, trained: Path) -> None:
    page = open_page()
    assert (page.inner_text("#class"), bars(page)) == ("No picture yet", [0] * 10)
    drop(page, file_of(shirt(600, 400)))
    [name], probabilities = load(trained).classify(prepare(shirt(600, 400)).pixels)
    assert answer(page) == (name, f"{100 * probabilities.max().item():.1f} %")
    assert bars(page) == pytest.approx(probabilities[0].tolist(), abs=0.01)
    assert page.locator(".bars .name").all_inner_texts() == list(CLASS_NAMES)
    assert page.locator("#doubt").is_visible() == (probabilities.max().item() < DOUBTFUL)
    expect(page.locator("#seen")).to_have_js_property("naturalWidth", 28)
    boxes: list[Any] = [page.locator(name).bounding_box() for name in ("#original", "#box")]
    frame, box = boxes
    assert (box["x"] - frame["x"]) / frame["width"] == pytest.approx(0.25, abs=0.02)
    assert box["height"] / frame["height"] == pytest.approx(0.5, abs=0.03)


def test_the_frame_is_moved_and_made_larger_on_a_phone_too(open_page: Open) -> None:
    page = open_page(width=390)
    drop(page, file_of(shirt(600, 400)))
    answer(page)
    assert page.inner_text("#likely").startswith("Likely: ")
    seen = page.get_attribute("#seen", "src")
    boxes = [page.locator("#box").bounding_box()]
    page.focus("#box")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#seen")).not_to_have_attribute("src", seen or "")
    boxes.append(page.locator("#box").bounding_box())
    page.locator("#zoom").fill("150")
    boxes.append(page.locator("#box").bounding_box())
    found, moved, larger = (box for box in boxes if box is not None)
    assert moved["x"] > found["x"]
    assert moved["width"] == pytest.approx(found["width"])
    assert larger["width"] == pytest.approx(1.5 * found["width"], rel=0.02)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_pasted_picture_is_answered_and_pasted_text_is_met_with_a_word(open_page: Open) -> None:
    page = open_page()
    paste = "data => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))"
    page.evaluate(paste, page.evaluate_handle("new DataTransfer()"))
    assert page.inner_text("#problem") == "There is no picture in the clipboard."
    page.evaluate(paste, carried(page, file_of(shirt(300, 300), "JPEG"), "image/jpeg"))
    answer(page)
    assert not page.locator("#problem").is_visible()


def test_probabilities_move_while_one_draws(open_page: Open, trained: Path) -> None:
    page = open_page(scheme="dark")
    shown = []
    for strokes in ([0.5], [0.2, 0.35, 0.65, 0.8]):
        for y in strokes:
            draw(page, y)
        answer(page)
        expect(page.locator("main")).to_have_class("")
        drawn = base64.b64decode(page.evaluate("document.querySelector('#paper').toDataURL()").partition(",")[2])
        _, probabilities = load(trained).classify(Image.open(io.BytesIO(drawn)))
        shown.append(bars(page))
        assert shown[-1] == pytest.approx(probabilities[0].tolist(), abs=0.002)
    assert shown[0] != pytest.approx(shown[1], abs=0.002)
    page.locator("#clear").focus()
    page.keyboard.press("Enter")
    assert (page.inner_text("#class"), bars(page)) == ("No picture yet", [0] * 10)


def test_what_cannot_be_answered_is_said_and_the_next_picture_is_answered(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    (large := tmp_path / "large.png").write_bytes(bytes(50_000_000))
    page.set_input_files("#file", large)
    expect(page.locator("#problem")).to_have_text("The picture has 50 MB. Up to 20 MB are taken.")
    drop(page, file_of(shirt(300, 300)))
    answer(page)
    drop(page, file_of(shirt(600, 600), "JPEG")[:3000], "image/jpeg")
    expect(page.locator("#problem")).to_contain_text("cannot be read as an image")
    assert (page.inner_text("#class"), bars(page)) == ("No answer", [0] * 10)
    drop(page, file_of(shirt(300, 300)))
    answer(page)
    assert not page.locator("#problem").is_visible()
    page.route("**/classify", lambda route: route.abort())
    drop(page, file_of(shirt(300, 300)))
    expect(page.locator("#problem")).to_contain_text("The server does not answer")


def test_it_fits_a_phone_which_may_photograph_and_draw_with_a_finger(open_page: Open, tmp_path: Path) -> None:
    page = open_page(width=390)
    assert page.get_attribute("#camera", "capture") == "environment"
    assert page.locator("label[for=camera]").is_visible()
    page.locator("#paper").tap()
    answer(page)
    (photo := tmp_path / "photo.jpg").write_bytes(file_of(shirt(3000, 4000), "JPEG"))
    page.set_input_files("#camera", photo)
    expect(page.locator("#original")).to_have_js_property("naturalWidth", 3000)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for part in ("#said", ".bars"):  # it has scrolled to the answer
        expect(page.locator(part)).to_be_in_viewport(ratio=0.99)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_of_any_command_has_a_fault_of_accessibility(
    browser: Browser, cli: Run, trained: Path, scheme: str
) -> None:
    cli("test", "--ckpt_path", trained)
    cli("compare", trained, "--output", "report")
    cli("export", "--ckpt_path", trained, "--output", "model.html")
    files = trained / "test_best.html", Path("report/comparison.html"), Path("model.html")
    with served(load(trained)) as port:
        for url in (*(file.absolute().as_uri() for file in files), f"http://127.0.0.1:{port}/"):
            page, _ = browser_page(browser, url, 1280, scheme)
            found = violations(page)
            if page.locator("#file").count():
                Path("shirt.png").write_bytes(file_of(shirt(300, 300)))
                page.set_input_files("#file", "shirt.png")
                answer(page)
                found += violations(page)
            page.close()
            assert found == [], url
