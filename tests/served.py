"""Run a server in a thread of this process, and send requests to it."""

import http.client
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import uvicorn
from PIL import Image

from fashion_lightning.inference import TrainedClassifier
from fashion_lightning.serving.app import create_app
from fashion_lightning.serving.intake import Limits
from fashion_lightning.serving.server import config, listen

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
Reply = tuple[int, Any, http.client.HTTPMessage]


@contextmanager
def served(classifier: TrainedClassifier, limits: Limits | None = None) -> Iterator[int]:
    """The port at which a classifier is served until the block ends."""
    with listen("127.0.0.1", 0) as listening:
        server = uvicorn.Server(config(create_app(classifier, "Recipe tiny, version_0", limits)))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def ask(
    port: int,
    body: Any,
    kind: str = "image/png",
    path: str = "/classify",
    method: str = "POST",
    host: str = "localhost",
) -> Reply:
    """Status, JSON or text, and headers of the answer to one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": kind, "Host": host})
        response = connection.getresponse()
        content = response.read().decode()
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(content) if is_json else content, response.headers
    finally:
        connection.close()


def shirt(width: int, height: int) -> Image.Image:
    """A dark T on a light background, which takes the middle half of the picture."""
    pixels = np.full((height, width, 3), 235, np.uint8)
    top, bottom, left, right = height // 4, height * 3 // 4, width // 4, width * 3 // 4
    pixels[top : height // 2, left:right] = 60
    pixels[top:bottom, width * 3 // 8 : width * 5 // 8] = 60
    return Image.fromarray(pixels)


def file_of(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture as a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
