"""Turn a traced graph into a short list of plain operations on one image, for an interpreter without torch.

``templates/network.js`` executes the list in a browser; ``run`` executes it here, to check a file. An operation reads
earlier results by number and adds its own: result 0 is the image, the last one the probabilities.
"""

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.nn import functional

from fashion_lightning.errors import UserError

Operation = dict[str, Any]
"""``op``; ``in``: the numbers of the results to read; ``shape`` of its result; ``weight`` and ``bias``: numbers of
weights; settings. Operations along a dimension have ``sizes``: the product of the sizes before it, its size, and
the product of those after."""


class Operations(NamedTuple):
    """A classifier as a list: ``(1, channels, size, size)``, from 0 to 255 → probabilities ``(1, classes)``."""

    steps: list[Operation]
    weights: list[Tensor]
    """Float32, contiguous."""


aten = torch.ops.aten

COPIES = (aten.clone.default, aten.alias.default, aten._to_copy.default)  # noqa: SLF001


def flatten(program: ExportedProgram) -> Operations:
    """List the operations of a traced classifier on one image.

    Raises:
        UserError: it has an operation that the list does not support; names it and its layer.
    """
    image, program = program.example_inputs[0][0][:1], program.run_decompositions()
    signature, state = program.graph_signature, {**program.state_dict, **program.constants}
    named = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    inputs = [node for node in program.graph.nodes if node.op == "placeholder"]
    flattener = _Flattener(program.graph_module, {node: 0 for node in inputs if node.name not in named})
    with torch.no_grad():
        flattener.run(*(state[named[node.name]] if node.name in named else image for node in inputs))
    return flattener.written


class _Flattener(fx.Interpreter):
    """Runs a graph once, so that every size is a number, and lists the operations that depend on the image."""

    def __init__(self, graph: fx.GraphModule, places: dict[fx.Node, int]) -> None:
        super().__init__(graph)
        self.extra_traceback = False  # not in error messages
        self.written, self.places = Operations([], []), places

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        read: list[int] = []
        fx.map_arg(n.args, lambda node: read.append(self.places[node]) if node in self.places else None)
        if n.op == "call_function" and read and isinstance(result, Tensor | tuple):
            self.places[n] = self._place_of(n, read, result[0] if isinstance(result, tuple) else result)
        return result

    def _place_of(self, node: fx.Node, read: list[int], result: Tensor) -> int:
        """Add a node to the list unless it only copies; return the number of its result."""
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        copies = node.target in COPIES and result.is_floating_point()  # not conversions to integers
        if copies or (node.target is operator.getitem and args[1] == 0):
            return read[0]
        tensors = [part for part in (args[0] if isinstance(args[0], list) else args) if isinstance(part, Tensor)]
        expected = len(tensors) if node.target in SEVERAL else 1  # other operands are weights
        known = node.target in OPERATIONS and len(read) == expected and not kwargs
        steps = OPERATIONS[node.target](*args) if known else None
        if steps is None:
            raise UserError(
                f"A page does not support {node.target}{_layer_of(node)}. Export to .onnx or .pt2; nothing was written."
            )
        for step in steps if isinstance(steps, list) else [steps]:
            for name in ("weight", "bias"):
                if (weight := step.pop(name, None)) is not None:
                    step[name] = len(self.written.weights)
                    self.written.weights.append(weight.detach().float().contiguous())
            self.written.steps.append({"in": read, "shape": list(result.shape), **step})
            read = [len(self.written.steps)]
        return read[0]


def _layer_of(node: fx.Node) -> str:
    """Return a node's layer as `` in layer network.1 (Softplus)``; empty if it is unknown."""
    path, kind = list((node.meta.get("nn_module_stack") or {"": ("", "")}).values())[-1]
    kind = kind if isinstance(kind, str) else kind.__name__
    return f" in layer {path.removeprefix('classifier.')} ({kind.rpartition('.')[2]})" if path else ""


def _along(name: str, features: Tensor, first: int, last: int | None = None, **settings: Any) -> Operation:
    """Describe an operation along the dimension ``first``, or along those from ``first`` to ``last``."""
    return {"op": name, "sizes": _sizes(features, first, last), **settings}


def _sizes(features: Tensor, first: int, last: int | None = None) -> list[int]:
    first %= features.dim()
    end = first + 1 if last is None else last % features.dim() + 1
    return [math.prod(part) for part in (features.shape[:first], features.shape[first:end], features.shape[end:])]


def _arithmetic(name: str) -> Callable[[Any, Any], Operation | None]:
    """Return a function that describes arithmetic on two results of one shape, or on a result and a number.

    Broadcasting is not supported.
    """

    def describe(left: Any, right: Any) -> Operation | None:
        if isinstance(right, Tensor):
            return {"op": name} if isinstance(left, Tensor) and left.shape == right.shape else None
        times, plus = {"add": (1, right), "sub": (1, -right), "mul": (right, 0), "div": (1 / right, 0)}[name]
        return {"op": "affine", "times": times, "plus": plus}

    return describe


def _convolution(
    _features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    _: list[int],
    groups: int,
) -> Operation | None:
    if transposed or groups != 1 or dilation != [1, 1] or weight.dim() != 4:
        return None
    settings = {"kernel": list(weight.shape[2:]), "stride": stride, "padding": padding}
    return {"op": "conv", **settings, "weight": weight, "bias": bias}


def _batch_norm(
    features: Tensor, gain: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, _: float, eps: float
) -> Operation:
    scale = (variance.double() + eps).rsqrt() * (1 if gain is None else gain)
    return _along("scale", features, 1, weight=scale, bias=-mean * scale + (0 if bias is None else bias))


def _pooling(name: str, may_pad: bool, *defaults: Any) -> Callable[..., Operation | None]:
    """Return a function that describes pooling; arguments after ``padding`` must have torch's defaults."""

    def describe(_: Tensor, kernel: list[int], stride: Any = (), padding: Any = (0, 0), *others: Any) -> Any:
        if others != defaults[: len(others)] or not (may_pad or list(padding) == [0, 0]):
            return None
        return {"op": name, "kernel": kernel, "stride": list(stride) or kernel, "padding": list(padding)}

    return describe


def _mean(features: Tensor, dims: list[int], *_: bool) -> Operation | None:
    dims = sorted(dim % features.dim() for dim in dims)
    is_block = dims == list(range(dims[0], dims[-1] + 1))
    return _along("mean", features, dims[0], dims[-1]) if is_block else None


def _slice(features: Tensor, dim: int, start: int | None, end: int | None, step: int = 1) -> Operation | None:
    start, end, _ = slice(start, end).indices(features.shape[dim])
    return _along("slice", features, dim, start=start, end=end) if step == 1 else None


def _padding(features: Tensor, sides: list[int], value: float = 0) -> list[Operation] | None:
    if len(sides) != 4:
        return None
    left, right, top, bottom = sides
    wider = functional.pad(features, [left, right])
    across = _along("pad", features, -1, before=left, after=right, value=value, shape=list(wider.shape))
    return [across, _along("pad", wider, -2, before=top, after=bottom, value=value)]


OPERATIONS: dict[Any, Callable[..., Operation | list[Operation] | None]] = {
    aten.relu.default: lambda features: {"op": "relu"},
    aten.gelu.default: lambda features: {"op": "gelu"},
    aten.silu.default: lambda features: {"op": "silu"},
    aten.sigmoid.default: lambda features: {"op": "sigmoid"},
    aten.tanh.default: lambda features: {"op": "tanh"},
    aten.view.default: lambda features, shape: {"op": "view"},
    aten.unsqueeze.default: lambda features, dim: {"op": "view"},
    aten.squeeze.dims: lambda features, dims: {"op": "view"},
    aten.add.Tensor: _arithmetic("add"),
    aten.sub.Tensor: _arithmetic("sub"),
    aten.mul.Tensor: _arithmetic("mul"),
    aten.div.Tensor: _arithmetic("div"),
    aten.convolution.default: _convolution,
    aten._native_batch_norm_legit_no_training.default: _batch_norm,  # noqa: SLF001
    aten.mm.default: lambda features, matrix: {"op": "linear", "weight": matrix.T},
    aten.addmm.default: lambda bias, features, matrix: {"op": "linear", "weight": matrix.T, "bias": bias},
    aten.max_pool2d_with_indices.default: _pooling("max_pool", True, [1, 1], False),
    aten.avg_pool2d.default: _pooling("avg_pool", False, False, True, None),
    aten.mean.dim: _mean,
    aten._softmax.default: lambda features, dim, _: _along("softmax", features, dim),  # noqa: SLF001
    aten.cat.default: lambda parts, dim=0: {"op": "cat", "sizes": [_sizes(part, dim) for part in parts]},
    aten.flip.default: lambda features, dims: _along("flip", features, dims[0]) if len(dims) == 1 else None,
    aten.slice.Tensor: _slice,
    aten.constant_pad_nd.default: _padding,
}
"""Functions that describe an operator's arguments; they return ``None`` if the list does not support these."""

SEVERAL = (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor, aten.cat.default)
"""Operators that may read several results."""


@torch.inference_mode()
def run(operations: Operations, image: Tensor) -> Tensor:
    """Compute the probabilities ``(1, classes)`` of an image ``(1, channels, size, size)`` uint8 with the list."""
    places = [image.float()]
    for step in operations.steps:
        read = [places[place] for place in step["in"]]
        weights = [operations.weights[step[name]] for name in ("weight", "bias") if name in step]
        if "sizes" in step and step["op"] != "cat":
            read = [read[0].reshape(step["sizes"])]
        places.append(RUN[step["op"]](step, *read, *weights).reshape(step["shape"]))
    return places[-1]


RUN: dict[str, Callable[..., Tensor]] = {
    "relu": lambda step, x: x.relu(),
    "gelu": lambda step, x: functional.gelu(x),
    "silu": lambda step, x: functional.silu(x),
    "sigmoid": lambda step, x: x.sigmoid(),
    "tanh": lambda step, x: x.tanh(),
    "view": lambda step, x: x,
    "add": lambda step, left, right: left + right,
    "sub": lambda step, left, right: left - right,
    "mul": lambda step, left, right: left * right,
    "div": lambda step, left, right: left / right,
    "affine": lambda step, x: x * float(step["times"]) + float(step["plus"]),
    "conv": lambda step, x, weight, bias=None: functional.conv2d(x, weight, bias, step["stride"], step["padding"]),
    "linear": lambda step, x, *weights: functional.linear(x, *weights),
    "max_pool": lambda step, x: functional.max_pool2d(x, step["kernel"], step["stride"], step["padding"]),
    "avg_pool": lambda step, x: functional.avg_pool2d(x, step["kernel"], step["stride"], step["padding"]),
    "cat": lambda step, *parts: torch.cat(
        [part.reshape(sizes) for part, sizes in zip(parts, step["sizes"], strict=True)], dim=1
    ),
    "scale": lambda step, x, scale, shift: x * scale[:, None] + shift[:, None],
    "mean": lambda step, x: x.mean(dim=1),
    "softmax": lambda step, x: x.softmax(dim=1),
    "flip": lambda step, x: x.flip(1),
    "slice": lambda step, x: x[:, step["start"] : step["end"]],
    "pad": lambda step, x: functional.pad(x, [0, 0, step["before"], step["after"]], value=step["value"]),
}
"""The function of each operation in the list; those along a dimension get features ``(before, along, behind)``."""
