"""A traced graph as a short list of plain operations on one image, for an interpreter that has no torch.

``templates/network.js`` reads the list in a browser; ``run`` does the same here, so that a file can be checked.
An operation reads places and writes the next one: place 0 holds the image, the last one the probabilities.
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
"""``op``; ``in``, the places that it reads; ``shape`` of what it writes; numbers of ``weight`` and ``bias``; settings.
What works along one dimension has ``sizes``: of all dimensions before it, of itself, of all behind it."""


class Operations(NamedTuple):
    """What a classifier computes: ``(1, 1, 28, 28)``, from 0 to 255 → probabilities ``(1, 10)``."""

    steps: list[Operation]
    weights: list[Tensor]
    """Float32, contiguous."""


aten = torch.ops.aten

ACTIVATIONS: dict[Any, str] = {
    aten.relu.default: "relu",
    aten.gelu.default: "gelu",
    aten.silu.default: "silu",
    aten.sigmoid.default: "sigmoid",
    aten.tanh.default: "tanh",
}

POOLING: dict[Any, tuple[str, list[Any]]] = {
    aten.max_pool2d_with_indices.default: ("max_pool", [[], [0, 0], [1, 1], False]),
    aten.avg_pool2d.default: ("avg_pool", [[], [0, 0], False, True, None]),
}
"""With torch's defaults of what follows the kernel: stride, padding, and what is known in this way only."""

COPIES = (aten.clone.default, aten.alias.default, aten._to_copy.default)
VIEWS = (aten.view.default, aten.unsqueeze.default, aten.squeeze.dims)


def flatten(program: ExportedProgram) -> Operations:
    """Write down what a traced classifier does with one image.

    Raises:
        UserError: it has an operation that the list does not know; names it, and the layer that it belongs to.
    """
    return _Flattener(program.run_decompositions()).flatten(torch.zeros(1, 1, 28, 28, dtype=torch.uint8))


class _Flattener(fx.Interpreter):
    """Runs a graph once, so that every size is a number, and writes down what depends on the image."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__(program.graph_module)
        self.extra_traceback = False  # in the message of what is raised
        self.program = program
        self.steps: list[Operation] = []
        self.weights: list[Tensor] = []
        self.places: dict[fx.Node, int] = {}

    def flatten(self, image: Tensor) -> Operations:
        signature, state = self.program.graph_signature, {**self.program.state_dict, **self.program.constants}
        named = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        inputs = [node for node in self.program.graph.nodes if node.op == "placeholder"]
        self.places = {node: 0 for node in inputs if node.name not in named}
        with torch.no_grad():
            self.run(*(state[named[node.name]] if node.name in named else image for node in inputs))
        return Operations(self.steps, self.weights)

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        read: list[int] = []
        fx.map_arg(n.args, lambda node: read.append(self.places[node]) if node in self.places else None)
        if n.op == "call_function" and read and isinstance(result, Tensor | tuple):
            self._write_down(n, read, result[0] if isinstance(result, tuple) else result)
        return result

    def _write_down(self, node: fx.Node, read: list[int], result: Tensor) -> None:
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        copies = node.target in COPIES and result.is_floating_point()  # not to whole numbers
        if copies or (node.target is operator.getitem and args[1] == 0):
            self.places[node] = read[0]
            return
        steps = None if kwargs else self._steps(node.target, args, len(read))
        if steps is None:
            raise UserError(
                f"A page does not know {node.target}{_layer_of(node)}. Export to .onnx or .pt2; nothing was written."
            )
        for step in steps:
            self.steps.append({"in": read, "shape": list(result.shape), **step})
            read = [len(self.steps)]
        self.places[node] = len(self.steps)

    def _steps(self, target: Any, args: Any, read: int) -> list[Operation] | None:
        """An operation as it is written down, or ``None`` if there is no such."""
        if target in ACTIVATIONS:
            return [{"op": ACTIVATIONS[target]}]
        if target in (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor):
            return _arithmetic(target, args[0], args[1], read)
        if target is aten.convolution.default:
            _, weight, bias, stride, padding, dilation, transposed, _, groups = args
            plain = not transposed and groups == 1 and dilation == [1, 1] and read == 1
            settings = {"kernel": list(weight.shape[2:]), "stride": stride, "padding": padding}
            return [{"op": "conv", **settings, **self._with(weight, bias)}] if plain and weight.dim() == 4 else None
        if target is aten._native_batch_norm_legit_no_training.default:
            features, gain, bias, mean, variance, _, eps = args
            scale = (variance.double() + eps).rsqrt() * (1 if gain is None else gain)
            shift = -mean * scale + (0 if bias is None else bias)
            return [{"op": "scale", "sizes": _sizes(features, 1), **self._with(scale, shift)}]
        if target in (aten.mm.default, aten.addmm.default) and read == 1:
            bias, matrix = (args[0], args[2]) if target is aten.addmm.default else (None, args[1])
            return [{"op": "linear", **self._with(matrix.T, bias)}]
        return _pooled(target, *args) or _rearranged(target, *args)

    def _with(self, *weights: Tensor | None) -> Operation:
        numbers: Operation = {}
        for name, weight in zip(("weight", "bias"), weights):
            if weight is not None:
                numbers[name] = len(self.weights)
                self.weights.append(weight.detach().float().contiguous())
        return numbers


def _layer_of(node: fx.Node) -> str:
    """`` in layer network.1 (Softplus)``, as far as it is known."""
    path, kind = list((node.meta.get("nn_module_stack") or {"": ("", "")}).values())[-1]
    kind = kind if isinstance(kind, str) else kind.__name__
    return f" in layer {path.removeprefix('classifier.')} ({kind.rpartition('.')[2]})" if path else ""


def _sizes(features: Tensor, first: int, last: int | None = None) -> list[int]:
    """Of all dimensions before ``first``, from there to ``last``, and of all behind."""
    first %= features.dim()
    end = first + 1 if last is None else last % features.dim() + 1
    return [math.prod(part) for part in (features.shape[:first], features.shape[first:end], features.shape[end:])]


def _arithmetic(target: Any, left: Any, right: Any, read: int) -> list[Operation] | None:
    """Two results of one shape, or a result and a number; nothing is stretched to another shape."""
    name = str(target).split(".")[1]
    if read == 2 and left.shape == right.shape:
        return [{"op": name}]
    if isinstance(left, Tensor) and isinstance(right, int | float):
        times = right if name == "mul" else 1 / right if name == "div" else 1
        plus = right if name == "add" else -right if name == "sub" else 0
        return [{"op": "affine", "times": times, "plus": plus}]
    return None


def _pooled(target: Any, features: Tensor, *settings: Any) -> list[Operation] | None:
    if target in POOLING:
        name, defaults = POOLING[target]
        kernel, *given = settings
        stride, padding, *others = [*given, *defaults[len(given) :]]
        plain = others == defaults[2:] and (name == "max_pool" or padding == [0, 0])
        return [{"op": name, "kernel": kernel, "stride": stride or kernel, "padding": padding}] if plain else None
    if target is aten.mean.dim:
        dims = sorted(dim % features.dim() for dim in settings[0])
        adjacent = dims == list(range(dims[0], dims[-1] + 1))
        return [{"op": "mean", "sizes": _sizes(features, dims[0], dims[-1])}] if adjacent else None
    return None


def _rearranged(target: Any, features: Any, *settings: Any) -> list[Operation] | None:
    if target in VIEWS:
        return [{"op": "view"}]
    if target is aten._softmax.default:
        return [{"op": "softmax", "sizes": _sizes(features, settings[0])}]
    if target is aten.cat.default:
        dim = settings[0] if settings else 0
        return [{"op": "cat", "sizes": [_sizes(part, dim) for part in features]}]
    if target is aten.flip.default and len(settings[0]) == 1:
        return [{"op": "flip", "sizes": _sizes(features, settings[0][0])}]
    if target is aten.slice.Tensor and len(settings) == 3:
        dim, start, end = settings
        size = features.shape[dim]
        start, end, _ = slice(start, end).indices(size)
        return [{"op": "slice", "sizes": _sizes(features, dim), "start": start, "end": end}]
    if target is aten.constant_pad_nd.default and len(settings[0]) == 4:
        (left, right, top, bottom), value = settings[0], settings[1] if len(settings) > 1 else 0
        wider = functional.pad(features, [left, right])
        across = {"op": "pad", "sizes": _sizes(features, -1), "before": left, "after": right, "value": value}
        down = {"op": "pad", "sizes": _sizes(wider, -2), "before": top, "after": bottom, "value": value}
        return [{**across, "shape": list(wider.shape)}, down]
    return None


@torch.inference_mode()
def run(operations: Operations, image: Tensor) -> Tensor:
    """Probabilities ``(1, 10)`` of an image ``(1, 1, 28, 28)`` uint8, by the list alone."""
    places = [image.float()]
    for step in operations.steps:
        read = [places[place] for place in step["in"]]
        weights = [operations.weights[step[name]] for name in ("weight", "bias") if name in step]
        places.append(_computed(step, read, weights).reshape(step["shape"]))
    return places[-1]


ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    **{name: getattr(torch, name) for name in ("add", "sub", "mul", "div", "relu", "sigmoid", "tanh")},
    "gelu": functional.gelu,
    "silu": functional.silu,
    "view": lambda features: features,
}


POOLS: dict[str, Callable[..., Tensor]] = {"max_pool": functional.max_pool2d, "avg_pool": functional.avg_pool2d}


def _computed(step: Operation, read: list[Tensor], weights: list[Tensor]) -> Tensor:
    name, features = step["op"], read[0]
    if name in ELEMENTWISE:
        return ELEMENTWISE[name](*read)
    if name == "affine":
        return features * float(step["times"]) + float(step["plus"])
    if name == "conv":
        bias = weights[1] if len(weights) > 1 else None
        return functional.conv2d(features, weights[0], bias, step["stride"], step["padding"])
    if name == "linear":
        return functional.linear(features, *weights)
    if name in POOLS:
        return POOLS[name](features, step["kernel"], step["stride"], step["padding"])
    if name == "cat":
        return torch.cat([part.reshape(sizes) for part, sizes in zip(read, step["sizes"], strict=True)], dim=1)
    features = features.reshape(step["sizes"])
    if name == "scale":
        return features * weights[0][:, None] + weights[1][:, None]
    if name == "mean":
        return features.mean(dim=1)
    if name == "softmax":
        return features.softmax(dim=1)
    if name == "flip":
        return features.flip(1)
    if name == "slice":
        return features[:, step["start"] : step["end"]]
    assert name == "pad", name
    return functional.pad(features, [0, 0, step["before"], step["after"]], value=step["value"])
