"""An ONNX file, for every runtime that reads them; torch is not needed to use it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.export import ExportedProgram

OPSET = 20
"""Of ONNX's operators: the first that has GELU as one of them."""

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What must be installed beside this package."""


def write(program: "ExportedProgram", metadata: dict[str, str]) -> bytes:
    """Return the content of the file, weights included."""
    import onnx
    import torch

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


def load(content: bytes) -> "Callable[[Tensor], Tensor]":
    """Return the function of a file's content, run by onnxruntime on the CPU."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["probabilities"], {"images": images.numpy()})[0])
