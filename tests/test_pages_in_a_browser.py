"""The pages of ``serve``, ``test``, ``compare`` and TensorBoard in a real browser: what they show and answer."""

import base64
import functools
import io
import json
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, JSHandle, Page, expect

from fashion_lightning.data.classes import CLASS_NAMES, DOUBTFUL
from fashion_lightning.files.pictures import opened
from fashion_lightning.inference import load
from fashion_lightning.photographs.prepare import prepare
from tests.browser import check_layout, violations
from tests.conftest import Run
from tests.interruption import wait_for
from tests.served import file_of, served, shirt
from tests.test_tensorboard import curve

pytestmark = pytest.mark.browser

Open = Callable[..., Page]


@pytest.fixture
def open_served(open_page: Open, trained: Path) -> Iterator[Open]:
    """Opens the page of a server of the tiny recipe."""
    with served(load(trained)) as port:
        yield functools.partial(open_page, f"http://127.0.0.1:{port}/")


def carried(page: Page, content: bytes, kind: str) -> JSHandle:
    """A DataTransfer with one file, to drop or paste."""
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
    """Wait for the class and the probability that the page shows."""
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


def test_a_dropped_file_is_answered_as_python_answers(open_served: Open, trained: Path) -> None:
    page = open_served()
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


def test_a_pasted_picture_is_answered_and_pasted_text_is_met_with_a_word(open_served: Open) -> None:
    page = open_served()
    paste = "data => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))"
    page.evaluate(paste, page.evaluate_handle("new DataTransfer()"))
    assert page.inner_text("#problem") == "There is no picture in the clipboard."
    page.evaluate(paste, carried(page, file_of(shirt(300, 300), "JPEG"), "image/jpeg"))
    answer(page)
    assert not page.locator("#problem").is_visible()


def test_probabilities_move_while_one_draws(open_served: Open, trained: Path) -> None:
    page = open_served(scheme="dark")
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


def test_what_cannot_be_answered_is_said_and_the_next_picture_is_answered(open_served: Open, tmp_path: Path) -> None:
    page = open_served()
    (large := tmp_path / "large.png").write_bytes(bytes(50_000_000))
    page.set_input_files("#file", large)
    expect(page.locator("#problem")).to_have_text("The picture has 50 MB. The limit is 20 MB.")
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


FRAME = """(({ x, y, width, height }) => [x + width / 2, y + height / 2, width, height])(
  byId("box").getBoundingClientRect())"""


def test_it_fits_a_phone_on_which_fingers_draw_and_move_and_resize_the_frame(
    open_served: Open, trained: Path, tmp_path: Path
) -> None:
    page = open_served(width=390, has_touch=True, is_mobile=True)
    assert page.get_attribute("#camera", "capture") == "environment"
    assert page.locator("label[for=camera]").is_visible()
    page.locator("#paper").tap()
    answer(page)
    (photo := tmp_path / "photo.jpg").write_bytes(file_of(shirt(3000, 4000), "JPEG"))
    page.set_input_files("#camera", photo)
    expect(page.locator("#original")).to_have_js_property("naturalWidth", 3000)
    check_layout(page, 390)
    assert page.inner_text("#likely").startswith("Likely: ")
    for part in ("#said", ".bars"):  # it has scrolled to the answer
        expect(page.locator(part)).to_be_in_viewport(ratio=0.99)
    page.wait_for_timeout(500)  # to the end
    phone = page.context.new_cdp_session(page)
    for start, end, moved, larger in (  # in half edges of the frame, from its middle
        ([(0, 0)], [(0.4, -0.2)], (0.4, -0.2), 1),
        ([(-0.5, 0), (0.5, 0)], [(-0.6, 0.1), (0.6, 0.1)], (0, 0.1), 1.2),
        ([(0.9, 0.9)], [(0.7, 0.7)], (-0.1, -0.1), 1.7 / 1.9),  # a corner; the opposite one stays
    ):
        x, y, width, height = page.evaluate(FRAME)
        for kind, fingers in (("touchStart", start), ("touchMove", end), ("touchEnd", [])):
            points = [{"x": x + right * width / 2, "y": y + down * height / 2} for right, down in fingers]
            phone.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        expected = [x + moved[0] * width / 2, y + moved[1] * height / 2, larger * width, larger * height]
        assert page.evaluate(FRAME) == pytest.approx(expected, abs=1)
        with opened(photo) as picture:
            [name], probabilities = load(trained).classify(prepare(picture, box=page.evaluate("seen")).pixels)
        expect(page.locator("#said")).to_have_text(f"{name} {100 * probabilities.max().item():.1f} %")
    page.press("#box", "ArrowLeft")
    page.locator("#zoom").fill("150")
    page.press("#box", "+")
    width, height = page.evaluate("[area.clientWidth, area.clientHeight]")
    by_hand = [expected[0] - 0.02 * width, expected[1], 1.65 * width / 2, 1.65 * height / 2]  # 1.5 + 0.15
    assert page.evaluate(FRAME) == pytest.approx(by_hand, abs=2)
    assert page.evaluate("visualViewport.scale") == 1  # the page has not been pinched


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_of_any_command_has_a_fault_of_accessibility(
    open_page: Open, cli: Run, trained: Path, scheme: str
) -> None:
    cli("test", "--ckpt_path", trained)
    cli("compare", trained, "--output", "report")
    cli("export", "--ckpt_path", trained, "--output", "model.html")
    files = trained / "test_best.html", Path("report/comparison.html"), Path("model.html")
    with served(load(trained)) as port:
        for url in (*(file.absolute().as_uri() for file in files), f"http://127.0.0.1:{port}/"):
            page = open_page(url, 1280, scheme)
            found = violations(page)
            if page.locator("#file").count():
                Path("shirt.png").write_bytes(file_of(shirt(300, 300)))
                page.set_input_files("#file", "shirt.png")
                answer(page)
                found += violations(page)
            assert found == [], url


WIDTHS = [390, 1400]


@pytest.fixture
def report(cli: Run, trained: Path) -> Path:
    """The report of a run of the tiny recipe."""
    cli("test", "--ckpt_path", trained)
    return trained / "test_best.html"


@pytest.mark.parametrize("width", WIDTHS)
def test_report_and_comparison_open_from_their_files_and_fit(
    open_page: Open, cli: Run, report: Path, width: int
) -> None:
    page = open_page(report.absolute().as_uri(), width)
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
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator(".card").first.is_visible()
    assert page.pdf().startswith(b"%PDF")
    cli("compare", report.parent, "--output", "report")
    check_layout(open_page(Path("report/comparison.html").absolute().as_uri(), width), width)


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


def test_every_tab_of_tensorboard_shows_what_a_run_wrote(browser: Browser, tensorboard: str, drawn: Path) -> None:
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
    page.get_by_text(f"{curve(drawn, 'test/accuracy')[-1][1]:#.5g}").first.wait_for()
    page.close()
    assert errors == []
