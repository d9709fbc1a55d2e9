"""Muon for the filters of a convolutional network, SGD for everything else."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from fashion_lightning.networks.precision import bf16_is_native

TOGETHER = 3
"""The most iterations to combine: rounding makes small eigenvalues of the Gram matrix negative, and each iteration
multiplies them by 12."""


def orthogonalized(matrix: Tensor, steps: int) -> Tensor:
    """Return roughly the nearest (semi-)orthogonal matrix, by Newton–Schulz iteration.

    The coefficients of the quintic are chosen for speed, not convergence: singular values end up in about [0.7, 1.2]
    (https://kellerjordan.github.io/posts/muon/). Each iteration multiplies the matrix by a polynomial of its Gram
    matrix, which is smaller (``(m, m)`` for m <= n). Multiplying the polynomials of three iterations first,
    and then the matrix by their product, takes half of the time.

    Args:
        matrix: ``(m, n)``.
        steps: iterations, usually 3 to 5.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = matrix.bfloat16() if bf16_is_native(matrix.device.type) else matrix.float()
    x = x / (x.norm() + 1e-7)
    transposed = x.size(0) > x.size(1)
    if transposed:
        x = x.T
    for first in range(0, steps, TOGETHER):
        gram = (x @ x.T).float()
        product = torch.eye(len(x), dtype=gram.dtype, device=x.device)
        iterations = min(TOGETHER, steps - first)
        for iteration in range(iterations):
            polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
            polynomial.diagonal().add_(a)
            product = polynomial @ product
            if iteration < iterations - 1:
                gram = polynomial @ gram @ polynomial  # Gram matrix after this iteration
        x = product.to(x.dtype) @ x
    return (x.T if transposed else x).to(matrix.dtype)


class Muon(Optimizer):
    """Muon for 4-D parameters (filters), SGD with Nesterov momentum for the others.

    Treats a layer's filters as a matrix ``(out, in * height * width)``: orthogonalizes its momentum before applying it,
    and scales the filters to a norm of ``sqrt(out)`` before each step, so that ``lr`` is relative to the weights
    (https://github.com/KellerJordan/cifar10-airbench). One-dimensional parameters (biases, batch norm) and
    two-dimensional ones (dense layers) have learning rates of their own.

    Args:
        params: the parameters to train; Muon trains those with 4 dimensions.
        lr: of filters.
        momentum: of filters.
        newton_schulz_steps: iterations of the orthogonalization.
        dense_lr: of parameters with two dimensions.
        bias_lr: of all other parameters, such as those with one dimension.
        sgd_momentum: of everything but filters.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.12,
        momentum: float = 0.6,
        newton_schulz_steps: int = 3,
        dense_lr: float = 0.2,
        bias_lr: float = 0.064,
        sgd_momentum: float = 0.9,
    ) -> None:
        params = [p for p in params if p.requires_grad]
        groups = [
            {"params": [p for p in params if p.ndim == 4], "lr": lr, "momentum": momentum, "muon": True},
            {"params": [p for p in params if p.ndim == 2], "lr": dense_lr, "momentum": sgd_momentum, "muon": False},
            {
                "params": [p for p in params if p.ndim not in (2, 4)],
                "lr": bias_lr,
                "momentum": sgd_momentum,
                "muon": False,
            },
        ]
        defaults = {"lr": lr, "momentum": momentum, "newton_schulz_steps": newton_schulz_steps}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(p)
                buffer = state["momentum_buffer"].mul_(group["momentum"]).add_(p.grad)
                update = p.grad + group["momentum"] * buffer  # Nesterov
                if group["muon"]:
                    p.mul_(len(p) ** 0.5 / p.norm().clamp(min=1e-12))  # filters that are all zero stay zero
                    update = orthogonalized(update.flatten(1), group["newton_schulz_steps"]).view(p.shape)
                p.add_(update, alpha=-group["lr"])
        return loss
