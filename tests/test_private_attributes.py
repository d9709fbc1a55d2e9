"""Private parts of other packages that this one uses: each is listed here, is used, and is still there.

Private parts change between releases without a word. When one disappears, the test names who needs it and why;
where upstream mends a fault, the entry's issue tells that the use may go. Ruff's SLF001 refuses uses that no comment
marks.
"""

import inspect
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

import fashion_lightning

PACKAGE = Path(fashion_lightning.__file__).parent


@dataclass(frozen=True)
class Private:
    """A private name of another package, and where this one uses it."""

    name: str
    home: str
    """``module:Class`` or ``module`` whose source has the name."""
    used_in: str
    why: str
    """With the number of the issue, where there is one."""


USES = (
    Private(
        "_save_checkpoint",
        "lightning.pytorch.callbacks:ModelCheckpoint",
        "callbacks/checkpoints.py",
        "BestCheckpoint records the metrics before the file is written, so that the file holds its own; there is no"
        " hook between the decision and the file (no issue)",
    ),
    Private(
        "_iteration_based_training",
        "lightning.pytorch.loops.fit_loop:_FitLoop",
        "cli/trainer.py",
        "with max_steps, a checkpoint from the end of an epoch is taken for one from its middle, and an epoch without"
        " batches follows; nothing public decides it (no issue)",
    ),
    Private(
        "_actions",
        "argparse:_ActionsContainer",
        "cli/messages.py",
        "the known flags, for `did you mean`; argparse has no public list of them (CPython, no issue)",
    ),
    Private(
        "_get_help_string",
        "jsonargparse:DefaultHelpFormatter",
        "cli/messages.py",
        "what a setting's help says, of which 650 lines were torch's quantized modules; argparse means it to be"
        " overridden, as its own formatters do (CPython, no issue)",
    ),
    Private(
        "_get_file_writer",
        "torch.utils.tensorboard:SummaryWriter",
        "runs/tensorboard.py",
        "add_hparams would open a second run, in a folder of its own (pytorch 32651)",
    ),
    Private(
        "_step_count",
        "torch.optim.lr_scheduler:LRScheduler",
        "schedules.py",
        "part of what a schedule saves; torch's own state_dict saves all attributes, the Trainer's too (no issue)",
    ),
    Private(
        "_last_lr",
        "torch.optim.lr_scheduler:LRScheduler",
        "schedules.py",
        "the same (no issue)",
    ),
    *(
        Private(
            name,
            "torch._decomp.decompositions",
            "export/operations.py",
            "an operator of graphs that torch.export has made plain; its name is part of ATen's core, not of Python's"
            " convention (no issue)",
        )
        for name in ("_native_batch_norm_legit_no_training", "_softmax", "_to_copy")
    ),
)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.name)
def test_every_private_part_that_is_listed_is_used_and_still_there(use: Private) -> None:
    assert use.name in (PACKAGE / use.used_in).read_text(encoding="utf-8")
    module, _, cls = use.home.partition(":")
    home = import_module(module)
    source = inspect.getsource(getattr(home, cls) if cls else home)
    assert use.name in source, f"{use.home} lost {use.name}; {use.used_in} needs it: {use.why}"
