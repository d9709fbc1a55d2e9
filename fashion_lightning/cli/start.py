"""From a built command line to the Trainer, with one line for each of its errors."""

import traceback
from pathlib import Path

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader

from fashion_lightning.cli import process
from fashion_lightning.cli.build import FashionMNISTCLI
from fashion_lightning.data.batches import Batch
from fashion_lightning.errors import UserError, causes, place_in_own_code
from fashion_lightning.files.durable import replacing


def start(cli: FashionMNISTCLI, method: str | None = None, loader: DataLoader[Batch] | None = None) -> None:
    """Call the Trainer's method for this command, or another one, with the DataModule or with a loader.

    Raises:
        UserError: whatever a network or an optimizer of the user's raises within a step, in one line.
    """
    process.keep_freed_memory()
    # With `deterministic`, torch fills all that it allocates, for code that reads what nobody wrote: 3 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # Only `fit` restores more than weights, which the model has already.
    path = str(cli.checkpoint.path) if cli.checkpoint is not None and cli.command == "fit" else None
    verbosity = {"verbose": False} if cli.command in ("validate", "test") else {}
    data = {"datamodule": cli.datamodule} if loader is None else {"dataloaders": loader}
    try:
        getattr(cli.trainer, method or cli.command)(cli.model, **data, ckpt_path=path, weights_only=True, **verbosity)
    except MisconfigurationException as error:
        raise UserError(str(error)) from error
    except (UserError, OSError):
        raise
    except Exception as error:
        if stop := next((cause for cause in causes(error) if isinstance(cause, SystemExit)), None):
            raise stop from None  # a signal: Lightning failed to put away what was not there yet
        if process.is_out_of_memory(error):
            raise UserError(process.OUT_OF_MEMORY) from error
        # A collective operation failed: gloo says so with a RuntimeError, nccl with an error of its own.
        if cli.trainer.world_size > 1 and (isinstance(error, torch.distributed.DistError) or "gloo" in str(error)):
            raise UserError("Another process of this run has ended; this one cannot go on alone.") from error
        what = "Training" if cli.command == "fit" else f"`{cli.command}`"
        reason = f"{what} failed: {type(error).__name__}: {str(error)[:300]}{place_in_own_code(error)}"
        last = last_of(cli)
        if last is None or not cli.trainer.is_global_zero:  # nothing stays of a fit that failed before its start
            raise UserError(f"{reason}. FASHION_LIGHTNING_DEBUG=1 shows the whole traceback.") from error
        details = last.parents[1] / "traceback.txt"
        with replacing(details) as file:
            file.write(traceback.format_exc().encode(errors="backslashreplace"))
        raise UserError(f"{reason} The whole traceback is in {details}.") from error


def last_of(cli: FashionMNISTCLI) -> Path | None:
    """Return the checkpoint from which a fit that ends early can continue; ``None`` if it is no further than before."""
    last = cli.run_dir / "checkpoints" / "last.ckpt" if cli.run_dir and cli.command == "fit" else None
    began = cli.checkpoint.steps_done if cli.checkpoint and cli.run_dir_is_new else None
    return last if last and last.is_file() and cli.trainer.global_step != began else None
