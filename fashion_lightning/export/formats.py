"""Write the files of ``export``, and read each back to check it.

``.onnx`` needs an ONNX runtime but not torch; ``.pt2`` (torch.export) runs in Python or C++ without this package;
``.html`` is a page that classifies pictures in a browser, offline; ``.safetensors`` holds weights and their card, and
every command takes it instead of a checkpoint.
"""

import base64
import hashlib
import io
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from fashion_lightning.data.classes import DOUBTFUL, FASHION_MNIST, WHAT_IT_CANNOT_KNOW, ImageSpec
from fashion_lightning.errors import UserError
from fashion_lightning.export.operations import Operations, flatten, run
from fashion_lightning.inference import load
from fashion_lightning.report.page import render
from fashion_lightning.runs.card import card_of
from fashion_lightning.runs.checkpoint import Checkpoint
from fashion_lightning.runs.weights import SAFETENSORS, write_safetensors

Exported = Callable[[Tensor], Tensor]
"""Images ``(B, channels, size, size)`` uint8 → probabilities ``(B, classes)``."""

OPSET = 20
"""The version of ONNX's operators; it is the first with GELU."""


def write_onnx(program: ExportedProgram, metadata: dict[str, str]) -> bytes:
    """Return the content of an ONNX file, weights included."""
    import onnx

    converted = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        input_names=["images"],
        output_names=["probabilities"],
        dynamic_shapes=({0: "batch"},),  # the dimension's name in the file
        external_data=False,
    )
    assert converted is not None  # it is None only without dynamo
    model = converted.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # the lines of torch that it came from
    onnx.helper.set_model_props(model, metadata)
    return bytes(model.SerializeToString())


def load_onnx(content: bytes) -> Exported:
    """Return the function of an ONNX file, run by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["probabilities"], {"images": images.numpy()})[0])


def write_pt2(program: ExportedProgram, metadata: dict[str, str]) -> bytes:
    """Return the content of a file of torch.export, weights included."""
    content = io.BytesIO()
    torch.export.save(program, content, extra_files=metadata)
    return content.getvalue()


def load_pt2(content: bytes) -> Exported:
    """Return the function of a file of torch.export, run by torch on the CPU."""
    return torch.export.load(io.BytesIO(content)).module()


SCRIPTS = ("network.js", "resampling.js", "photographs.js", "model.js")


def write_page(program: ExportedProgram, metadata: dict[str, str]) -> bytes:
    """Return the content of a page, with float32 weights: float16 would change the class of one of 10,000 test images.

    Raises:
        UserError: the network has an operation that a page does not support.
    """
    operations, images = flatten(program), ImageSpec.of(json.loads(metadata["images"]))
    numbers = b"".join(weight.numpy().astype("<f4").tobytes() for weight in operations.weights)
    content = {  # texts by the id of their elements; none needs escaping in HTML
        "steps": json.dumps(operations.steps, separators=(",", ":"), allow_nan=False),
        "shapes": json.dumps([list(weight.shape) for weight in operations.weights], separators=(",", ":")),
        "weights": base64.b64encode(numbers).decode(),
    }
    settings = {
        "doubtful": DOUBTFUL,
        "images": images,
        "garments": images == FASHION_MNIST,
        "limits": json.loads(metadata["limits"]),
    }
    script = "\n".join(render(name, **settings).decode() for name in SCRIPTS)
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    views = "" if metadata["tta"] == "none" else f", averaged over views ({metadata['tta']})"
    return render(
        "model.html",
        policy=f"default-src 'none'; script-src 'sha256-{allowed}'; style-src 'unsafe-inline'; img-src data: blob:;"
        " base-uri 'none'; form-action 'none'",
        model=f"Recipe {metadata['recipe']}{views}",
        version=metadata["fashion_lightning_version"],
        cannot_know=WHAT_IT_CANNOT_KNOW,
        **settings,
        formats=("JPEG", "PNG", "WebP", "GIF", "BMP"),  # what every browser opens
        megabytes=40,
        style=render("serve.css").decode(),
        script=script,
        content=content,
    )


def load_page(content: bytes) -> Exported:
    """Return the function of a page: torch executes the page's operations as its script does."""
    elements = rb'<script type="application/json" id="(\w+)">([^<]*)</script>'
    text = {name.decode(): found for name, found in re.findall(elements, content)}
    shapes = json.loads(text["shapes"])
    values = torch.frombuffer(bytearray(base64.b64decode(text["weights"])), dtype=torch.float32)
    lengths = [torch.Size(shape).numel() for shape in shapes]
    weights = [part.view(shape) for part, shape in zip(torch.split(values, lengths), shapes, strict=True)]
    operations = Operations(json.loads(text["steps"]), weights)
    return lambda images: torch.cat([run(operations, image[None]) for image in images])


def write_card_and_weights(checkpoint: Checkpoint, tta: str) -> bytes:
    """Return the content of a safetensors file; raise a ``UserError`` if a card cannot hold the network's arguments."""
    model, data = checkpoint.config["model"], checkpoint.config["data"]
    card = card_of({"model": {**model, "tta": tta}, "data": data}, checkpoint.name, checkpoint.limits)
    if card is None:
        raise UserError("A .safetensors file cannot hold this network's arguments: export to .onnx or .pt2.")
    return write_safetensors(checkpoint.weights, card)


def load_card_and_weights(content: bytes, network: str = "") -> Exported:
    """Return the function of a safetensors file, read as every command reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"model{SAFETENSORS}")
        path.write_bytes(content)
        classifier = load(path, network)
    return lambda images: classifier.classify(images).probabilities


FORMATS = {".onnx": (write_onnx, load_onnx), ".pt2": (write_pt2, load_pt2), ".html": (write_page, load_page)}
"""Functions that write and read a traced graph, by the suffix of the file."""
