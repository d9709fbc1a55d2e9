"""Send a signal at a chosen moment of a fit, and compare the states of two runs."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

HOOKS = {
    "train": "on_train_batch_start",
    "validation": "on_validation_batch_start",
    "epoch start": "on_train_epoch_start",
    "epoch end": "on_train_epoch_end",
}


class InterruptAt(Callback):
    """Sends this process a signal, as a user would, at a chosen moment."""

    def __init__(self, hook: str, epoch: int, batch: int, signum: int = signal.SIGINT) -> None:
        self.moment = (epoch, batch)
        self.signum = signum
        setattr(self, HOOKS[hook], self._called)

    def _called(self, trainer: Trainer, pl_module: LightningModule, batch: Any = None, batch_idx: int = 0) -> None:
        if (trainer.current_epoch, batch_idx) == self.moment:
            os.kill(os.getpid(), self.signum)


def interrupt(hook: str, epoch: int, batch: int, signum: int = signal.SIGINT) -> list[str]:
    """Flags that add the callback."""
    values = {"hook": hook, "epoch": epoch, "batch": batch, "signum": int(signum)}
    return [
        "--trainer.callbacks+=tests.interruption.InterruptAt",
        *(f"--trainer.callbacks.init_args.{name}={value}" for name, value in values.items()),
    ]


def weights_and_optimizer(run: Path) -> list[torch.Tensor]:
    content = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    state = content["optimizer_states"][0]["state"]
    return [*content["state_dict"].values(), *(entry["momentum_buffer"] for entry in state.values())]


def assert_same_state(run: Path, other: Path) -> None:
    """Assert that weights and optimizers are equal, to the bit."""
    for a, b in zip(weights_and_optimizer(run), weights_and_optimizer(other), strict=True):
        assert torch.equal(a, b)


def wait_for(condition: Callable[[], object], process: "subprocess.Popen[Any] | None" = None) -> None:
    """Wait until a condition holds; fail if the process ends before."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None
        time.sleep(0.005)
