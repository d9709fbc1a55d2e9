"""Where the time of a training step goes: a profiler whose report is one screen."""

import re

from lightning.pytorch.profilers import SimpleProfiler

STEP, EPOCH = "run_training_batch", "run_training_epoch"
"""As Lightning names what it times."""


class StepTimes(SimpleProfiler):
    """Reports the biggest parts of a training step, in milliseconds and as percent of the epoch.

    Args:
        parts: how many.
    """

    def __init__(self, parts: int = 10) -> None:
        super().__init__()
        self.parts = parts

    def summary(self) -> str:
        """The report; nothing of a stage that has not trained."""
        steps = len(self.recorded_durations.get(STEP, []))
        whole = sum(self.recorded_durations.get(EPOCH, []))
        if not steps or not whole:
            return ""
        totals = {name: sum(durations) for name, durations in self.recorded_durations.items()}
        in_epoch = {
            name: total
            for name, total in totals.items()
            if name != EPOCH and len(self.recorded_durations[name]) >= steps  # else not a part of every step
        }
        biggest = sorted(in_epoch, key=in_epoch.__getitem__, reverse=True)[: self.parts]
        lines = [
            f"{'ms a step':>10}{'percent':>9}  the {len(biggest)} biggest parts of {steps} steps (some hold others)",
            *(f"{1000 * totals[n] / steps:>10.2f}{100 * totals[n] / whole:>9.1f}  {_short(n)}" for n in biggest),
            f"{1000 * whole / steps:>10.2f}{100:>9.1f}  the whole epoch, with its validation",
        ]
        return "\n".join(lines)


def _short(name: str) -> str:
    """``[Callback]EarlyStopping{'monitor': 'val/loss'}.on_train_batch_end`` → ``EarlyStopping.on_train_batch_end``."""
    return re.sub(r"\[.*?\]\.?|\{.*\}", "", name)
