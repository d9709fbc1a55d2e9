"""The learning-rate range test (https://arxiv.org/abs/1506.01186, section 3.3)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from lightning import Callback, LightningModule, Trainer
from matplotlib.figure import Figure
from torch.optim import Optimizer

from fashion_lightning.callbacks.plots import logger_to_draw
from fashion_lightning.errors import UserError
from fashion_lightning.files.durable import replacing

WINDOW = 9
"""Steps over which the loss is averaged."""

FEWEST = 30
"""Fewest steps; with fewer, the curve shows nothing."""


class LearningRateRangeTest(Callback):
    """Raises the learning rate with each step, then stops and prints the learning rate with the lowest loss.

    Lightning's finder sets one rate for all parameter groups. This one changes only the groups whose rate is the
    optimizer's ``lr``: Muon has separate rates for dense layers and biases. Overrides any schedule. Draws the curve to
    ``range_test.png`` in the run folder.

    Args:
        lowest: learning rate of the first step.
        highest: learning rate of the last step; the steps between are evenly spaced on a logarithmic scale.
        steps: number of optimizer steps.
    """

    def __init__(self, lowest: float = 1e-5, highest: float = 1.0, steps: int = 100) -> None:
        if not 0 < lowest < highest < math.inf or steps < FEWEST:
            raise UserError(f"The range test needs rates 0 < lowest < highest, and at least {FEWEST} steps.")
        self.rates = np.geomspace(lowest, highest, steps).tolist()
        self.losses: list[float] = []
        self.groups: list[dict[str, Any]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.groups = groups_of_lr(trainer.optimizers[0])
        if (
            trainer.global_step
            or trainer.accumulate_grad_batches != 1
            or (
                not trainer.fast_dev_run  # type: ignore[attr-defined]
                and (not trainer.loggers or trainer.estimated_stepping_batches < FEWEST)
            )
        ):
            raise UserError(
                f"The range test needs at least {FEWEST} steps of a new run: leave out accumulate_grad_batches,"
                " --ckpt_path and `logger: false`, and train long enough."
            )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        for group in self.groups if len(self.losses) < len(self.rates) else ():
            group["lr"] = self.rates[len(self.losses)]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not trainer.should_stop:
            self.losses.append(float(trainer.strategy.reduce(outputs["loss"], reduce_op="mean")))
            smoothed = smooth(self.losses)
            diverged = len(self.losses) >= FEWEST and smoothed[-1] > 4 * min(smoothed)  # as in Lightning's finder
            trainer.should_stop = len(self.losses) == len(self.rates) or diverged

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if (logger := logger_to_draw(trainer)) is None or len(self.losses) < FEWEST:
            return
        rates, smoothed = self.rates[: len(self.losses)], smooth(self.losses)
        least = rates[int(np.nanargmin(smoothed))]
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(rates, self.losses, color="#b0b0b0", linewidth=0.8, label="loss of each step")
        axes.plot(rates, smoothed, color="#0072B2", label="smoothed")
        axes.axvline(least, color="#D55E00", linestyle=":", label=f"least: {least:.2g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", ylim=(0, 1.5 * smoothed[0]))
        axes.legend(frameon=False)
        path = logger.run_dir / "range_test.png"
        with replacing(path) as file:
            figure.savefig(file, format="png", dpi=150)
        print(f"\nThe loss is least at a learning rate of {least:.2g}: {path}")
        print(f"A usual choice for Adam and SGD is a tenth of it, {least / 10:.2g}; let validation decide.")


def groups_of_lr(optimizer: Optimizer) -> list[dict[str, Any]]:
    """Return the parameter groups whose learning rate equals the optimizer's ``lr``.

    Raises:
        UserError: there is none, so ``lr`` has no effect on this network.
    """
    lr = optimizer.defaults["lr"]
    groups = [group for group in optimizer.param_groups if group.get("initial_lr", group["lr"]) == lr]
    if not groups:
        raise UserError(
            f"No parameter of this network uses the lr of {type(optimizer).__name__}. Use another optimizer."
        )
    return groups


def smooth(losses: Sequence[float]) -> list[float]:
    """Return the mean loss in a window around each step; needs at least ``WINDOW`` losses."""
    sums, counts = (np.convolve(values, np.ones(WINDOW), "same") for values in (losses, np.ones_like(losses)))
    return list(sums / counts)
