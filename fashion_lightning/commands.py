"""What each command does once the Trainer, the model and the data are built."""

import traceback
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.cli import LightningCLI

from fashion_lightning.callbacks.predictions import PredictionsCSV
from fashion_lightning.callbacks.run_config import RunConfig
from fashion_lightning.callbacks.stop_on_signal import Interrupted
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.continuing import figures_of
from fashion_lightning.data.datamodule import FashionMNISTDataModule
from fashion_lightning.errors import UserError
from fashion_lightning.memory import keep_freed_memory
from fashion_lightning.report import (
    evaluation_figures,
    print_evaluation,
    print_fit,
    print_start,
    write_evaluation,
    write_json,
)
from fashion_lightning.results import has_report
from fashion_lightning.runs import Checkpoint
from fashion_lightning.seeding import run_seed
from fashion_lightning.tensorboard import log_test_figures
from fashion_lightning.tta import IN_WORDS, suffix


class Commands(LightningCLI):
    """``fit``, ``validate``, ``test`` and ``predict``, which LightningCLI calls by their names."""

    name: str
    """Of the recipe."""
    began: float
    """``time.monotonic()`` when the command began."""
    checkpoint: Checkpoint | None
    """What ``--ckpt_path`` named."""
    run_dir: Path | None
    """The run folder, if there is one."""
    finished: str | None
    """Why there is nothing left to train."""
    timer: Timer
    run_config: RunConfig

    def fit(self, model: FashionMNISTClassifier, datamodule: FashionMNISTDataModule, **_: Any) -> None:
        """Train, or go on training; then say what came of it and what to do next."""
        if self.checkpoint is not None and self.finished:
            print(self.finished)
            if self.checkpoint.in_place and self.run_dir and not has_report(self.run_dir):
                print("Its report is missing or damaged, and is written now.")
                self._report_fit(model, self.run_dir, figures_of(self.checkpoint))
            return
        if self.trainer.is_global_zero:
            print_start(self.checkpoint, self.trainer, self.run_dir, model.make_scheduler is not None)
            if self.run_dir is not None:
                (self.run_dir / "fit.json").unlink(missing_ok=True)  # a run that goes on is not finished
        try:
            self._start(model, datamodule)
        except (UserError, OSError) as error:
            last = self.run_dir and self.run_dir / "checkpoints" / "last.ckpt"
            kept = f" The last good checkpoint: {last}" if last and last.is_file() else ""
            raise UserError(f"{error}{kept}") from error
        except Interrupted as interrupted:
            if self.run_dir is not None:
                print(f"Interrupted. Continue with: fashion-lightning fit --ckpt_path {self.run_dir}")
            raise SystemExit(interrupted.exit_code) from None
        if self.run_dir is not None and self.trainer.is_global_zero:
            first_step = self.timer.start_time("train")
            figures = {
                "epochs": self.trainer.current_epoch,
                "steps": self.trainer.global_step,
                "fit_seconds": self.timer.time_elapsed("train"),
                "start_seconds": None if first_step is None else first_step - self.began,
                "best": self._get(self.config_init, "best_checkpoint").best_metrics,
                "last": self.run_config.latest_figures(self.trainer),
            }
            self._report_fit(model, self.run_dir, figures)

    def _start(self, model: FashionMNISTClassifier, datamodule: FashionMNISTDataModule) -> None:
        """Hand over to the Trainer's method of this command."""
        keep_freed_memory()
        start = getattr(self.trainer, str(self.subcommand))
        path = str(self.checkpoint.path) if self.checkpoint is not None else None
        verbosity = {"verbose": False} if self.subcommand in ("validate", "test") else {}
        try:
            start(model, datamodule=datamodule, ckpt_path=path, weights_only=True, **verbosity)
        except MisconfigurationException as error:
            raise UserError(str(error)) from error
        except (UserError, OSError):
            raise
        except Exception as error:  # whatever a network or an optimizer of the user's raises within a step
            if self.run_dir is None or self.subcommand != "fit":
                raise
            reason = f"Training failed: {type(error).__name__}: {str(error)[:300]}"
            details = self.run_dir / "traceback.txt"
            details.write_text(traceback.format_exc())
            raise UserError(f"{reason} The whole traceback is in {details}.") from error

    def _report_fit(self, model: FashionMNISTClassifier, run_dir: Path, figures: dict[str, Any]) -> None:
        parameters = sum(p.numel() for p in model.network.parameters())
        report = {"recipe": self.name, "seed": run_seed(), "parameters": parameters, **figures}
        write_json(run_dir / "fit.json", report)
        print_fit(run_dir, report)

    def validate(self, model: FashionMNISTClassifier, datamodule: FashionMNISTDataModule, **_: Any) -> None:
        """Measure a checkpoint on the validation images."""
        self._evaluate(model, datamodule, "validation")

    def test(self, model: FashionMNISTClassifier, datamodule: FashionMNISTDataModule, **_: Any) -> None:
        """Measure a checkpoint on the test images."""
        self._evaluate(model, datamodule, "test")

    def _evaluate(self, model: FashionMNISTClassifier, datamodule: FashionMNISTDataModule, images: str) -> None:
        assert self.checkpoint is not None  # cli.py sees to it
        self._start(model, datamodule)
        if not model.evaluations:
            raise UserError(f"There was nothing to {self.subcommand}: a trainer.limit_ setting left no image.")
        if not self.trainer.is_global_zero:
            return
        for tta, evaluation in model.evaluations.items():
            figures = evaluation_figures(evaluation)
            if self.subcommand == "test" and self.run_dir is not None:
                log_test_figures(self.run_dir, f"test{suffix(tta)}", figures, self.checkpoint.steps_done - 1)
            print_evaluation(f"{self.checkpoint.path} on the {images} images{IN_WORDS[tta]}", figures)
            path = self._beside(f"{self.subcommand}_{self.checkpoint.path.stem}{suffix(tta)}.json")
            write_evaluation(path, self.checkpoint, tta, figures)

    def predict(self, model: FashionMNISTClassifier, datamodule: FashionMNISTDataModule, **_: Any) -> None:
        """Write classes and probabilities as CSV."""
        output = self._get(self.config, "output")
        path = self._beside("predictions.csv") if output is None else Path(output)
        if path.is_dir():
            raise UserError(f"--output needs the name of a CSV file, not of a folder: {output!r}.")
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = PredictionsCSV(path, datamodule)
        self.trainer.callbacks.append(writer)  # type: ignore[attr-defined]
        self._start(model, datamodule)
        if self.trainer.is_global_zero:
            print(f"{len(writer.rows):,} predictions written to {path}")

    def _beside(self, name: str) -> Path:
        """A file in the run folder, or beside a checkpoint that lies elsewhere."""
        assert self.checkpoint is not None
        return (self.run_dir or self.checkpoint.path.parent) / name
