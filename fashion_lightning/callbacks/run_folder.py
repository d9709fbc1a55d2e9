"""Tell all processes of a run which folder the first one has made."""

from collections.abc import Callable
from pathlib import Path

from lightning import Callback, LightningModule, Trainer


class ShareRunFolder(Callback):
    """Tells the other processes where the first one writes, as soon as they are connected.

    Must come before all callbacks that need the folder. An environment variable would only reach the processes that
    Lightning starts: those of torchrun and SLURM run before there is a folder.

    Args:
        use: makes the Trainer of another process use the folder.
    """

    def __init__(self, use: Callable[[Trainer, Path], None]) -> None:
        self.use = use
        self.run_dir: Path | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.world_size == 1 or stage != "fit":
            return
        run_dir = trainer.strategy.broadcast(self.run_dir)
        if run_dir is not None and not trainer.is_global_zero:
            self.use(trainer, run_dir)
