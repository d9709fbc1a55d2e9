"""Memory of a step that the next one gets back without asking the system."""

import errno
import resource
import subprocess
import sys

import pytest
import torch

from fashion_lightning.cli.process import is_out_of_memory

STEPS = """
import resource
import torch
from fashion_lightning.cli.process import keep_freed_memory

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        activations = [torch.ones(12_000_000) for _ in range(3)]  # 48 MB each: above what glibc ever keeps
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if {keep}:
    keep_freed_memory()
for _ in range(8):  # where the blocks lie at first is chance: the heap has settled after two or three
    faults = page_faults()
print(faults)
"""


def page_faults(keep: bool) -> int:
    done = subprocess.run([sys.executable, "-c", STEPS.format(keep=keep)], capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.slow
def test_steps_that_need_the_same_memory_do_not_fault_it_in_anew() -> None:
    pages_of_a_block = 48_000_000 // resource.getpagesize()
    assert page_faults(keep=True) < pages_of_a_block
    assert page_faults(keep=False) > 10 * pages_of_a_block


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GB"), True),
        (ImportError("No module named 'nowhere'"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_memory_that_has_run_out_is_known_by_what_the_libraries_raise(error: Exception, expected: bool) -> None:
    wrapped = ValueError("by a library")
    wrapped.__cause__ = error
    assert (is_out_of_memory(error), is_out_of_memory(wrapped)) == (expected, expected)
