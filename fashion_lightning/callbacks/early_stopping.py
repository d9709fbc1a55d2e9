"""EarlyStopping that goes on where it was."""

from typing import Any

from lightning.pytorch import callbacks

from fashion_lightning.metrics import direction


class EarlyStopping(callbacks.EarlyStopping):
    """Stops when the monitored validation metric has not improved for ``patience`` validations.

    Stock EarlyStopping takes its patience from the checkpoint, over the one that was typed. It does not
    remember either that it had stopped: ``continuing.py`` does.

    Args:
        patience: validations (one an epoch, unless the Trainer is told otherwise) without improvement
            before training stops.
        monitor: the metric to watch; less is better of a loss, more of anything else.
        min_delta: the smallest change that counts as an improvement.
    """

    def __init__(
        self,
        patience: int = 10,
        monitor: str = "val/loss",
        min_delta: float = 0.0,
    ) -> None:
        # not strict: a run that max_steps ends before its first validation has no metric yet
        super().__init__(monitor=monitor, min_delta=min_delta, patience=patience, mode=direction(monitor), strict=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})
