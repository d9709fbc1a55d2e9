"""Break the code in small ways, one at a time, and count the mutants that a test notices.

    python -m tests.mutants [words of the modules]

mutmut makes the mutants; its own runner would import torch anew for each. Here each mutant is written into a copy of
the checkout and tested in a fork of a process that has imported torch already. The messages of errors stay as they
are: the tests do not check every word.
"""

import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import libcst
import pytest
from libcst.metadata import MetadataWrapper
from lightning.pytorch import cli as imported_before_the_forks  # noqa: F401
from mutmut.mutation.file_mutation import MutationVisitor
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

from tests.without_workarounds import copy_checkout

MUTANTS, SEED = 40, 0
"""How many mutants of a module are drawn at random, and the seed of that draw."""

RESUME = "test_exact_resume.py::test_an_interrupted_run_ends_with_the_same_bits_as_an_undisturbed_one"
MODULES = {
    "metrics.py": f"test_metrics.py test_classifier.py {RESUME}",
    "optimizers.py": "test_optimizers.py test_exact_numbers.py",
    "schedules.py": "test_optimizers.py test_classifier.py test_exact_numbers.py",
    "data/augment.py": "test_augment.py test_datamodule.py test_exact_numbers.py",
    "data/batches.py": f"test_batches.py test_datamodule.py test_exact_numbers.py {RESUME}",
    "data/pruning.py": f"test_pruning.py test_batches.py test_exact_numbers.py {RESUME}",
    "data/split.py": "test_datamodule.py test_exact_numbers.py",
    "files/durable.py": "test_durable.py",
    "files/lock.py": "test_durable.py test_source.py",
    "runs/folder.py": "test_folder.py",
}
"""The tests that should notice a mutant of a module, the quickest first."""


class Visitor(MutationVisitor):
    """Mutates decorated functions, which mutmut itself cannot, but no error messages."""

    def _skip_node_and_children(self, node: libcst.CSTNode) -> bool:
        plain = node.with_changes(decorators=()) if isinstance(node, libcst.FunctionDef) else node
        return isinstance(node, libcst.Raise) or super()._skip_node_and_children(plain)


def mutants_of(path: Path) -> list[tuple[str, str]]:
    """Return what each mutant changes, and the whole text of the file with it."""
    visitor = Visitor(mutation_operators, IgnoredCode(set(), set(), set()))
    module = MetadataWrapper(libcst.parse_module(path.read_text())).visit(visitor)
    found = []
    for mutation in visitor.mutations:
        old, new, function = mutation.original_node, mutation.mutated_node, mutation.contained_by_top_level_function
        if isinstance(function, libcst.FunctionDef):
            change = " → ".join(" ".join(module.code_for_node(node).split()) for node in (old, new))
            mutant = libcst.ensure_type(module.deep_replace(old, new), libcst.Module)
            found.append((f"{function.name.value}: {change}", mutant.code))
    return found


def passes(checkout: Path, tests: str, seconds: float) -> bool:
    """Run tests in a fork; one that hangs is ended and does not pass."""
    if (child := os.fork()) == 0:
        os.setsid()
        for name in [name for name in sys.modules if name.split(".")[0] in ("fashion_lightning", "tests")]:
            del sys.modules[name]
        os.chdir(checkout)
        sys.path.insert(0, str(checkout))
        os.environ["PYTHONPATH"] = str(checkout)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        options = ["-xqo", "addopts=", "-p", "no:xdist", "-p", "no:cacheprovider", "-m", "not slow and not browser"]
        code = 1
        try:
            code = pytest.main([*options, *(f"tests/{test}" for test in tests.split())])
        finally:  # also where pytest itself raises: what follows is the parent's
            os._exit(code)
    end = time.monotonic() + seconds
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < end:
        time.sleep(0.02)
    if not ended[0]:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return ended == (child, 0)


def main(words: list[str]) -> None:
    """Break each module whose name holds one of the words, and print the mutants that survive."""
    with tempfile.TemporaryDirectory() as scratch:
        checkout = copy_checkout(Path(scratch))
        for name, tests in MODULES.items():
            if words and not any(word in name for word in words):
                continue
            path, began = checkout / "fashion_lightning" / name, time.monotonic()
            text, mutants = path.read_text(), mutants_of(path)
            if not passes(checkout, tests, seconds=3600):
                raise RuntimeError(f"{tests} fail before anything is broken")
            limit = 30 + 5 * (time.monotonic() - began)
            drawn = random.Random(SEED).sample(mutants, min(MUTANTS, len(mutants)))
            survivors = 0
            for change, mutant in drawn:
                path.write_text(mutant)
                if passes(checkout, tests, limit):
                    survivors += 1
                    print(f"{name}: {change}", flush=True)
            path.write_text(text)
            caught = len(drawn) - survivors
            print(f"{name}: {caught} of {len(drawn)} mutants caught ({caught / len(drawn):.0%})", flush=True)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main(sys.argv[1:])
