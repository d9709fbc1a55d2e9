"""Print a hash of the weights that each recipe trains; equal lines mean equal weights, to the bit.

    python -m tests.recipe_weights [part of a recipe's name] > before.txt

Two epochs of every recipe on generated data, one thread each, by the ordinary ``fit`` command.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from tests.conftest import ROOT, command_with_hashes, write_generated_data

SMALL = {
    "data.val_size": 100,
    "data.batch_size": 50,
    "data.train_size": "null",
    "trainer.accelerator": "cpu",
    "trainer.max_epochs": 2,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.enable_progress_bar": "false",
}


def weights_of(recipe: Path, scratch: Path) -> str:
    """SHA-256 of the weights, running statistics and optimizer that a recipe ends with."""
    hashes = write_generated_data(scratch / "data")
    command = command_with_hashes(scratch / "fit_on_generated_data.py", hashes)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    fit = [
        *command,
        "fit",
        "--config",
        str(recipe),
        "--data.root",
        str(scratch / "data"),
        *(f"--{name}={value}" for name, value in SMALL.items()),
    ]
    subprocess.run(fit, cwd=scratch, env=environment, stdout=subprocess.DEVNULL, check=True)
    (last,) = scratch.glob("tensorboard_logs/*/version_0/checkpoints/last.ckpt")
    content = torch.load(last, weights_only=True)
    states = content["optimizer_states"][0]["state"].values()
    tensors = [*content["state_dict"].values(), *(state[name] for state in states for name in sorted(state))]
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(torch.as_tensor(tensor).contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        name = path.relative_to(ROOT / "configs").with_suffix("")
        if name.parts[0] != "presets" and " ".join(sys.argv[1:]) in str(name):
            with tempfile.TemporaryDirectory() as scratch:
                print(f"{weights_of(path, Path(scratch))}  {name}", flush=True)
