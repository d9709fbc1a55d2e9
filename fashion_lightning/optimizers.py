"""Muon for the filters of a convolutional network, SGD for everything else."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from fashion_lightning.networks.precision import bf16_is_native

TOGETHER = 3
"""Iterations at a time. Rounding leaves eigenvalues just below 0, and each iteration multiplies those by 12."""


def orthogonalized(matrix: Tensor, steps: int) -> Tensor:
    """The nearest (semi-)orthogonal matrix, roughly, by Newton–Schulz iteration.

    A quintic with coefficients chosen for speed, not convergence: singular values end up in about
    [0.7, 1.2] (https://kellerjordan.github.io/posts/muon/). Each iteration multiplies by a polynomial of
    the small ``(m, m)`` product of the matrix with itself. The polynomials of three iterations are multiplied with one
    another first, and with the matrix once, at their end: half of the time of doing it in every iteration.

    Args:
        matrix: ``(m, n)``.
        steps: iterations, 3 to 5 as a rule.
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
                gram = polynomial @ gram @ polynomial  # of the matrix after this iteration
        x = product.to(x.dtype) @ x
    return (x.T if transposed else x).to(matrix.dtype)


class Muon(Optimizer):
    """Muon on 4-D parameters (filters); SGD with Nesterov momentum on the others.

    Each filter bank is a matrix ``(out, in * height * width)``: its momentum is orthogonalized before
    it is applied, and the bank is kept at a norm of ``sqrt(out)``, so that ``lr`` is relative to the
    weights (https://github.com/KellerJordan/cifar10-airbench). Parameters of one dimension (biases,
    batch norm) and of two (dense layers) have learning rates of their own.

    Args:
        params: parameters, of which those with 4 dimensions are trained by Muon.
        lr: of filters.
        momentum: of filters.
        newton_schulz_steps: iterations of the orthogonalization.
        dense_lr: of parameters with two dimensions.
        bias_lr: of parameters with one dimension.
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
                    p.mul_(len(p) ** 0.5 / p.norm().clamp(min=1e-12))  # a filter bank of zeros stays one
                    update = orthogonalized(update.flatten(1), group["newton_schulz_steps"]).view(p.shape)
                p.add_(update, alpha=-group["lr"])
        return loss
