"""The files that ``export`` writes: how each is written, and how it is read back to check it.

``.onnx`` is for every runtime that reads it, without torch; ``.pt2``, of torch.export, runs in Python or C++ without
this package; ``.safetensors`` holds weights and their card, and every command takes it in the place of a checkpoint.
``page.py`` writes ``.html``.
"""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from fashion_lightning.errors import UserError
from fashion_lightning.export.page import load_page, write_page
from fashion_lightning.inference import load
from fashion_lightning.runs.card import card_of
from fashion_lightning.runs.checkpoint import Checkpoint
from fashion_lightning.runs.weights import SAFETENSORS, write_safetensors

Exported = Callable[[Tensor], Tensor]
"""Images ``(B, 1, 28, 28)`` uint8 → probabilities ``(B, 10)``."""

OPSET = 20
"""The version of ONNX's operators: the first that has GELU as one of them."""


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
        dynamic_shapes=({0: "batch"},),  # the name that readers see
        external_data=False,
    )
    assert converted is not None  # only without dynamo
    model = converted.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # which line of torch it came from
    onnx.helper.set_model_props(model, metadata)
    content: bytes = model.SerializeToString()
    return content


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


def write_card_and_weights(checkpoint: Checkpoint, tta: str) -> bytes:
    """Return the content of a safetensors file.

    Raises:
        UserError: the network's arguments go beyond what a card may hold, or two layers share their weights.
    """
    model, data = checkpoint.config["model"], checkpoint.config["data"]
    card = card_of({"model": {**model, "tta": tta}, "data": data}, checkpoint.name)
    if card is None:
        raise UserError("The network of this run has arguments that a .safetensors file cannot hold.")
    try:
        return write_safetensors(checkpoint.weights, card)
    except RuntimeError as error:
        raise UserError(f"The weights cannot be written to a .safetensors file: {error}") from error


def load_card_and_weights(content: bytes, network: str = "") -> Exported:
    """Return the function of a safetensors file, read back as every command reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"model{SAFETENSORS}")
        path.write_bytes(content)
        classifier = load(path, network)
    return lambda images: classifier.classify(images).probabilities


FORMATS = {".onnx": (write_onnx, load_onnx), ".pt2": (write_pt2, load_pt2), ".html": (write_page, load_page)}
"""What writes and reads a traced graph, by the suffix of the file."""
