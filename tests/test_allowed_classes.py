"""A checkpoint may come from anybody: nothing that it names is imported or called, but for a list of classes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fashion_lightning import FashionMNISTClassifier, load
from fashion_lightning.errors import UserError
from fashion_lightning.networks import CNN
from tests.audit import Audit
from tests.conftest import Run
from tests.poisoned import Edit, content, network, poison


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


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize("place", ["hyper_parameters", "config"])
@pytest.mark.parametrize("named", ["os.system", "booby_trap.Network"])
def test_a_class_of_another_package_is_refused_and_not_imported(
    cli: Run, trained: Path, booby_trap: Path, command: str, place: str, named: str
) -> None:
    poisoned = poison(trained / "checkpoints/best.ckpt", network(place, {"class_path": named, "init_args": {}}))
    printed = cli(command, "--ckpt_path", poisoned, exits=2)
    assert f"error: poisoned.ckpt cannot be used: its network names {named}, which a checkpoint may not" in printed
    if place == "hyper_parameters":  # what load builds
        with pytest.raises(UserError, match=f"names {named}"):
            load(poisoned)
    assert not booby_trap.exists()


@pytest.mark.parametrize("arguments", [torch.zeros(3), [], 0, "stem"], ids=str)
def test_arguments_that_are_no_mapping_are_refused_in_a_line(cli: Run, trained: Path, arguments: object) -> None:
    cnn = {"class_path": "fashion_lightning.networks.CNN", "init_args": arguments}
    poisoned = poison(trained / "checkpoints/best.ckpt", network("hyper_parameters", cnn))
    assert "error: poisoned.ckpt cannot be used: the arguments of its network" in cli(
        "test", "--ckpt_path", poisoned, exits=2
    )
    with pytest.raises(UserError, match="the arguments of its network have no names"):
        load(poisoned)


SHELL = {"args": "touch called", "shell": True}
POPEN = {"class_path": "torch.utils.collect_env.subprocess.Popen", "init_args": SHELL}
LINEAR = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 2, "out_features": 2, "dtype": POPEN}}


GRAPH = {"class_path": "torch.fx.graph_module.reduce_graph_module"}
CODE = {"_code": "import pathlib\npathlib.Path('called').touch()\ndef forward(self, x): return x"}


@pytest.mark.parametrize(
    "named",
    [
        {**GRAPH, "init_args": {"body": CODE, "import_block": ""}},
        {"class_path": "torchvision.ops.MLP", "init_args": {"activation_layer": "os.system", "in_channels": 784}},
        {"class_path": "torch.nn.Sequential", "init_args": {"arg": {"class_path": "torch.export.load"}}},
        {"class_path": "fashion_lightning.networks.CNN", "init_args": {"stem": GRAPH}},
        {"class_path": "fashion_lightning.networks.MLP", "init_args": {"hidden": "os.system"}},
        {"class_path": "fashion_lightning.networks.MLP", "dict_kwargs": {"hidden": [8]}},
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
def test_nor_does_it_come_in_by_another_door(cli: Run, trained: Path, booby_trap: Path, named: Any, place: str) -> None:
    """Through torch's own modules, nested in a class that is allowed, as YAML in a string, by another file."""
    Path("network.yaml").write_text("class_path: booby_trap.Network\n")
    poisoned = poison(trained / "checkpoints/best.ckpt", network(place, named))
    for command in ("test", "fit"):
        assert "error: poisoned.ckpt cannot be used: its network" in cli(command, "--ckpt_path", poisoned, exits=2)
    with pytest.raises(UserError, match="cannot be used: its network"):
        load(poisoned)
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
    assert load(moved, trusted="booby_trap.Network").network is not None


def test_a_good_checkpoint_imports_executes_and_begins_nothing(cli: Run, trained: Path) -> None:
    for command in ("test", "validate", "predict", "test", "validate", "predict"):
        with Audit() as audit:
            cli(command, "--ckpt_path", trained)
    assert not audit.imported | audit.executed | audit.begun  # the second time: the libraries are there
    written = {path.name for path in audit.written if path.suffix != ".partial"}
    assert written - {trained.name} == {"predictions.csv"}


@pytest.mark.parametrize("named", [POPEN, "booby_trap.Network", {**GRAPH, "init_args": {"body": CODE}}], ids=str)
@pytest.mark.parametrize("part", ["network", "optimizer", "scheduler"])
def test_lightnings_way_of_loading_builds_no_other_class_either(
    trained: Path, booby_trap: Path, named: Any, part: str
) -> None:
    poisoned = poison(trained / "checkpoints/best.ckpt", content("hyper_parameters", part, value=named))
    with Audit() as audit, pytest.raises(UserError, match=f"poisoned.ckpt cannot be used: its {part} names"):
        FashionMNISTClassifier.load_from_checkpoint(poisoned)
    assert not audit.imported | audit.executed | audit.begun | audit.written
    assert not booby_trap.exists()


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (content("hyper_parameters", "_class_path", value="os.system"), "a form that this package never wrote"),
        (content("hparams", value={"network": "os.system"}), "a form that this package never wrote"),
        (content("hyper_parameters", value=3), "a form that this package never wrote"),
        (content("hyper_parameters", "tta", value="os.system"), "its tta is 'os.system', which cannot be meant"),
        (content("hyper_parameters", "label_smoothing", value=7), "label_smoothing must be at least 0 and below 1"),
        (content("hyper_parameters", "network", value=...), "it names no network; give the one"),
        (content("hyper_parameters", "network", "init_args", "stem", value=10**9), "do not fit its network"),
        (content("hyper_parameters", "network", "init_args", "stem", value="x"), "its network cannot be built"),
        (content("state_dict", value={}), "it holds no weights"),
        (content("state_dict", "network.head.weight", value=torch.zeros(1).expand(10**9)), "larger than its bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_lightnings_way_of_loading_gives_one_line(trained: Path, edit: Edit, line: str) -> None:
    with pytest.raises(UserError, match=line):
        FashionMNISTClassifier.load_from_checkpoint(poison(trained / "checkpoints/best.ckpt", edit))


def test_lightnings_way_of_loading_rebuilds_optimizer_and_schedule(trained: Path) -> None:
    """Whatever names how to build them, ``_instantiator`` for one, is not asked."""
    path = poison(trained / "checkpoints/best.ckpt", content("hyper_parameters", "_instantiator", value="os.system"))
    with Audit() as audit:
        classifier = FashionMNISTClassifier.load_from_checkpoint(path, weights_only=False, tta="flip")
    assert not audit.imported | audit.executed | audit.begun | audit.written
    assert classifier.tta == "flip"
    optimizer = classifier.make_optimizer(classifier.parameters())
    assert type(optimizer).__name__ == "Muon"
    assert classifier.make_scheduler is not None
    assert type(classifier.make_scheduler(optimizer)).__name__ == "LinearDecay"


def test_lightnings_way_of_loading_takes_a_network_that_is_given(trained: Path) -> None:
    path = poison(trained / "checkpoints/best.ckpt", content("hyper_parameters", "network", value="own.Network"))
    network = CNN(stem=4, widths=(4, 4, 8))
    assert FashionMNISTClassifier.load_from_checkpoint(path, network=network).network is network
    with pytest.raises(UserError, match=r"cannot be used: .*size mismatch"):
        FashionMNISTClassifier.load_from_checkpoint(path, network=CNN(stem=8, widths=(4, 4, 8)))
