"""Every random draw is a function of (run seed, place), never of what ran before it.

A global generator that is simply consumed cannot be continued after a kill: Lightning saves no
generator state, and a resumed run would replay epoch 0's order (Lightning issue 21938). Deriving a
seed for each place instead (the order of epoch 3, the augmentation of step 412) needs no state.
"""

import hashlib
import os

import torch


def run_seed() -> int:
    """Return the seed given to ``lightning.seed_everything``, which publishes it in ``PL_GLOBAL_SEED``; else 0."""
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))


def derive_seed(*place: int | str) -> int:
    """Return a seed in [0, 2**63) that depends on every part of ``place`` and on their order."""
    digest = hashlib.blake2b("/".join(map(str, place)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*place: int | str) -> torch.Generator:
    """Return a CPU generator for one place; drawing on the CPU gives every device the same draws."""
    return torch.Generator().manual_seed(derive_seed(*place))
