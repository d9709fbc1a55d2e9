"""Whether a network is as large as the weights that a checkpoint holds, before it is given memory."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from fashion_lightning.errors import UserError
from fashion_lightning.runs.allowed_classes import Spec

PARTS_PER_TENSOR = 20
"""Modules without weights (activations, pooling, containers) are at most so many times the tensors."""


def check_size(spec: Spec, state_dict: dict[str, Tensor]) -> None:
    """Lay out a network of the list without memory and compare it with the weights.

    A width of a billion, or a depth of a million, is refused after as many layers as the file has weights for. A
    network of the user's own is built as it is.

    Raises:
        UserError: it is another one than the weights are of.
    """
    if spec.is_own:
        return
    weights = {name.removeprefix("network."): value for name, value in state_dict.items()}
    most = len(weights)
    counts = {"tensors": 0, "modules": 0}

    def count(kind: str, limit: int) -> Any:
        def hook(_module: nn.Module, _name: str, part: Any) -> None:
            counts[kind] += part is not None
            if counts[kind] > limit:
                raise UserError(f"its network has more {kind} than its weights are for")

        return hook

    hooks = [
        register_module_parameter_registration_hook(count("tensors", most)),
        register_module_buffer_registration_hook(count("tensors", most)),
        register_module_module_registration_hook(count("modules", PARTS_PER_TENSOR * most)),
    ]
    try:
        with torch.device("meta"):
            network = spec.build()
    except UserError:
        raise
    except Exception as error:  # a negative width, a word for a number
        raise UserError(f"its network cannot be built ({' '.join(str(error).split())[:200]})") from error
    finally:
        for hook in hooks:
            hook.remove()
    for name, tensor in network.state_dict().items():
        if name not in weights:
            raise UserError(f"its weights do not fit its network: {name} is missing")
        if weights[name].shape != tensor.shape:
            have, want = tuple(weights[name].shape), tuple(tensor.shape)
            raise UserError(f"its weights do not fit its network: {name} is {have}, not {want}")
    if len(network.state_dict()) < most:
        raise UserError("its weights do not fit its network: some are left over")
