"""A checkpoint may come from anybody: nothing that it names is imported or called unless it is torch's or ours."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from fashion_lightning import load_classifier
from fashion_lightning.errors import UserError
from tests.conftest import Run


@pytest.fixture
def booby_trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that leaves a mark when it is imported."""
    mark = tmp_path / "imported"
    (tmp_path / "booby_trap.py").write_text(
        f"from pathlib import Path\nfrom fashion_lightning.networks import MLP\nPath({str(mark)!r}).touch()\n"
        "class Network(MLP): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield mark
    sys.modules.pop("booby_trap", None)


def poison(path: Path, place: str, value: Any) -> Path:
    """A copy of a checkpoint elsewhere, whose config or hyperparameters name something else."""
    content = torch.load(path, weights_only=True)
    if place == "hyper_parameters":
        content["hyper_parameters"]["network"] = value
    else:
        config = yaml.safe_load(content["fashion_lightning"]["config"])
        config["model"]["network"] = value
        content["fashion_lightning"]["config"] = yaml.safe_dump(config)
    poisoned = Path("poisoned.ckpt")
    torch.save(content, poisoned)
    return poisoned


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize("place", ["hyper_parameters", "config"])
@pytest.mark.parametrize("named", ["os.system", "booby_trap.Network"])
def test_a_class_of_another_package_is_refused_and_not_imported(
    cli: Run, trained: Path, booby_trap: Path, command: str, place: str, named: str
) -> None:
    poisoned = poison(trained / "checkpoints/best.ckpt", place, {"class_path": named, "init_args": {}})
    printed = cli(command, "--ckpt_path", poisoned, exits=2)
    assert f"error: poisoned.ckpt cannot be used: its network names {named}, which a checkpoint may not" in printed
    if place == "hyper_parameters":  # what load_classifier builds
        with pytest.raises(UserError, match=f"names {named}"):
            load_classifier(poisoned)
    assert not booby_trap.exists()


SHELL = {"args": "touch called", "shell": True}
POPEN = {"class_path": "torch.utils.collect_env.subprocess.Popen", "init_args": SHELL}
LINEAR = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 2, "out_features": 2, "dtype": POPEN}}


@pytest.mark.parametrize(
    "network",
    [
        {"class_path": "torch.hub.load", "init_args": {"repo_or_dir": "somebody/something"}},
        {"class_path": "torch.load"},
        POPEN,
        LINEAR,
        "{class_path: booby_trap.Network}",
        "booby_trap.Network",
        "network.yaml",
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["hyper_parameters", "config"])
def test_nor_does_it_come_in_by_another_door(
    cli: Run, trained: Path, booby_trap: Path, network: Any, place: str
) -> None:
    """Through torch's own modules, nested in a class that is allowed, as YAML in a string, by another file."""
    Path("network.yaml").write_text("class_path: booby_trap.Network\n")
    poisoned = poison(trained / "checkpoints/best.ckpt", place, network)
    if place == "config":
        assert "error: " in cli("test", "--ckpt_path", poisoned, exits=2)
    else:
        with pytest.raises(UserError):
            load_classifier(poisoned)
    assert not booby_trap.exists()
    assert not Path("called").exists()


def test_a_pickle_that_calls_something_is_refused(cli: Run, trained: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (exec, ("open('called', 'w')",))

    content = torch.load(trained / "checkpoints/best.ckpt", weights_only=True)
    torch.save({**content, "extra": Hostile()}, "hostile.ckpt")
    for command in ("fit", "test"):
        printed = cli(command, "--ckpt_path", "hostile.ckpt", exits=2)
        assert "error: hostile.ckpt holds more than plain values and tensors; it is not opened." in printed
    assert not Path("called").exists()


@pytest.mark.usefixtures("booby_trap")
def test_a_class_that_the_user_names_is_used(cli: Run, recipe: Path) -> None:
    own = ["--config", "own.yaml"]
    Path("own.yaml").write_text(
        "model:\n  network:\n    class_path: booby_trap.Network\n    init_args: {hidden: [8]}\n"
    )
    cli("fit", "--config", recipe, *own, "--model.optimizer", "torch.optim.AdamW", "--trainer.max_epochs", "1")
    run = Path("tensorboard_logs/tiny/version_0")
    cli("test", "--ckpt_path", run)  # the run folder's config.yaml is the user's own
    moved = (run / "checkpoints/best.ckpt").rename("moved.ckpt")
    assert "names booby_trap.Network" in cli("test", "--ckpt_path", moved, exits=2)
    cli("test", "--ckpt_path", moved, "--model.network", "booby_trap.Network")
    cli("test", "--ckpt_path", moved, *own)
    assert load_classifier(moved, trusted="booby_trap.Network").network is not None
