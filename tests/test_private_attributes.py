"""What the package uses of other packages' private parts: each is listed here, is still there, and nothing else is.

Private parts change between releases without a word. When one disappears, the test names who needs it and why;
where upstream mends a fault, the entry's issue tells that the use may go.
"""

import ast
import inspect
import re
from collections.abc import Iterator
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
        "_average_model",
        "lightning.pytorch.callbacks:WeightAveraging",
        "callbacks/weight_averaging.py",
        "whether a delayed average has begun: until then the initial weights would be validated (Lightning 21724)",
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


def is_private(name: str) -> bool:
    public = ("_replace", "_exit", "_complete")  # of named tuples, of os, and what the completion scripts ask
    return bool(re.fullmatch(r"_[a-z]\w*[a-z]", name)) and name not in public


def own_names() -> set[str]:
    """What the package itself defines: functions, classes, and what is assigned to ``self`` or to a name."""
    names = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        names.add(target.id)
                    elif isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                        names.add(target.attr)
    return names


def foreign_uses() -> Iterator[tuple[str, str]]:
    """Every private name of another package, with the file that uses it.

    As an attribute, in an import, or as a string, by which ``getattr`` and keys reach it. What a method asks
    ``super()`` for is another package's, also where this one overrides it.
    """
    own = own_names()
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts_of_texts = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and is_private(node.attr):
                if node.attr not in own or ast.unparse(node.value) == "super()":
                    yield node.attr, file
            elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("fashion_lightning"):
                yield from ((name.name, file) for name in node.names if is_private(name.name))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in parts_of_texts:
                yield from ((name, file) for name in {node.value} - own if is_private(name))


def test_every_private_part_that_is_used_is_listed_and_every_listed_one_is_used() -> None:
    assert {*foreign_uses()} == {(use.name, use.used_in) for use in USES}


@pytest.mark.parametrize("use", USES, ids=lambda use: use.name)
def test_every_private_part_that_is_used_is_still_there(use: Private) -> None:
    module, _, cls = use.home.partition(":")
    home = import_module(module)
    source = inspect.getsource(getattr(home, cls) if cls else home)
    assert use.name in source, f"{use.home} lost {use.name}; {use.used_in} needs it: {use.why}"


def test_what_super_is_asked_for_counts_as_another_packages() -> None:
    assert ("_save_checkpoint", "callbacks/checkpoints.py") in {*foreign_uses()}
