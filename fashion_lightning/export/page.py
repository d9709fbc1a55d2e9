"""An HTML file that classifies dropped pictures in a browser, offline: network and preparation are inside."""

import base64
import hashlib
import json
import re
from collections.abc import Callable

import torch
from torch import Tensor
from torch.export import ExportedProgram

from fashion_lightning.data.classes import DOUBTFUL, WHAT_IT_CANNOT_KNOW
from fashion_lightning.export.operations import Operations, flatten, run
from fashion_lightning.report.page import render

SCRIPTS = ("network.js", "resampling.js", "background.js", "photographs.js", "model.js")

FORMATS = ("JPEG", "PNG", "WebP", "GIF", "BMP")
"""What every browser opens."""

MEGABYTES = 40
"""Of a picture that the page opens."""


def write_page(program: ExportedProgram, metadata: dict[str, str]) -> bytes:
    """Return the content of the file, weights included: with float16, one of 10,000 test images gets another class.

    Raises:
        UserError: the network has an operation that a page does not know.
    """
    operations = flatten(program)
    numbers = b"".join(weight.numpy().astype("<f4").tobytes() for weight in operations.weights)
    content = {  # texts by the id of their elements; no character in them means anything in HTML
        "steps": json.dumps(operations.steps, separators=(",", ":"), allow_nan=False),
        "shapes": json.dumps([list(weight.shape) for weight in operations.weights], separators=(",", ":")),
        "weights": base64.b64encode(numbers).decode(),
    }
    script = "\n".join(render(name, doubtful=DOUBTFUL).decode() for name in SCRIPTS)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    views = "" if metadata["tta"] == "none" else f", averaged over views ({metadata['tta']})"
    return render(
        "model.html",
        policy=f"default-src 'none'; script-src 'sha256-{allowed}'; style-src 'unsafe-inline'; img-src data: blob:;"
        " base-uri 'none'; form-action 'none'",
        model=f"Recipe {metadata['recipe']}{views}",
        version=metadata["fashion_lightning_version"],
        cannot_know=WHAT_IT_CANNOT_KNOW,
        classes=json.loads(metadata["class_names"]),
        formats=FORMATS,
        megabytes=MEGABYTES,
        style=render("serve.css").decode(),
        script=script,
        content=content,
    )


def load_page(content: bytes) -> Callable[[Tensor], Tensor]:
    """Return the function of a file's content: torch carries out its operations as its script does."""
    elements = rb'<script type="application/json" id="(\w+)">([^<]*)</script>'
    text = {name.decode(): found for name, found in re.findall(elements, content)}
    shapes = json.loads(text["shapes"])
    values = torch.frombuffer(bytearray(base64.b64decode(text["weights"])), dtype=torch.float32)
    lengths = [torch.Size(shape).numel() for shape in shapes]
    weights = [part.view(shape) for part, shape in zip(torch.split(values, lengths), shapes, strict=True)]
    operations = Operations(json.loads(text["steps"]), weights)
    return lambda images: torch.cat([run(operations, image[None]) for image in images])
