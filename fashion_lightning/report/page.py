"""Make self-contained HTML files from the templates of `report`, `serving` and `export`."""

import base64
import io

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image


def percent(fraction: float, digits: int = 2) -> str:
    """Return a fraction in percent: 0.93456 → ``93.46 %``."""
    return f"{100 * fraction:.{digits}f} %"


def points(difference: float) -> str:
    """Return a difference of fractions in percentage points, with its sign: −0.0012 → ``−0.12``."""
    return f"{100 * difference:+.2f}".replace("-", "−")


def render(template: str, **content: object) -> bytes:
    """Fill in a template, and escape all text."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(f"fashion_lightning.{room}") for room in ("report", "serving", "export")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "thousands": "{:,}".format}
    return environment.get_template(template).render(**content).encode(errors="backslashreplace")


def data_uri(content: bytes) -> str:
    """Return the content of a PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def png(pixels: NDArray[np.uint8]) -> str:
    """Return pixels ``(H, W)`` or ``(H, W, 3)`` uint8 as the data URI of a PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png")
    return data_uri(file.getvalue())
