"""Memory of a step that the next one gets back without asking the system."""

import resource
import subprocess
import sys

STEPS = """
import resource
import torch
from fashion_lightning.cli.memory import keep_freed_memory

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        activations = [torch.ones(12_000_000) for _ in range(3)]  # 48 MB each: above what glibc ever keeps
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if {keep}:
    keep_freed_memory()
for _ in range(3):
    faults = page_faults()
print(faults)
"""


def page_faults(keep: bool) -> int:
    done = subprocess.run([sys.executable, "-c", STEPS.format(keep=keep)], capture_output=True, check=True)
    return int(done.stdout)


def test_steps_that_need_the_same_memory_do_not_fault_it_in_anew() -> None:
    pages_of_a_block = 48_000_000 // resource.getpagesize()
    assert page_faults(keep=True) < pages_of_a_block
    assert page_faults(keep=False) > 10 * pages_of_a_block
