"""The page of ``serve`` in a real browser: a picture dropped, pasted, chosen, photographed or drawn."""

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, JSHandle, Page, expect

from fashion_lightning.data.classes import CLASS_NAMES, DOUBTFUL
from fashion_lightning.inference import load
from fashion_lightning.photographs.prepare import prepare
from tests.served import file_of, served, shirt

pytestmark = pytest.mark.browser

Open = Callable[..., Page]

HTTP_ERRORS = "Failed to load resource: "
"""What Chromium itself writes to the console of an answer that is an error, or is none."""


@pytest.fixture
def port(trained: Path) -> Iterator[int]:
    with served(load(trained)) as port:
        yield port


@pytest.fixture
def open_page(browser: Browser, port: int) -> Iterator[Open]:
    """Opens the page; at the end, no page may have complained or asked another place."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def open_page(width: int = 1280, scheme: str = "light", context: BrowserContext | None = None) -> Page:
        if context is None:
            phone = width < 500
            context = browser.new_context(
                viewport={"width": width, "height": 850},
                color_scheme=scheme,  # type: ignore[arg-type]
                has_touch=phone,
                is_mobile=phone,
            )
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        here = f"http://127.0.0.1:{port}/"
        page.on("console", lambda said: None if said.text.startswith(HTTP_ERRORS) else complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: complaints.append(asked.url) if not local(asked.url, here) else None)
        page.goto(here)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def local(url: str, here: str) -> bool:
    return url.startswith((here, f"blob:{here}", "data:"))


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
    """How far each bar reaches, of its whole length, when it has come to rest."""
    page.wait_for_timeout(500)
    return page.evaluate(  # type: ignore[no-any-return]
        "[...document.querySelectorAll('.bar')].map(bar =>"
        " bar.getBoundingClientRect().width / bar.parentElement.getBoundingClientRect().width)"
    )


def draw(page: Page, *points: tuple[float, float]) -> None:
    """A stroke through points, as shares of the paper."""
    box = page.locator("#paper").bounding_box()
    assert box is not None
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for point in at[1:]:
        page.mouse.move(*point, steps=5)
    page.mouse.up()


def test_a_dropped_file_is_answered_as_python_answers(open_page: Open, trained: Path) -> None:
    page = open_page()
    assert page.inner_text("#class") == "No picture yet"
    assert bars(page) == [0] * 10
    picture = shirt(600, 400)
    drop(page, file_of(picture))
    prepared = prepare(picture)
    [name], probabilities = load(trained).classify(prepared.pixels)
    assert answer(page) == (name, f"{100 * probabilities.max().item():.1f} %")
    assert bars(page) == pytest.approx(probabilities[0].tolist(), abs=0.01)
    assert page.locator(".first .name").all_inner_texts() == [name]
    assert page.locator("#doubt").is_visible() == (probabilities.max().item() < DOUBTFUL)
    assert page.locator(".bars .name").all_inner_texts() == list(CLASS_NAMES)
    assert page.inner_text("#background") == "Background: light."
    expect(page.locator("#seen")).to_have_js_property("naturalWidth", 28)
    expect(page.locator("#original")).to_have_js_property("naturalWidth", 600)
    frame, box = (page.locator(what).bounding_box() for what in ("#original", "#box"))
    assert frame is not None
    assert box is not None
    assert (box["x"] - frame["x"]) / frame["width"] == pytest.approx(0.25, abs=0.02)
    assert box["height"] / frame["height"] == pytest.approx(0.5, abs=0.03)


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
    classifier = load(trained)
    shown = []
    for strokes in ([0.5], [0.2, 0.35, 0.65, 0.8]):
        for y in strokes:
            draw(page, (0.1, y), (0.9, y))
        answer(page)
        expect(page.locator("main")).to_have_class("")
        drawn = base64.b64decode(page.evaluate("document.querySelector('#paper').toDataURL()").partition(",")[2])
        _, probabilities = classifier.classify(Image.open(io.BytesIO(drawn)))
        shown.append(bars(page))
        assert shown[-1] == pytest.approx(probabilities[0].tolist(), abs=0.002)
    assert shown[0] != pytest.approx(shown[1], abs=0.002)
    assert page.inner_text("#background") == "Background: light."
    page.locator("#clear").focus()
    page.keyboard.press("Enter")
    assert page.inner_text("#class") == "No picture yet"
    assert bars(page) == [0] * 10


def test_what_cannot_be_answered_is_said_and_the_next_picture_is_answered(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    with (large := tmp_path / "large.png").open("wb") as file:
        file.truncate(50_000_000)
    page.set_input_files("#file", large)
    expect(page.locator("#problem")).to_have_text("The picture has 50 MB. Up to 20 MB are taken.")
    drop(page, file_of(shirt(300, 300)))
    answer(page)
    drop(page, file_of(shirt(600, 600), "JPEG")[:3000], "image/jpeg")
    expect(page.locator("#problem")).to_contain_text("cannot be read as an image")
    assert page.inner_text("#class") == "No answer"  # and not that of the picture before
    assert bars(page) == [0] * 10
    drop(page, b"a T-shirt, in words", "text/plain")
    expect(page.locator("#problem")).to_contain_text("BMP, GIF, JPEG, PNG, TIFF, WEBP")
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
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(file_of(shirt(3000, 4000), "JPEG"))
    page.set_input_files("#camera", photo)
    expect(page.locator("#original")).to_have_js_property("naturalWidth", 3000)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for part in ("#said", ".bars"):  # it has scrolled to the answer
        expect(page.locator(part)).to_be_in_viewport(ratio=0.99)


def test_the_keyboard_reaches_what_the_mouse_does_and_nothing_that_is_hidden(open_page: Open) -> None:
    page = open_page()
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.href"))
    assert reached == ["file", "clear", page.url + "openapi.json"]
