"""Private parts of other packages that this one uses: each is listed here, is used, and is still there.

Private parts change between releases without a word. When one disappears, the test names who needs it and why;
where upstream mends a fault, the entry's issue tells that the use may go. Ruff's SLF001 refuses uses that no comment
marks.
"""

import inspect
from importlib import import_module
from pathlib import Path

import pytest

import fashion_lightning

PACKAGE = Path(fashion_lightning.__file__).parent


USES = (
    # name of the part, ``module:Class`` or ``module`` whose source has it, where it is used, and why (with the issue)
    (
        "_save_checkpoint",
        "lightning.pytorch.callbacks:ModelCheckpoint",
        "callbacks/checkpoints.py",
        "BestCheckpoint records the metrics before the file is written, so that the file holds its own; there is no"
        " hook between the decision and the file (no issue)",
    ),
    (
        "_iteration_based_training",
        "lightning.pytorch.loops.fit_loop:_FitLoop",
        "cli/trainer.py",
        "with max_steps, a checkpoint from the end of an epoch is taken for one from its middle, and an epoch without"
        " batches follows; nothing public decides it (no issue)",
    ),
    (
        "_broadcast_sigterm_tensor",
        "lightning.pytorch.loops.training_epoch_loop:_TrainingEpochLoop",
        "cli/trainer.py",
        "each batch waits for all processes (Lightning 21487)",
    ),
    (
        "_validate_srun_variables",
        "lightning.fabric.plugins.environments.slurm:SLURMEnvironment",
        "cli/trainer.py",
        "`srun --ntasks` is refused, though the Trainer compares the number of processes (no issue)",
    ),
    (
        "_step_supports_amp_scaling",
        "torch.optim:Adam",
        "classifier.py",
        "gradients of a fused optimizer could not be clipped in any precision but 32-true (Lightning, no issue)",
    ),
    (
        "_actions",
        "argparse:_ActionsContainer",
        "cli/messages.py",
        "the known flags, for `did you mean`; argparse has no public list of them (CPython, no issue)",
    ),
    (
        "_get_help_string",
        "jsonargparse:DefaultHelpFormatter",
        "cli/messages.py",
        "what a setting's help says, of which 650 lines were torch's quantized modules; argparse means it to be"
        " overridden, as its own formatters do (CPython, no issue)",
    ),
    (
        "_get_file_writer",
        "torch.utils.tensorboard:SummaryWriter",
        "runs/tensorboard.py",
        "add_hparams would open a second run, in a folder of its own (pytorch 32651)",
    ),
    (
        "_step_count",
        "torch.optim.lr_scheduler:LRScheduler",
        "schedules.py",
        "part of what a schedule saves; torch's own state_dict saves all attributes, the Trainer's too (no issue)",
    ),
    (
        "_last_lr",
        "torch.optim.lr_scheduler:LRScheduler",
        "schedules.py",
        "the same (no issue)",
    ),
    *(
        (
            name,
            "torch._decomp.decompositions",
            "export/operations.py",
            "an operator of graphs that torch.export has made plain; its name is part of ATen's core, not of Python's"
            " convention (no issue)",
        )
        for name in ("_native_batch_norm_legit_no_training", "_softmax", "_to_copy")
    ),
)


@pytest.mark.parametrize(("name", "home", "used_in", "why"), USES)
def test_every_private_part_is_used_and_still_there(name: str, home: str, used_in: str, why: str) -> None:
    assert name in (PACKAGE / used_in).read_text(encoding="utf-8")
    module, _, cls = home.partition(":")
    found = import_module(module)
    source = inspect.getsource(getattr(found, cls) if cls else found)
    assert name in source, f"{home} lost {name}; {used_in} needs it: {why}"
