"""Check a network's output and its loss before training starts."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from fashion_lightning.errors import UserError, place_in_own_code


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode within the block; restore the training flag of each module afterwards."""
    training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, flag in training.items():
            module.training = flag


def check_output(classify: Callable[[Tensor], object], network: nn.Module, images: Tensor, classes: int) -> None:
    """Run a network once in evaluation mode, and check its output; lazy layers get their shapes.

    Args:
        classify: applies the network to raw images ``(B, channels, size, size)``.
        network, images, classes: the network (its training flags stay the same), raw images, and the number of logits.

    Raises:
        UserError: it fails, or returns anything other than logits ``(B, classes)``.
    """
    name = type(network).__name__
    try:
        with torch.no_grad(), evaluating(network):
            logits = classify(images)
    except Exception as error:  # whatever a user's network raises
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        place = place_in_own_code(error)
        shape = ", ".join(map(str, images.shape[1:]))
        raise UserError(f"Network {name} cannot take images of shape (B, {shape}): {reason}{place}") from error
    if not isinstance(logits, Tensor) or logits.shape != (len(images), classes):
        shape = f"(B, {', '.join(map(str, logits.shape[1:]))})" if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(f"Network {name} must return logits of shape (B, {classes}), one per class, not {shape}.")


def check_loss(loss: nn.Module, classes: int) -> None:
    """Compute a loss once, on logits from -3 to 3.

    Raises:
        UserError: it is not one finite number with a gradient for the logits.
    """
    logits = torch.linspace(-3, 3, 2 * classes).view(2, classes).requires_grad_()
    name, given = type(loss).__name__, f"logits (B, {classes}) and labels (B,)"
    try:
        value = loss(logits, torch.arange(2))
    except Exception as error:  # whatever a user's loss raises
        reason = f"{type(error).__name__}: {str(error)[:200]}{place_in_own_code(error)}"
        raise UserError(f"model.loss {name} cannot take {given}: {reason}") from error
    if not isinstance(value, Tensor) or value.shape or not value.isfinite() or not value.requires_grad:
        found = str(value)[:80]  # shows shape and gradient, too
        raise UserError(f"model.loss {name} must return one finite number with a gradient for {given}, not {found}.")


def last_dense_layer(module: nn.Module) -> nn.Linear | None:
    """Return the last ``nn.Linear`` of a module, in the order of ``modules()``."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return layers[-1] if layers else None
