"""Which of Lightning's own callbacks and loggers a fit takes: those with which a killed run goes on exactly.

A positive list: what is not known to do so is refused, with what to use instead.
"""

from collections.abc import Mapping
from typing import Any

from fashion_lightning.errors import UserError

EXACT = {
    "DeviceStatsMonitor",
    "LearningRateMonitor",
    "ModelCheckpoint",
    "ModelSummary",
    "RichModelSummary",
    "RichProgressBar",
    "TQDMProgressBar",
}
"""Callbacks that keep nothing between two steps, or all of it in the checkpoint."""

INSTEAD = {
    "EMAWeightAveraging": "use fashion_lightning.callbacks.weight_averaging.WeightEMA",
    "EarlyStopping": "set --early_stopping.monitor and --early_stopping.patience",
    "GradientAccumulationScheduler": "use --trainer.accumulate_grad_batches",
    "LearningRateFinder": "try learning rates with --trainer.max_epochs 1",
    "OnExceptionCheckpoint": "leave it out: checkpoints/last.ckpt is written all along",
    "StochasticWeightAveraging": "use fashion_lightning.callbacks.weight_averaging.WeightEMA",
    "Timer": "use --trainer.max_time",
    "WeightAveraging": "use fashion_lightning.callbacks.weight_averaging.WeightEMA",
}
"""Of the others, what does the same and can be continued."""

LOGGERS = "leave trainer.logger as it is: TensorBoard's curves have each point once"


def refuse_inexact(settings: Mapping[str, Any]) -> None:
    """Refuse Lightning's own parts that a killed run could not go on with; parts of the user's own are theirs.

    Args:
        settings: of the Trainer, as they were parsed: nothing is built yet.

    Raises:
        UserError: naming the first such part, and what to use instead.
    """
    for setting in ("callbacks", "logger"):
        value = settings[setting]
        for part in value if isinstance(value, list) else [value]:
            package, _, name = getattr(part, "class_path", "").rpartition(".")
            if package.startswith("lightning.") and name not in EXACT:
                instead = LOGGERS if setting == "logger" else INSTEAD.get(name, "leave it out")
                raise UserError(
                    f"trainer.{setting} cannot hold Lightning's {name}: a run that was killed would not go on with it"
                    f" as if nothing had happened. Instead, {instead}."
                )
