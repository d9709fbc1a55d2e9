"""Lightning's Trainer with the arguments that make sense here, typed with the values that they can have.

jsonargparse reads the types, and refuses any other argument or value in one line before anything is built.
"""

import os
from datetime import timedelta
from typing import Any, Literal

import lightning
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt
from lightning import Callback
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import Profiler

from fashion_lightning.errors import UserError
from fashion_lightning.runs.folder import LOGS
from fashion_lightning.runs.processes import is_first_process

EXACT = {
    *("CSVLogger", "MLFlowLogger", "WandbLogger"),
    *("DeviceStatsMonitor", "LearningRateMonitor", "ModelCheckpoint", "ModelSummary", "RichModelSummary", "Timer"),
}
"""Lightning's callbacks that keep no state between steps or save all of it in the checkpoint; and loggers, whose
behaviour in a continued run docs/runs.md describes."""


class Slurm(SLURMEnvironment):
    """SLURM's environment without Lightning's handling of SIGUSR1: StopOnSignal saves, and the job script requeues.

    Lightning would save ``hpc_ckpt_1.ckpt`` in the folder of all runs, and each later fit would start from it.
    """

    @staticmethod
    def _validate_srun_variables() -> None:
        """Accept ``srun --ntasks``, too: our Trainer checks the number of processes."""


class Trainer(lightning.Trainer):
    """Trains, validates, tests and predicts.

    Omits arguments with which a killed run would not resume exactly, or which would replace parts of this package.

    Args:
        accelerator: ``cpu``, ``gpu`` (``cuda``, ``mps``), or ``auto`` for what the machine has.
        devices: number of processes on a CPU, or of GPUs.
        num_nodes: number of machines.
        strategy: how several processes work together: ``ddp``, each with its own copy of the network.
        precision: of the arithmetic; if null, commands take bf16-mixed if the hardware has it, else 32-true.
        max_epochs: epochs, counted from the start of the run.
        min_epochs: epochs before which early stopping does not stop.
        max_steps: optimizer steps; -1 is no limit.
        min_steps: optimizer steps before which early stopping does not stop.
        max_time: total time of training, as days:hours:minutes:seconds.
        accumulate_grad_batches: batches in an optimizer step.
        gradient_clip_val: largest norm (or value) of the gradient; 0 does not clip.
        gradient_clip_algorithm: ``norm`` or ``value``.
        limit_train_batches: batches, or a fraction of them; all by default.
        limit_val_batches: batches, or a fraction of them; 0 disables validation.
        limit_test_batches: batches, or a fraction of them.
        limit_predict_batches: batches, or a fraction of them.
        val_check_interval: batches, or a fraction of an epoch, from one validation to the next.
        check_val_every_n_epoch: epochs from one validation to the next; null counts batches across epochs.
        num_sanity_val_steps: validation batches before training.
        log_every_n_steps: steps from one point of a curve to the next; 0 logs epochs only.
        fast_dev_run: train and validate on only this many batches, and save nothing.
        default_root_dir: the folder of all runs.
        enable_progress_bar: whether a terminal shows one.
        deterministic: if null, commands take true on a CPU, else ``warn``.
        benchmark: whether cuDNN tries several kernels.
        detect_anomaly: whether to check each operation of the backward pass for NaN.
        sync_batchnorm: whether batch norm includes the images of all GPUs; not for CPUs.
        callbacks: your own, and those of Lightning's with which a killed run resumes exactly.
        logger: more loggers than TensorBoard, such as ``+=lightning.pytorch.loggers.CSVLogger``; false for none.
        profiler: ``simple``, ``advanced``, or your own.
    """

    def __init__(
        self,
        accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto",
        devices: PositiveInt | list[int] | Literal["auto"] = "auto",
        num_nodes: PositiveInt = 1,
        strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = "auto",
        precision: Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true"] | None = None,
        max_epochs: PositiveInt | Literal[-1] = 10,
        min_epochs: NonNegativeInt | None = None,
        max_steps: PositiveInt | Literal[-1] = -1,
        min_steps: NonNegativeInt | None = None,
        max_time: str | timedelta | dict[str, int] | None = None,
        accumulate_grad_batches: PositiveInt = 1,
        gradient_clip_val: NonNegativeFloat | None = None,
        gradient_clip_algorithm: Literal["norm", "value"] = "norm",
        limit_train_batches: int | float | None = None,
        limit_val_batches: int | float | None = None,
        limit_test_batches: int | float | None = None,
        limit_predict_batches: int | float | None = None,
        val_check_interval: int | float | None = None,
        check_val_every_n_epoch: PositiveInt | None = 1,
        num_sanity_val_steps: NonNegativeInt = 0,
        log_every_n_steps: NonNegativeInt = 10,
        fast_dev_run: NonNegativeInt | bool = False,
        default_root_dir: str = str(LOGS),
        enable_progress_bar: bool = True,
        deterministic: bool | Literal["warn"] | None = None,
        benchmark: bool | None = None,
        detect_anomaly: bool = False,
        sync_batchnorm: bool = False,
        callbacks: list[Callback] | Callback | None = None,
        logger: list[Logger] | bool | None = None,
        profiler: Profiler | Literal["simple", "advanced"] | None = None,
    ) -> None:
        settings = {name: _plain(value) for name, value in locals().items() if name not in ("self", "__class__")}
        _refuse_inexact("callbacks", callbacks)
        _refuse_inexact("logger", logger)
        for name in ("limit_train_batches", "val_check_interval"):  # jsonargparse would save a PositiveFloat here as 0
            if settings[name] is not None and not settings[name] > 0:
                raise UserError(f"trainer.{name} must be above 0, not {settings[name]}.")
        if "://" in default_root_dir:
            raise UserError(f"--runs must be a folder on this machine, not {default_root_dir}.")
        is_torchrun = TorchElasticEnvironment.detect()
        is_slurm = SLURMEnvironment.detect() and not is_torchrun
        settings["plugins"] = [Slurm(auto_requeue=False)] if is_slurm else None
        super().__init__(**settings, enable_model_summary=False)  # print_layers prints one with shapes
        most = 4 * (os.cpu_count() or 1)  # more would need more memory than machines of so few cores have
        if isinstance(self.accelerator, CPUAccelerator) and self.num_devices > most:
            raise UserError(f"--trainer.devices {self.num_devices}: at most {most} fit on {os.cpu_count()} CPU cores.")
        started = os.environ.get("SLURM_NTASKS" if is_slurm else "WORLD_SIZE") if is_slurm or is_torchrun else None
        own = self.num_devices * self.num_nodes
        if (started or str(own)) != str(own) or (own == 1 and not is_first_process()):
            raise UserError(
                f"A launcher has started {started or 'several'} processes (see RANK, LOCAL_RANK, NODE_RANK, WORLD_SIZE,"
                f" SLURM_PROCID and SLURM_NTASKS), but the Trainer has {own}. Let --trainer.devices and"
                " --trainer.num_nodes match the launcher, or unset these variables."
            )
        # With max_steps, Lightning 2.6.6 treats a checkpoint from the end of an epoch as one from mid-epoch, and runs
        # an epoch without batches (fit_loop.py, `restarting`). Private, but there is no public way.
        self.fit_loop._iteration_based_training = lambda: False  # type: ignore[method-assign]  # noqa: SLF001
        # Lightning communicates between all processes before each batch (issue 21487); StopOnSignal does so less often.
        self.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]  # noqa: SLF001


def _plain(value: Any) -> Any:
    """Convert jsonargparse's restricted types, which checkpoints must not contain, to int or float."""
    return next((kind(value) for kind in (bool, int, float) if isinstance(value, kind)), value)


def _refuse_inexact(setting: str, parts: object) -> None:
    """Refuse Lightning's callbacks and loggers that are not known to resume exactly in a killed run."""
    for part in parts if isinstance(parts, list) else [parts]:
        name, module = type(part).__name__, type(part).__module__
        if module.startswith("lightning.") and name not in EXACT:
            instead = {"EarlyStopping": "; use --patience", "EMAWeightAveraging": "; use presets/weight_averaging"}
            raise UserError(
                f"trainer.{setting} cannot hold Lightning's {name}: `fit` replaces it, or a run that was killed would"
                f" not continue exactly with it{instead.get(name, '')}."
            )
