"""The run's config, in its folder and in every checkpoint."""

from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback

from fashion_lightning.files.bounded_yaml import dump_yaml
from fashion_lightning.files.durable import replacing
from fashion_lightning.runs.card import card_of
from fashion_lightning.version import __version__


def config_text(parser: LightningArgumentParser, config: Namespace) -> str:
    """Return every setting as YAML, also those that are null: null may differ from the default."""
    return dump_yaml(yaml.safe_load(parser.dump(config, skip_none=False)))


class RunConfig(SaveConfigCallback):
    """Writes ``config.yaml`` into the run folder, and the same text and a card into each checkpoint.

    The card lets a checkpoint be tested and used wherever it was moved to. The metrics of the latest epoch go with
    it, for the report of a run that was killed before it could write one.

    Args:
        name: the recipe's name.

    ``run_dir`` and ``run_id`` are set when the run folder is made; without one, nothing is written.
    """

    def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.run_dir: Path | None = None
        self.run_id: str | None = None
        self.name = name
        self.text = config_text(self.parser, self.config)
        self.metrics: dict[str, float] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write nothing yet: stock SaveConfigCallback would, and refuses the file of a run that is continued."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.run_dir is not None and trainer.is_global_zero:
            with replacing(self.run_dir / "config.yaml") as file:
                file.write(self.text.encode())

    def latest_metrics(self, trainer: Trainer) -> dict[str, float]:
        """Return the latest value of each metric, also from before an interruption."""
        measured = {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}
        self.metrics = {**self.metrics, **measured}
        return self.metrics

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        card = card_of(yaml.safe_load(self.text), self.name)
        checkpoint["fashion_lightning"] = {
            "version": __version__,
            "name": self.name,
            "run": self.run_id,
            "config": self.text,
            "card": None if card is None else card.to_json(),
            "processes": trainer.world_size,
            "metrics": self.latest_metrics(trainer),
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.metrics = checkpoint["fashion_lightning"]["metrics"]
