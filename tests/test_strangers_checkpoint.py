"""A checkpoint decides numbers, never places, devices or how much is spent."""

import os
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.audit import Audit
from tests.conftest import Run
from tests.poisoned import Edit, content, poison, setting, text, writer

ESCAPED = {"dirpath": "escaped", "filename": "authorized_keys"}


@pytest.mark.parametrize(
    "command", ["test", pytest.param("predict", marks=pytest.mark.slow), pytest.param("fit", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trainer.profiler", writer("lightning.pytorch.profilers.AdvancedProfiler", **ESCAPED)),
        ("trainer.logger", writer("lightning.pytorch.loggers.CSVLogger", save_dir="escaped")),
        ("trainer.logger", writer("lightning.pytorch.loggers.TensorBoardLogger", save_dir="escaped")),
        ("trainer.callbacks", [writer("lightning.pytorch.callbacks.ModelCheckpoint", **ESCAPED)]),
        ("trainer.plugins", [writer("lightning.pytorch.plugins.io.TorchCheckpointIO")]),
        ("trainer.default_root_dir", "escaped"),
        ("trainer.devices", 10),
        ("trainer.strategy", "ddp_spawn"),
        ("data.root", "escaped"),
        ("output", "escaped"),
    ],
    ids=str,
)
def test_a_place_or_a_device_is_not_taken_which_is_said(
    cli: Run, trained: Path, command: str, name: str, value: Any
) -> None:
    poisoned = poison(trained / "checkpoints/last.ckpt", setting(name, value))
    with Audit() as audit:
        printed = cli(command, "--ckpt_path", poisoned, *(["--trainer.max_epochs=3"] if command == "fit" else []))
    assert f"Not taken from poisoned.ckpt, since a checkpoint decides numbers only: {name}. Name" in printed
    assert not Path("escaped").exists()
    written = {path for path in audit.outside(Path("tensorboard_logs")) if path.suffix != ".partial"}
    assert written <= {
        Path(name).absolute() for name in ("", "test_poisoned.json", "test_poisoned.html", "predictions.csv")
    }
    assert not audit.begun


DEEP = {"class_path": "fashion_lightning.networks.WideResNet", "init_args": {"depth": 6000004}}

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi")
)
MULTI_STEP = "torch.optim.lr_scheduler.MultiStepLR"

NOT_NUMBERS = "its weights come with more than numbers"


def noted(notes: Any) -> "OrderedDict[str, torch.Tensor]":
    """Weights with such notes on how to load them as torch keeps beside them."""
    weights = OrderedDict(weight=torch.zeros(1))
    weights._metadata = notes  # type: ignore[attr-defined]
    return weights


YAMLS = [
    (BOMB, "stands for more than 20,000 values"),
    ("a: " + "[" * 50 + "]" * 50, "is nested more than 30 levels deep"),
    ("a: " + "{b: " * 5000, "is nested more than 30 levels deep"),
    ("a: &a [*a]", "holds a reference *a to itself"),
    ("a: " + "9" * 5000, "is not valid YAML: Exceeds the limit"),
    ("trainer: {max_epochs: 1, max_epochs: 2}", "names 'max_epochs' twice (line 1)"),
    ("a: " + "x" * 300_000, "larger than 256 kB"),
    ("a: !!python/object/apply:os.system [touch called]", "is not valid YAML: could not determine a constructor"),
]


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        *((text(config), line) for config, line in YAMLS),
        (text("- model"), "holds no settings"),
        (text("model: 3"), "its config lacks model"),
        (setting("data.batch_size", 10**30), "its data.batch_size is '1000"),
        (setting("data.flip", "os.system"), "its data.flip is 'os.system', which cannot be meant"),
        (setting("trainer.max_epochs", float("inf")), "its trainer.max_epochs is 'inf'"),
        (setting("seed_everything", "../.."), "its seed_everything is '../..'"),
        (setting("model.network.init_args.stem", 10**9), "cannot be used: its weights do not fit its network"),
        (
            setting("model.network.init_args.widths", [4] * 1000),
            "its network has more tensors than its weights are for",
        ),
        (
            setting(
                "model.network", writer("fashion_lightning.networks.WideResNet") | {"init_args": {"depth": 6000004}}
            ),
            "its network has more tensors than its weights are for",
        ),
        (setting("model.optimizer", writer("torch.optim.SparseAdam")), "its optimizer names torch.optim.SparseAdam"),
        (
            setting("model.scheduler", writer("torch.optim.lr_scheduler.LambdaLR", lr_lambda="os.system")),
            "its scheduler names torch.optim.lr_scheduler.LambdaLR",
        ),
        (
            setting("model.scheduler", {"class_path": MULTI_STEP, "init_args": {"milestones": [1] * 15000}}),
            "its scheduler.milestones is a list of 15,000, beyond what can be meant",
        ),
        (
            setting("model.optimizer.init_args.newton_schulz_steps", 10**9),
            "its optimizer.newton_schulz_steps is 1000000000, beyond what can be meant",
        ),
        (content("lr_schedulers", 0, "get_lr", value=3), "its schedule's get_lr is '3', which cannot be meant"),
        (content("lr_schedulers", 0, "last_epoch", value="x"), "its schedule's last_epoch is 'x', which cannot"),
        (content("callbacks", "WeightEMA", value={"latest_update_step": "x"}), "the last update of the average is no"),
        (content("loops", "fit_loop", "epoch_progress", "total", "processed", value={}), "processed is no count"),
        (content("state_dict", value=noted({"network.head": {"assign_to_params_buffers": True}})), NOT_NUMBERS),
        (content("state_dict", value=noted(3)), NOT_NUMBERS),
        (content("current_model_state", value=noted(3)), "it lacks 'averaging_state'"),
        (content("averaging_state", value={"n_averaged": "x"}), "its weights are no plain tensors"),
        (content("extra", value=[torch.zeros(2**20)] * 999), "larger than their bytes"),
        (content("extra", value=torch.zeros(1, dtype=torch.complex64)), "holds more than plain values and tensors"),
        (content("extra", value=bytearray(9)), "holds more than plain values and tensors"),
        (content("callbacks", None, value={}), "one of its values has no name"),
        (content("pytorch-lightning_version", value=...), "it lacks 'pytorch-lightning_version'"),
        (content("pytorch-lightning_version", value=2), "its Lightning version is none"),
        (content("pytorch-lightning_version", value="0.7.6"), "it was written by Lightning 0.7.6, too old"),
        (content("pytorch-lightning_version", value="2.6.6\x1b[31m"), "its Lightning version is none"),
        (content("train_metrics", value={"network": {"head": torch.zeros(1)}}), "its training metrics are others"),
        (content("train_metrics", "train_loss", value={"reset": torch.zeros(1)}), "its training metrics are others"),
        (content("callbacks", value=3), "its callbacks are no mapping"),
        (content("\x1b[31m", value=torch.zeros(1).expand(9)), "one of its tensors is larger than its bytes"),
        (content("callbacks", "Timer", value=3), "the state of Timer is no mapping"),
        (content("loops", "fit_loop", "epoch_progress", "current", value={"processed": 1}), "it lacks 'ready'"),
        (content("loops", "fit_loop", "epoch_progress", "current", "processed", value=-1), "processed is no count"),
        (content("global_step", value=-3), "global_step is no count"),
        (content("state_dict", "network.head.weight", value="x"), "its weights are no plain tensors"),
        (content("state_dict", "network.head.weight", value=torch.zeros(1).expand(10**9)), "larger than its bytes"),
        (content("loops", "fit_loop", "epoch_progress", value=torch.zeros(1).expand(10**9)), "larger than its bytes"),
        (content("loops", "fit_loop", "epoch_progress", "total", value=[3]), "total is no count"),
        (content("loops", value=torch.zeros(3)), "loops is no count"),
        (content("optimizer_states", value=3), "its optimizer_states are no list of states"),
        (content("hyper_parameters", "_class_path", value="os.system"), "a form that this package never wrote"),
        (content("hparams", value={"network": "os.system"}), "a form that this package never wrote"),
        *(
            (content("fashion_lightning", "name", value=name), "The recipe of poisoned.ckpt cannot be called")
            for name in (
                "/etc",
                "../../..",
                "..",
                "",
                "a/b",
                "a\\b",
                "a\nb",
                "\x1b[31m",
                "a" * 300,
                " a",
                "-rf",
                ".ssh",
            )
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_meant_gets_one_line_and_leaves_nothing(cli: Run, trained: Path, edit: Edit, line: str) -> None:
    poisoned = poison(trained / "checkpoints/last.ckpt", edit)
    before = set(Path().rglob("*"))
    read_by_fit_only = any(part in line for part in ("data.", "trainer.", "seed_", "optimizer", "schedule"))
    for command in ("fit",) if read_by_fit_only else ("fit", "test"):
        printed = cli(command, "--ckpt_path", poisoned, exits=2)
        assert printed.startswith("error: ")
        assert line in printed
        assert printed.count("\n") == 1
        assert "\x1b" not in printed
    assert set(Path().rglob("*")) == before


@pytest.mark.parametrize(("config", "line"), YAMLS, ids=[line for _, line in YAMLS])
def test_a_config_file_is_read_within_bounds_too(cli: Run, config: str, line: str) -> None:
    Path("harm.yaml").write_text(config)
    assert f"harm.yaml {line}" in cli("fit", "--config", "harm.yaml", exits=2).replace(
        "harm.yaml is larger", "harm.yaml larger"
    )


def test_a_pipe_or_a_device_is_not_waited_for(cli: Run) -> None:
    os.mkfifo("pipe")
    for path in ("pipe", "/dev/zero"):
        assert f"error: {path} is not a regular file" in cli("fit", "--config", path, exits=2)
        assert f"error: {path} is not a regular file" in cli("test", "--ckpt_path", path, exits=2)


@pytest.mark.parametrize("name", ["..yaml", "...yaml", "a\nb.yaml", "\x1b[31m.yaml", "-x.yaml", "a" * 240 + ".yaml"])
def test_a_recipe_files_name_must_be_a_folders(cli: Run, recipe: Path, name: str) -> None:
    recipe.rename(name)
    printed = cli("fit", f"--config=./{name}", exits=2)
    assert "cannot be called" in printed
    assert "\x1b" not in printed
    assert not Path("tensorboard_logs").exists()


def test_a_compressed_archive_is_no_checkpoint(cli: Run, trained: Path) -> None:
    """torch writes its records as they are: what is compressed may become a thousand times the file."""
    with (
        zipfile.ZipFile(trained / "checkpoints/last.ckpt") as whole,
        zipfile.ZipFile("bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for record in whole.infolist():
            bomb.writestr(record.filename, whole.read(record))
    assert "it is compressed, which torch's are not" in cli("test", "--ckpt_path", "bomb.ckpt", exits=2)


def with_pickle(original: Path, pickled: bytes) -> Path:
    """A copy of a checkpoint whose values are another pickle's."""
    changed = Path("pickle.ckpt")
    with zipfile.ZipFile(original) as whole, zipfile.ZipFile(changed, "w") as archive:
        for record in whole.infolist():
            is_pickle = record.filename.endswith("data.pkl")
            archive.writestr(record.filename, pickled if is_pickle else whole.read(record))
    return changed


@pytest.mark.parametrize(
    "pickled",
    [
        b"cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\xc0\x00\x85R.",
        b"ctorch\nTensor\n\x8a\x05\x00\x00\x00\x00\x01\x85R.",
        b"ctorch\nFloatTensor\n\x8a\x05\x00\x00\x00\x00\x01\x85R.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00hextR.",
        b"cos\nsystem\n.",
    ],
    ids=["3 GB of zeros", "16 GB of a tensor", "the same of an older kind", "a module of codecs", "os.system"],
)
def test_what_a_pickle_may_name_is_a_list(cli: Run, trained: Path, pickled: bytes) -> None:
    """torch's own is longer: a number becomes that many bytes, and text is encoded by a module that it names."""
    path = with_pickle(trained / "checkpoints/last.ckpt", b"\x80\x02" + pickled)
    with Audit() as audit:
        printed = cli("test", "--ckpt_path", path, exits=2)
    assert "error: pickle.ckpt holds more than plain values and tensors; it is not opened." in printed
    assert "encodings.hex_codec" not in audit.imported


def test_a_pickle_of_a_million_lists_is_not_made(cli: Run, trained: Path) -> None:
    path = with_pickle(trained / "checkpoints/last.ckpt", b"\x80\x02" + b"]" * 3_000_000 + b".")
    assert "pickle.ckpt holds more values than a checkpoint does" in cli("test", "--ckpt_path", path, exits=2)


def test_two_records_of_one_name_are_no_checkpoint(cli: Run, trained: Path) -> None:
    """torch does not tell small letters from capitals, and may open the other one."""
    with zipfile.ZipFile(trained / "checkpoints/last.ckpt", "a") as archive:
        archive.writestr(next(name for name in archive.namelist() if name.endswith("data.pkl")).upper(), b"x")
    printed = cli("test", "--ckpt_path", trained / "checkpoints/last.ckpt", exits=2)
    assert "two of its records have one name" in printed


@pytest.mark.parametrize(
    ("group", "line"),
    [
        ({"newton_schulz_steps": 10**9}, "its optimizer's newton_schulz_steps is '1000000000', which cannot be meant"),
        ({"lr": float("nan")}, "its optimizer's lr is 'nan', which cannot be meant"),
        ({"lr": torch.zeros(3)}, "its optimizer's lr is 'tensor"),
        ({"momentum": "x"}, "Training failed: TypeError"),  # the first step
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_setting_of_an_optimizers_state_is_a_number_and_its_errors_leave_nothing(
    cli: Run, trained: Path, group: dict[str, Any], line: str
) -> None:
    def edit(whole: dict[str, Any], config: dict[str, Any]) -> None:
        config["trainer"]["max_epochs"] = 3
        for settings in whole["optimizer_states"][0]["param_groups"]:
            settings.update(group)

    poisoned = poison(trained / "checkpoints/last.ckpt", edit)
    before = set(Path().rglob("*"))
    printed = cli("fit", "--ckpt_path", poisoned, exits=2)
    assert line in printed
    assert printed.count("error: ") == 1
    assert set(Path().rglob("*")) == before


def test_a_config_without_a_length_trains_for_the_ordinary_one(cli: Run, trained: Path) -> None:
    def without_length(_: dict[str, Any], config: dict[str, Any]) -> None:
        del config["trainer"]["max_epochs"]

    poisoned = poison(trained / "checkpoints/last.ckpt", without_length)
    assert "Continuing poisoned.ckpt" in cli("fit", "--ckpt_path", poisoned, "--trainer.max_steps=23")


@pytest.mark.parametrize(
    "command",
    ["fit", "predict", pytest.param("test", marks=pytest.mark.slow), pytest.param("validate", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("name", ["predictions.csv", ".lock", "checkpoints/test.json"])
def test_nothing_is_written_through_a_link_in_a_run_folder_somebody_sent(
    cli: Run, trained: Path, command: str, name: str
) -> None:
    sent, victim = trained.rename("sent"), Path("victim")
    (sent / name).unlink(missing_ok=True)
    (sent / name).symlink_to(victim.absolute())
    printed = cli(command, "--ckpt_path", sent, "--trainer.max_epochs=3", exits=2)
    assert f"error: {sent / name} is a link, and the run folder is not where you keep runs" in printed
    assert not victim.exists()
    assert cli("test", "--ckpt_path", (sent / "checkpoints/best.ckpt").rename("best.ckpt"))
