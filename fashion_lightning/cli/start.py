"""Handing over to the Trainer, and what becomes of its errors."""

import traceback
from pathlib import Path

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader

from fashion_lightning.cli.build import FashionMNISTCLI
from fashion_lightning.cli.memory import OUT_OF_MEMORY, is_out_of_memory, keep_freed_memory
from fashion_lightning.data.batches import Batch
from fashion_lightning.errors import UserError, place_in_own_code
from fashion_lightning.files.durable import replacing


def start(cli: FashionMNISTCLI, method: str | None = None, loader: DataLoader[Batch] | None = None) -> None:
    """Hand over to the Trainer's method of this command or to another one, with the DataModule or with a loader."""
    keep_freed_memory()
    # With `deterministic`, torch fills all that it allocates, for code that reads what nobody wrote: 3 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    trainer_method = getattr(cli.trainer, method or cli.command)
    # Only `fit` restores more than weights, which the model has already.
    path = str(cli.checkpoint.path) if cli.checkpoint is not None and cli.command == "fit" else None
    verbosity = {"verbose": False} if cli.command in ("validate", "test") else {}
    try:
        data = {"datamodule": cli.datamodule} if loader is None else {"dataloaders": loader}
        trainer_method(cli.model, **data, ckpt_path=path, weights_only=True, **verbosity)
    except MisconfigurationException as error:
        raise UserError(str(error)) from error
    except (UserError, OSError):
        raise
    except Exception as error:  # whatever a network or an optimizer of the user's raises within a step
        if (stop := _signal_behind(error)) is not None:
            raise stop from None
        if is_out_of_memory(error):
            raise UserError(OUT_OF_MEMORY) from error
        if cli.trainer.world_size > 1 and _lost_another_process(error):
            raise UserError("Another process of this run has ended; this one cannot go on alone.") from error
        what = "Training" if cli.command == "fit" else f"`{cli.command}`"
        reason = f"{what} failed: {type(error).__name__}: {str(error)[:300]}{place_in_own_code(error)}"
        # Of a fit that failed before its start, nothing stays.
        if not cli.trainer.is_global_zero or cli.run_dir is None or last_of(cli) is None:
            raise UserError(f"{reason}. FASHION_LIGHTNING_DEBUG=1 shows the whole traceback.") from error
        details = cli.run_dir / "traceback.txt"
        with replacing(details) as file:
            file.write(traceback.format_exc().encode(errors="backslashreplace"))
        raise UserError(f"{reason} The whole traceback is in {details}.") from error


def _signal_behind(error: BaseException) -> SystemExit | None:
    """The end by a signal, in the course of which Lightning failed to put away what was not there yet."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, SystemExit):
        cause = cause.__context__
    return cause


def _lost_another_process(error: BaseException) -> bool:
    """Whether a collective operation failed: gloo says so with a RuntimeError, nccl with an error of its own."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error).lower()


def last_of(cli: FashionMNISTCLI) -> Path | None:
    """What a fit that ends early can be continued from."""
    last = cli.run_dir / "checkpoints" / "last.ckpt" if cli.run_dir and cli.command == "fit" else None
    return last if last and last.is_file() and not _is_a_copy(cli) else None


def _is_a_copy(cli: FashionMNISTCLI) -> bool:
    """Whether the last checkpoint of a new run is no further than the one that the run began with."""
    first_step = cli.config_init["last_checkpoint"].first_step
    return cli.checkpoint is not None and cli.run_dir_is_new and cli.trainer.global_step == first_step


def beside(cli: FashionMNISTCLI, name: str) -> Path:
    """A file in the run folder, or beside a checkpoint that lies elsewhere."""
    assert cli.checkpoint is not None
    return (cli.run_dir or cli.checkpoint.path.parent) / name
