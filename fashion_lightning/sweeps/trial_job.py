"""One trial of a sweep, as the worker that trains it sees it."""

import time
from dataclasses import dataclass, field
from typing import Any, Literal

from optuna.trial import FrozenTrial

from fashion_lightning.sweeps.jobs import Job


@dataclass(kw_only=True, eq=False)
class TrialJob(Job):
    """One trial on its way through its fits, of one seed after the other."""

    number: int
    attempt: FrozenTrial | None = None
    """That this worker has taken."""
    values: dict[str, Any] = field(default_factory=dict)
    curve: dict[int, float] = field(default_factory=dict)
    """What was reported of its first seed, by epoch."""
    given_up: Literal["", "pruned", "diverged", "lost"] = ""
    """Why its process was ended, or ended."""
    asked: int = 0
    """The latest epoch after which it was asked whether to go on."""
    sign_of_life: float = 0.0

    def begin(self, attempt: FrozenTrial, values: dict[str, Any]) -> None:
        """Take it, perhaps once more."""
        self.attempt, self.values, self.curve = attempt, values, dict(attempt.intermediate_values)
        self.given_up, self.failure, self.process, self.command = "", "", None, []
        self.asked = max((epoch for epoch in self.curve if epoch < max(self.curve)), default=0)
        self.sign_of_life = time.monotonic()
        self.done = False
