"""A file that anybody may have made gives weights and a card; nothing else of it is used, and no code in it runs."""

import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import fashion_lightning
from fashion_lightning.errors import UserError
from fashion_lightning.files.bounded_yaml import parse_yaml
from fashion_lightning.networks import CNN
from fashion_lightning.runs.card import Card, card_of
from fashion_lightning.runs.checkpoint import find_checkpoint
from fashion_lightning.runs.continuing import check_optimizer_state
from fashion_lightning.runs.weights import read_weights, start_from, write_safetensors
from tests.conftest import Run
from tests.networks import WithDropout

SIZES: dict[str, Any] = {"stem": 2, "widths": [2]}
CARD = Card({"class_path": "fashion_lightning.networks.CNN", "init_args": SIZES}, "tiny")


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {f"network.{name}": tensor for name, tensor in CNN(**SIZES).state_dict().items()}


def checkpoint(path: str = "sent.ckpt", card: str | None = None, **content: Any) -> Path:
    """A checkpoint file; ``content`` takes the place of what an honest one has."""
    own = {"card": CARD.to_json() if card is None else card}
    torch.save({"state_dict": weights(), "fashion_lightning": own, **content}, path)
    return Path(path)


def with_pickle(pickled: bytes) -> Path:
    """A checkpoint whose values are another pickle's."""
    with zipfile.ZipFile(checkpoint("honest.ckpt")) as honest, zipfile.ZipFile("sent.ckpt", "w") as archive:
        for record in honest.infolist():
            archive.writestr(record.filename, pickled if record.filename.endswith("data.pkl") else honest.read(record))
    return Path("sent.ckpt")


@pytest.mark.parametrize(
    "pickled",
    [
        b"cos\nsystem\nX\x0c\x00\x00\x00touch harmed\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0ctouch harmed\x85R.",
        b"(S'touch harmed'\nios\nsystem\n.",
        b"cbuiltins\neval\nX\x16\x00\x00\x00open('harmed','w')  #  \x85R.",
        b"ctorch.serialization\nload\n.",
        b"cfashion_lightning.cli\nmain\n)R.",
        b"cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\xc0\x00\x85R.",
        b"ctorch\nFloatTensor\n\x8a\x05\x00\x00\x00\x00\x01\x85R.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR.",
        b"]" * 300_000 + b".",
        b"\x8b\x00\x00\x00\x01" + b"\x01" * 2**24 + b".",
        b"K\x00.",
        b"",
    ],
    ids=[
        *("os.system", "by stack", "by inst", "eval", "torch.load", "this command", "3 GB", "4 GB", "a codec"),
        *("300,000 lists", "a number of 16 MB", "no mapping", "nothing"),
    ],
)
def test_a_pickle_runs_no_code_and_takes_no_memory(pickled: bytes) -> None:
    path = with_pickle(pickled if pickled.startswith((b"\x80", b"(")) else b"\x80\x02" + pickled)
    with pytest.raises(UserError, match=r"^sent.ckpt cannot be used: it "):
        read_weights(path)
    assert not Path("harmed").exists()


def test_a_pickle_of_another_protocol_is_refused_before_torch_warns_of_it() -> None:
    torch.save({"state_dict": weights(), "fashion_lightning": {"card": CARD.to_json()}}, "sent.ckpt", pickle_protocol=3)
    with pytest.raises(UserError, match="it holds more than plain values and tensors in pickle protocol 2"):
        read_weights(Path("sent.ckpt"))


def compressed(_: bytes) -> bytes:
    with zipfile.ZipFile("sent.ckpt") as whole, zipfile.ZipFile("packed.ckpt", "w", zipfile.ZIP_DEFLATED) as packed:
        for record in whole.infolist():
            packed.writestr(record.filename, whole.read(record))
    return Path("packed.ckpt").read_bytes()


def twice(_: bytes) -> bytes:
    with zipfile.ZipFile("sent.ckpt", "a") as archive:
        archive.writestr("SENT/DATA.PKL", b"x")
    return Path("sent.ckpt").read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda honest: b"\x80\x02cos\nsystem\n." + honest,
        lambda honest: honest + honest,
        lambda honest: honest[: len(honest) // 2],
        lambda honest: honest.replace(struct.pack("<4f", 1, 1, 1, 1), struct.pack("<4f", 1, 1, 1, 2)),
        lambda honest: b"",
        compressed,
        twice,
    ],
)
def test_an_archive_is_whole_plain_and_a_zip_from_its_first_byte(damage: Callable[[bytes], bytes]) -> None:
    path = checkpoint(state_dict={"weight": torch.full((4,), 1.0)})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="it is not a whole checkpoint file"):
        read_weights(path)


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(CARD.to_json()), **values})


def network(path: Any = "fashion_lightning.networks.CNN", **arguments: Any) -> str:
    return changed(network={"class_path": path, "init_args": arguments})


def images(**values: Any) -> str:
    return changed(images={**json.loads(CARD.to_json())["images"], **values})


@pytest.mark.parametrize(
    ("card", "line"),
    [
        ("", "its card is damaged"),
        ("[" * 5000, "its card is damaged"),
        ("x" * 70_000, "its card is damaged"),
        (changed(extra=1), "its card is damaged"),
        (changed(images=None), "its card is damaged"),
        (changed(val_size=10**400), "its tta or its val_size"),
        (changed(val_size=float("nan")), "its tta or its val_size"),
        (changed(tta="os.system"), "its tta or its val_size"),
        (images(mean=[0.5, 0.5]), "the mean or the standard deviation of its images"),
        (images(std=[0.0]), "the mean or the standard deviation of its images"),
        (images(size=129), "its images are not 8 to 128 pixels wide"),
        (images(channels=2), "its images are not 8 to 128 pixels wide"),
        (images(class_names=["cat", "cat"]), "its classes are not 2 to 1000 different names of up to 60 characters"),
        (images(class_names={"cat": 0, "dog": 1}), "its classes are not 2 to 1000 different names"),
        (images(class_names=["cat", "\x1b[31m"]), "its classes are not 2 to 1000 different names"),
        (changed(recipe="../../escaped"), "its recipe cannot be called"),
        (changed(recipe="\x1b[31m"), "its recipe cannot be called"),
        (changed(network="os.system"), "its network is not a class with arguments"),
        (network("os.system", command="ls"), r"its network is os.system. If you trust it"),
        (network("torch.nn.Linear"), "its network is torch.nn.Linear"),
        (network("\x1b[31m.x"), "its network is not a class with arguments"),
        (network(activation="os.system"), "its network's arguments hold 'os.system'"),
        (network(stem=10**9), "its network's arguments hold '1000000000'"),
        (network(stem={"class_path": "x"}), "its network's arguments hold"),
        (network(widths=[2] * 40), "its network has more than 32 arguments"),
        (network(stem=-1), "its weights do not fit its network"),
        (network(width="x"), "its weights do not fit its network"),
        (network(stem=4096, widths=[4096] * 4), "its weights do not fit its network .*groups.1"),
        (
            network("fashion_lightning.networks.WideResNet", depth=4096),
            "more than 32 arguments or 256 layers",
        ),
        (network(stem=3, widths=[2]), "its weights do not fit its network .* size mismatch for stem.0.weight"),
    ],
)
def test_a_card_has_bounds_and_its_network_is_that_of_the_weights(card: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as raised:
        read_weights(checkpoint(card=card))
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("tensor", "line"),
    [
        (torch.zeros(1).expand(2, 1, 3, 3), "its weights are not plain tensors"),
        (torch.zeros(2, 1, 3, 3, dtype=torch.complex64), "it holds more than plain values and tensors"),
        (torch.zeros(2, 1, 3, 3, dtype=torch.int64), "its weights are not plain tensors"),
        (torch.zeros(2, 1, 3, 3).to_sparse(), "it holds more than plain values and tensors"),
        ("x", "its weights are not plain tensors"),
    ],
)
def test_weights_are_plain_tensors_no_larger_than_their_bytes(tensor: Any, line: str) -> None:
    path = checkpoint(state_dict={**weights(), "network.stem.0.weight": tensor})
    with pytest.raises(UserError, match=line):
        read_weights(path)
    shared = torch.zeros(1000, 1000)
    with pytest.raises(UserError, match="its weights are not plain tensors, or larger"):
        read_weights(checkpoint(state_dict={str(number): shared for number in range(9)}))


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, struct.pack("<Q", 2**20 + 1) + b"{" * 2**21, b"\x02" + b"\0" * 7 + b"{}"]
)
def test_a_damaged_safetensors_file_is_refused(content: bytes) -> None:
    Path("sent.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"^sent.safetensors cannot be used: it "):
        read_weights(Path("sent.safetensors"))


def test_a_pipe_or_a_device_is_not_waited_for() -> None:
    os.mkfifo("pipe.ckpt")
    os.mkfifo("pipe.safetensors")
    for path in ("pipe.ckpt", "pipe.safetensors", "/dev/zero"):
        with pytest.raises(UserError, match="it is missing, or not a regular file"):
            read_weights(Path(path))


@pytest.mark.parametrize("kind", ["ckpt", "safetensors"])
def test_weights_and_card_are_read_as_they_were_written(kind: str) -> None:
    path = checkpoint()
    if kind == "safetensors":
        path = Path("sent.safetensors")
        path.write_bytes(write_safetensors(weights(), CARD))
    found, card = read_weights(path)
    assert card == CARD
    assert found.keys() == weights().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in weights().items())
    classifier = fashion_lightning.load(path)
    for name, tensor in classifier.state_dict().items():
        assert torch.equal(tensor, weights()[name])


def test_a_network_of_ones_own_is_used_if_it_is_named() -> None:
    named = "tests.networks.WithDropout"
    content = {f"network.{name}": tensor for name, tensor in WithDropout().state_dict().items()}
    path = checkpoint(card=network(named), state_dict=content)
    with pytest.raises(UserError, match=f"its network is {named}. If you trust it, name it: --network"):
        fashion_lightning.load(path)
    assert type(fashion_lightning.load(path, named).network).__name__ == "WithDropout"


def test_a_network_whose_arguments_exceed_a_card_gets_none() -> None:
    model = {"network": {"class_path": "my.Network", "init_args": {"layer": {"class_path": "x"}}}, "tta": "none"}
    assert card_of({"model": model, "data": {"val_size": 100}}, "tiny") is None


def test_a_new_run_takes_the_layers_that_fit() -> None:
    network, given = CNN(stem=2, widths=[2], num_classes=7), weights()
    told = start_from(network, given)
    assert told == "18 of 19 tensors taken; new: head.weight"
    assert torch.equal(network.state_dict()["stem.0.weight"], given["network.stem.0.weight"])
    with pytest.raises(UserError, match="none of its weights"):
        start_from(torch.nn.Linear(2, 2), given)


@pytest.mark.parametrize("state", [{"exp_avg": torch.zeros(())}, {"exp_avg": torch.zeros(3)}, {"step": torch.zeros(0)}])
def test_an_optimizers_state_has_the_shape_of_its_parameters(trained: Path, state: dict[str, Any]) -> None:
    """torch's fused Adam writes beyond the end of a smaller tensor."""
    found = find_checkpoint(trained, "last")
    found.content["optimizer_states"] = [{"state": {0: {"step": torch.zeros(()), "exp_avg": torch.zeros(2, 3)}}}]
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2, 3))])
    check_optimizer_state(found, optimizer)
    found.content["optimizer_states"][0]["state"][0] |= state
    with pytest.raises(UserError, match=f"{next(iter(state))} of parameter 0 is "):
        check_optimizer_state(found, optimizer)


def test_the_commands_take_a_strangers_file_for_its_weights_only(cli: Run, trained: Path) -> None:
    exported = cli("export", "--ckpt_path", trained, "--output", "model.safetensors")
    assert "Checked on " in exported
    (trained / "checkpoints/best.ckpt").rename("sent.ckpt")
    reports = []
    for file in ("sent.ckpt", "model.safetensors"):
        cli("test", "--ckpt_path", file)
        report = json.loads(Path(f"test_{Path(file).stem}.json").read_text())
        reports.append({**report, "checkpoint": ""})
        refused = cli("fit", "--ckpt_path", file, exits=2)
        assert f"{file} does not belong to a run of yours, so it cannot be continued. To start a new" in refused
        assert refused.count("\n") == 1
    assert reports[0] == reports[1]
    cli("predict", "--ckpt_path", "sent.ckpt")
    assert Path("predictions.csv").is_file()
    assert not list(Path().glob("**/events*1*"))[1:], "no test points are logged outside of a run"


@pytest.mark.slow
def test_a_new_run_starts_from_weights(cli: Run, trained: Path) -> None:
    """The network is that of the card, unless a recipe names another."""
    printed = cli(
        "fit", "--weights", trained, "--data.batch_size", "50", "--trainer.max_epochs", "1", "--data.val_size=100"
    )
    assert f"Weights of {trained}/checkpoints/best.ckpt: 43 of 43 tensors taken" in printed
    run = Path("tensorboard_logs/cnn_from_tiny_version_0/version_0")  # no run of cnn
    assert fashion_lightning.load(run).state_dict()["network.stem.0.weight"].size(0) == 4
    printed = cli(
        "fit",
        "--weights",
        trained,
        "--config",
        "tiny.yaml",
        "--model.network.init_args.widths=[4,4,6]",
        "--data.val_size=50",
    )
    assert "tensors taken; new: groups.2" in printed
    assert "They were trained on another split" in printed
    assert "leave --ckpt_path out" in cli("fit", "--weights", trained, "--ckpt_path", trained, exits=2)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: &a [x, x]\nb: [*a, *a]", "references .* are not supported"),
        ("a: " + "[" * 5000 + "]" * 5000, "is not valid YAML: maximum recursion depth"),
        ("a: " + "9" * 5000, "is not valid YAML: Exceeds the limit"),
        ("trainer: {max_epochs: 1, max_epochs: 2}", "names 'max_epochs' twice"),
        ("a: " + "x" * 300_000, "larger than 256 kB"),
        ("a: !!python/object/apply:os.system [touch called]", "could not determine a constructor"),
    ],
)
def test_yaml_is_read_within_bounds(text: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        parse_yaml(text, "harm.yaml")
