"""``serve``: a page and an endpoint, which take pictures from anybody within bounds."""

import base64
import io
import itertools
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fashion_lightning.cli import deploy
from fashion_lightning.data.classes import CLASS_NAMES, DOUBTFUL
from fashion_lightning.data.tta import TTA
from fashion_lightning.inference import TrainedClassifier, load
from fashion_lightning.photographs.prepare import prepare
from fashion_lightning.serving import intake
from fashion_lightning.serving.intake import Limits
from tests.conftest import Run
from tests.served import ask, file_of, served, shirt

LIMITS = Limits(bytes=300_000, pixels=1_000_000, seconds=5)


@pytest.fixture
def classifier(trained: Path) -> TrainedClassifier:
    return load(trained)


@pytest.fixture
def port(classifier: TrainedClassifier) -> Iterator[int]:
    """A server with small bounds."""
    with served(classifier, LIMITS) as port:
        yield port


# --- answers


def test_the_answer_is_that_of_python_on_the_same_picture(classifier: TrainedClassifier, port: int) -> None:
    ready = Image.fromarray(np.arange(28 * 28).reshape(28, 28).astype(np.uint8) // 4)
    cases: tuple[tuple[Image.Image, str, TTA], ...] = (
        (shirt(300, 200), "PNG", "none"),
        (shirt(200, 300), "GIF", "flip"),
        (ready, "BMP", "none"),
    )
    for picture, kind, classifier.tta in cases:
        file = file_of(picture, kind)
        status, said, _ = ask(port, file, "application/octet-stream")
        assert status == 200, said
        seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(said["image"]))))
        prepared = prepare(Image.open(io.BytesIO(file)))
        assert (seen == prepared.pixels).all()
        [name], probabilities = classifier.classify(seen)
        assert said["class"] == name
        assert said["doubtful"] == (probabilities.max().item() < DOUBTFUL)
        assert list(said["probabilities"]) == list(CLASS_NAMES)
        torch.testing.assert_close(torch.tensor([list(said["probabilities"].values())]), probabilities)


def test_a_frame_that_is_asked_for_is_what_the_network_sees(classifier: TrainedClassifier, port: int) -> None:
    picture = shirt(300, 200)
    status, said, _ = ask(port, file_of(picture), path="/classify?box=0.25,0.25,0.5,0.5")
    assert (status, said["box"]) == (200, pytest.approx([0.25, 0.25, 0.5, 0.5]))
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(said["image"]))))
    assert (seen == prepare(picture, box=(0.25, 0.25, 0.5, 0.5)).pixels).all()
    assert said["likely"] == classifier.classify(seen).likely[0]
    for wrong in ("1,2", "a,b,c,d", "0.5,0,0.1,1", "-9,0,9,1"):
        status, said, _ = ask(port, file_of(picture), path=f"/classify?box={wrong}")
        assert (status, said["detail"][:13]) == (422, "The box must ")


def test_a_network_that_fails_at_one_picture_answers_the_next(
    classifier: TrainedClassifier, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as failing:
        failing.setattr(classifier, "classify", lambda images: 1 / 0)
        assert ask(port, file_of(shirt(60, 60)))[0] == 500
    assert ask(port, file_of(shirt(60, 60)))[0] == 200


# --- what is refused


REFUSED = {
    "nothing": (b"", "image/png", 400, "holds no picture"),
    "a form": (file_of(shirt(40, 40)), "multipart/form-data; boundary=x", 415, "Send the bytes of one picture"),
    "text": (b"a T-shirt, in words", "image/png", 415, "cannot be read as an image"),
    "TIFF, with tiles of any size": (
        file_of(shirt(40, 40), "TIFF"),
        "image/tiff",
        415,
        "one of BMP, GIF, JPEG, PNG, WEBP",
    ),
    "vectors": (
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "image/svg+xml",
        415,
        "BMP",
    ),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run", "image/png", 415, "BMP, GIF"),
    "half a picture": (file_of(shirt(400, 400), "JPEG")[:2000], "image/jpeg", 422, "cannot be read as an image"),
    "a header alone": (file_of(shirt(30, 30))[:45], "image/png", 422, "cannot be read as an image"),
    "a bomb": (file_of(Image.new("1", (1200, 1200))), "image/png", 413, "1.4 million pixels; the limit is 1 million"),
    "too many bytes": (bytes(400_000), "image/png", 413, "more than 0.3 MB"),
}


def test_what_is_no_picture_within_the_bounds_is_refused_in_one_line(port: int) -> None:
    for what, (body, kind, status, words) in REFUSED.items():
        answered, said, headers = ask(port, body, kind)
        assert (answered, list(said)) == (status, ["detail"]), what
        assert words in said["detail"], what
        assert "\n" not in said["detail"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(port, file_of(shirt(60, 60)))[0] == 200  # whatever came before


def scans_without_end() -> bytes:
    """A progressive JPEG whose last scan comes a thousand times: each costs a pass over all its pixels."""
    file = file_of(shirt(4000, 4000), "JPEG", progressive=True)
    last = file.rindex(b"\xff\xda")
    return file[:last] + 1000 * file[last:-2] + file[-2:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "bounds"),
    [
        (scans_without_end(), {"decoding_seconds": 1}),
        (file_of(Image.new("RGBA", (5000, 5000))), {"decoding_bytes": 200_000_000}),
    ],
    ids=["seconds", "memory"],
)
def test_a_picture_that_takes_too_much_is_refused_and_others_are_answered_beside_it(
    classifier: TrainedClassifier, file: bytes, bounds: dict[str, Any]
) -> None:
    with served(classifier, Limits(**bounds)) as port, ThreadPoolExecutor() as clients:
        assert ask(port, file_of(shirt(60, 60)))[0] == 200
        hostile = [clients.submit(ask, port, file) for _ in range(4)]
        time.sleep(0.2)  # all of them are being decoded then
        began = time.monotonic()
        assert ask(port, file_of(shirt(60, 60)))[0] == 200
        assert time.monotonic() - began < 2
        for answered in hostile:
            status, said, _ = answered.result()
            assert status == 413, said
        assert ask(port, file_of(shirt(60, 60)))[0] == 200


def test_only_its_own_names_reach_it(port: int) -> None:
    """DNS rebinding: another site may let its name point to this machine's address."""
    for host, status in (
        *(("127.0.0.1", 200), (f"localhost:{port}", 200), ("[::1]:80", 200)),
        *(("evil.example", 421), ("evil.example:99999", 421)),
    ):
        assert ask(port, None, path="/", method="GET", host=host)[0] == status, host


def test_a_body_of_two_lengths_is_refused_and_the_connection_closed(port: int) -> None:
    twice = SLOW.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(twice + b"0\r\n\r\n")
        said = b"".join(iter(lambda: client.recv(10_000), b""))
    assert said.startswith(b"HTTP/1.1 400")
    assert said.count(b"HTTP/1.1") == 1


SLOW = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\n"
"""The head of a request whose picture does not come."""


@pytest.mark.slow
def test_whoever_sends_without_end_gets_an_answer_and_then_no_ear(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "LINGER", 0.3)
    chunk = b"c350\r\n" + bytes(50_000) + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(SLOW.replace(b"Content-Length: 9", b"Transfer-Encoding: chunked") + 7 * chunk)
        assert client.recv(10_000).startswith(b"HTTP/1.1 413")
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            list(map(client.sendall, itertools.repeat(chunk)))


@pytest.mark.slow
def test_pictures_have_so_many_seconds_and_all_at_a_time_so_many_bytes(classifier: TrainedClassifier) -> None:
    with (
        served(classifier, Limits(seconds=0.2, bytes_of_all=1000)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as slow,
    ):
        slow.sendall(SLOW)
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")
        status, said, headers = ask(port, bytes(2000))
        assert (status, headers["Retry-After"], "Try again" in said["detail"]) == (503, "1", True)
        assert ask(port, file_of(shirt(20, 20)))[0] == 200


# --- the page and the description


def test_openapi_describes_the_endpoint_and_no_page_asks_another_host_or_is_asked_by_one(port: int) -> None:
    _, described, _ = ask(port, None, path="/openapi.json", method="GET")
    assert list(described["paths"]) == ["/classify"]
    answer = described["components"]["schemas"]["Answer"]
    assert set(answer["properties"]) == set(ask(port, file_of(shirt(60, 60)))[1])
    assert {ask(port, None, path=path, method="GET")[0] for path in ("/docs", "/redoc", "/../etc/passwd")} == {404}
    status, _, headers = ask(port, None, method="OPTIONS")  # what a browser asks on behalf of another site's page
    assert (status, headers["Access-Control-Allow-Origin"]) == (405, None)
    _, page, headers = ask(port, None, path="/", method="GET")
    assert "Recipe tiny, version_0" in page
    assert not re.search(r"(?:https?:)?//\w", page)
    policy = headers["Content-Security-Policy"]
    assert ("default-src 'none'" in policy, "connect-src 'self'" in policy, "unsafe" in policy) == (True, True, False)


# --- the command


@pytest.mark.usefixtures("trained")
def test_what_cannot_be_served_is_said_in_one_line(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        said = cli("serve", "--ckpt_path", "tiny", "--port", taken, exits=2)
    assert f"Nothing can be served at 127.0.0.1, port {taken} (Address already in use)." in said
    assert "not a name or IP address" in cli("serve", "--ckpt_path", "tiny", "--host", "no-such-name.invalid", exits=2)
    monkeypatch.setattr(deploy, "find_spec", lambda name: None)
    assert "pip install fastapi uvicorn" in cli("serve", "--ckpt_path", "tiny", exits=2)


@pytest.mark.slow
@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_quietly_and_pictures_on_their_way_are_answered(
    command_on_generated_data: list[str], signum: signal.Signals
) -> None:
    command = [*command_on_generated_data, "serve", "--ckpt_path", "tiny", "--host", "0.0.0.0", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert "There is no password" in server.stdout.readline()
        found = re.search(r"is served at (http://127.0.0.1:(\d+)) until Ctrl-C", server.stdout.readline())
        assert found is not None
        picture = file_of(shirt(2000, 3000), "JPEG")
        asked = urllib.request.Request(f"{found[1]}/classify", picture, {"Content-Type": "image/jpeg"})
        with ThreadPoolExecutor() as clients:
            answers = [clients.submit(urllib.request.urlopen, asked) for _ in range(3)]
            while not any(answer.done() for answer in answers):
                time.sleep(0.01)
            server.send_signal(signum)
            assert [answer.result().status for answer in answers] == [200] * 3
        said, complained = server.communicate(timeout=30)
    assert (server.returncode, said, complained) == (0, "", "")
