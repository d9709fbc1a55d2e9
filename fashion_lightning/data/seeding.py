"""Make every random draw a function of the run's seed and the draw's purpose, never of earlier draws.

Lightning saves no generator state: with one global generator, a resumed run would replay epoch 0's order (Lightning
issue 21938). A seed for each purpose (the order of epoch 3, the augmentation of step 412) needs no state.
"""

import hashlib
import os

import torch


def run_seed() -> int:
    """Return the seed given to ``lightning.seed_everything``, which puts it into ``PL_GLOBAL_SEED``; else 0."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))


def derive_seed(*place: int | str) -> int:
    """Return a seed in [0, 2**63) that depends on the parts of ``place`` (the purpose of a draw) and on their order."""
    digest = hashlib.blake2b("/".join(map(str, place)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*place: int | str) -> torch.Generator:
    """Return a CPU generator for one purpose; drawing on the CPU gives every device the same draws."""
    return torch.Generator().manual_seed(derive_seed(*place))
