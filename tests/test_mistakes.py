"""One clear line for each mistake, a non-zero exit, and nothing changed.

pytest tests/test_mistakes.py -rP | grep '^|'     # what a user types, and the line that a user gets
"""

import io
import os
import shlex
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.conftest import Run


def flip_a_byte_of_a_weight(checkpoint: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as archive:
        weight = max(archive.infolist(), key=lambda record: record.file_size)
    place = checkpoint.index(weight.filename.encode()) + len(weight.filename) + 128
    return checkpoint[:place] + bytes([checkpoint[place] ^ 1]) + checkpoint[place + 1 :]


def picture_of(width: int, height: int) -> bytes:
    """The first bytes of a PNG file of that size, which is enough to be asked for its memory."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", 1)
        + b"IDAT"
    )


MISTAKES: list[tuple[list[str], str]] = [
    (["train"], "there is no command 'train'; choose from fit, validate, test, predict"),
    (["test"], "test needs a trained checkpoint: fashion-lightning test --ckpt_path RUN (your newest run)"),
    (["predict"], "predict needs a trained checkpoint"),
    (["validate", "--data.batch_size", "3"], "validate needs a trained checkpoint"),
    (["test", "--ckpt_path"], "--ckpt_path: expected one argument"),
    (["test", "--ckpt_path", "nowhere"], "no run folder or checkpoint at nowhere. Your newest run: RUN"),
    (["fit", "--ckpt_path", "."], "is not a run folder with a checkpoint"),
    (["test", "--ckpt_path", "torn.ckpt"], "torn.ckpt cannot be used: it is not a whole checkpoint"),
    (["test", "--ckpt_path", "empty.ckpt"], "empty.ckpt cannot be used: it is not a whole checkpoint"),
    (
        ["test", "--ckpt_path", "flipped.ckpt"],
        "flipped.ckpt cannot be used: it is not a whole checkpoint file (the checks",
    ),
    (["test", "--ckpt_path", "zip.ckpt"], "zip.ckpt cannot be used: it "),
    (["test", "--ckpt_path", "text.ckpt"], "text.ckpt cannot be used: it is not a whole checkpoint file"),
    (
        ["test", "--ckpt_path", "hostile.ckpt"],
        "hostile.ckpt cannot be used: it holds more than plain values",
    ),
    (["test", "--ckpt_path", "foreign.ckpt"], "foreign.ckpt cannot be used: it has no card"),
    (["fit", "--config"], "--config needs the name of a recipe or a YAML file"),
    (["fit", "--config", "none.yaml"], "There is no config file none.yaml; the recipes and presets are: accurate,"),
    (["fit", "--config", "misspelt.yaml"], "batch_sise"),
    (["fit", "--config", "broken.yaml"], "broken.yaml is not valid YAML"),
    (["fit", "--config", "list.yaml"], "list.yaml is not a config"),
    (["fit", "--config", "flat.yaml"], "flat.yaml: `data:` must hold settings, not 3"),
    (["fit", "--config", "."], "There is no config file ."),
    (["fit", "--config", "quik"], "There is no config file quik (did you mean quick?)"),
    (["fit", "--config", "configs/quick.yml"], "There is no config file configs/quick.yml (did you mean quick?)"),
    (["repeat", "--config", "three_dens"], "There is no config file three_dens (did you mean seeds/three_dense?)"),
    (["fit", "--ckpt_path="], "--ckpt_path needs a run folder"),
    (["fit", "--config", "tiny.yaml", "--ckpt", "RUN"], "unrecognized arguments: --ckpt"),
    (["fit", "--config", "checkpoint.yaml"], "--ckpt_path belongs on the command line"),
    (["fit", "--config", "tiny.yaml", "--data.batch_size", "501"], "only 500 training images"),
    (["fit", "--config", "tiny.yaml", "--data.root", ""], "data.root is empty"),
    (["fit", "--config", "tiny.yaml", "--trainer.max_epochs", "1.5"], "--trainer.max_epochs: 1.5 cannot be used"),
    (["fit", "--config", "tiny.yaml", "--trainer.max_epochs=-5"], "max_epochs must be at least -1"),
    (["fit", "--config", "tiny.yaml", "--trainer.overfit_batches", "2"], "overfit_batches would replace the sampler"),
    (["fit", "--config", "tiny.yaml", "--trainer.default_root_dir", "tiny.yaml"], "No run folder can be made in"),
    (["fit", "--config", "tiny.yaml", "--seed_everything", "true"], "seed_everything"),
    (["fit", "--config", "tiny.yaml", "--seed_everything=-1"], "seed_everything"),
    (["fit", "--config", "tiny.yaml", "--seed_everything", "4294967296"], "seed_everything"),
    (["fit", "--config", "tiny.yaml", "--model.network", "tests.networks.FailsToBuild"], "RuntimeError: by design"),
    (["fit", "--config", "tiny.yaml", "--model.network", "tests.networks.FailsToRun"], "cannot take images"),
    (["fit", "--config", "tiny.yaml", "--model.network", "tests.networks.WithoutParameters"], "empty parameter list"),
    (["fit", "--ckpt_path", "RUN", "--trainer.max_epochs=4", "--model.network.init_args.stem=8"], "do not fit this"),
    (["fit", "--ckpt_path", "RUN", "--trainer.max_epochs=4", "--trainer.default_root_dir=other"], "cannot change"),
    (["predict", "--ckpt_path", "RUN", "--output", "RUN"], "--output needs the name of a file, not of a folder"),
    (["predict", "--ckpt_path", "RUN", "--preview", "a.png"], "--preview shows your own pictures"),
    (["predict", "--ckpt_path", "RUN", "--images", "x.png", "--preview", "a.jpg"], "must end in .png"),
    (["predict", "--ckpt_path", "RUN", "--output", ""], "--output needs the name of a file"),
    (["test", "--ckpt_path", "RUN", "--trainer.limit_test_batches", "0"], "There was nothing to test"),
    (["fit", "--config", "tiny.yaml", "--data.batch_size", "0"], "data.batch_size must be at least 1, not 0"),
    (["fit", "--config", "tiny.yaml", "--data.batch_size", "many"], "data.batch_size"),
    (["fit", "--config", "tiny.yaml", "--data.val_size", "600"], "data.val_size is 600"),
    (["fit", "--config", "tiny.yaml", "--trainer.max_epoch", "3"], "did you mean --trainer.max_epochs?"),
    (["fit", "--config", "tiny.yaml", "--trainer.accelerator", "tpu"], "settings cannot be used"),
    (["fit", "--config", "tiny.yaml", "--trainer.precision", "half"], "trainer.precision"),
    (["fit", "--config", "tiny.yaml", "--model.label_smoothing", "2"], "model.label_smoothing must be"),
    (
        ["fit", "--config", "tiny.yaml", "--model.loss", "multi_margin", "--model.label_smoothing", "0.1"],
        "model.label_smoothing belongs to the cross-entropy",
    ),
    (["fit", "--config", "tiny.yaml", "--model.loss", "focal"], "focal"),
    (["fit", "--config", "tiny.yaml", "--model.network", "torch.nn.Identity"], "must return logits of shape (B, 10)"),
    (["fit", "--config", "tiny.yaml", "--model.network.init_args.num_classes", "7"], "not (B, 7)"),
    (["fit", "--config", "tiny.yaml", "--model.network.init_args.width", "7"], "'width' is not accepted"),
    (["fit", "--config", "tiny.yaml", "--model.network", "no.such.Network"], "no.such.Network"),
    (["fit", "--config", "tiny.yaml", "--model.optimizer.init_args.lrr", "1"], "'lrr' is not accepted"),
    (["fit", "--config", "tiny.yaml", "--model.scheduler.init_args.warmup", "3"], "warmup must be in [0, 1)"),
    (["fit", "--config", "tiny.yaml", "--data.root", "tiny.yaml"], "data folder tiny.yaml cannot be written"),
    (["fit", "--config", "tiny.yaml", "--best_checkpoint.monitor", "val/acc"], "val/acc"),
    (["fit", "--config", "tiny.yaml", "--early_stopping.monitor", "val/acc"], "val/acc"),
    (["test", "--ckpt_path", "RUN", "--model.network.init_args.stem", "8"], "do not fit this network: size mismatch"),
    (["predict", "--ckpt_path", "RUN", "--images", "none.png"], "there is no image at none.png"),
    (["predict", "--ckpt_path", "RUN", "--images", "tiny.yaml"], "tiny.yaml cannot be read as an image"),
    (["predict", "--ckpt_path", "RUN", "--images", "empty.png"], "empty.png cannot be read as an image"),
    (["predict", "--ckpt_path", "RUN", "--images", "text.png"], "text.png cannot be read as an image"),
    (["predict", "--ckpt_path", "RUN", "--images", "cut.png"], "cut.png cannot be read as an image"),
    (["predict", "--ckpt_path", "RUN", "--images", "folder"], "there is no image at folder"),
    (["fit", "--config", "tiny.yaml", "--data.root", "another"], "is not Fashion-MNIST's (SHA-256"),
    (["fit", "--config", "tiny.yaml", "--data.root", "cut"], "train-images-idx3-ubyte.gz is damaged"),
    (["fit", "--config", "tiny.yaml", "--data.root", "swapped"], "is not Fashion-MNIST's (SHA-256"),
    (["test", "--ckpt_path", "RUN", "--data.root", "no-gzip"], "t10k-images-idx3-ubyte.gz is damaged"),
    (["fit", "--config", "tiny.yaml", "--data.root", "/proc/data"], "data folder /proc/data cannot be written"),
    (["fit", "--config", "tiny.yaml", "--trainer.default_root_dir", "/proc/logs"], "No run folder can be made in"),
    (["fit", "--config", "tiny.yaml", "--trainer.accelerator", "cuda"], "settings cannot be used"),
    (["fit", "--config", "tiny.yaml", "--trainer.devices", "0"], "settings cannot be used"),
    (["fit", "--config", "tiny.yaml", "--trainer.strategy", "ddpp"], "settings cannot be used"),
    (["fit", "--config", "tiny.yaml", "--trainer.callbacks", "os.system"], "os.system"),
    (["fit", "--config", "tiny.yaml", "--data.shift", "28"], "data.shift and data.cutout are in pixels"),
    (["fit", "--config", "tiny.yaml", "--data.flip", "both"], "data.flip"),
    (["fit", "--config", "tiny.yaml", "--data.train_size", "501"], "only 500 images are left to train on"),
    (["fit", "--config", "tiny.yaml", "--last_checkpoint.every_n_steps", "0"], "last_checkpoint.every_n_steps must be"),
    (["fit", "--config", "tiny.yaml", "--last_checkpoint.every_n_minutes=-1"], "last_checkpoint.every_n_minutes must"),
    (["repeat", "--seeds", "0"], "--seeds: must be a whole number of at least 1, not '0'"),
    (["compare", "nowhere"], "None of these folders holds the results of a run"),
]

FIT = ["fit", "--config", "tiny.yaml"]

UNMEANT: list[tuple[str, str, str]] = [
    ("trainer.accumulate_grad_batches", "-1", "trainer.accumulate_grad_batches must be at least 1"),
    ("trainer.accumulate_grad_batches", "0", "trainer.accumulate_grad_batches must be at least 1"),
    ("trainer.gradient_clip_val", "-1", "trainer.gradient_clip_val must be at least 0"),
    ("trainer.gradient_clip_val", ".nan", "trainer.gradient_clip_val must be a finite number"),
    ("trainer.check_val_every_n_epoch", "0", "trainer.check_val_every_n_epoch must be at least 1"),
    ("trainer.check_val_every_n_epoch", "-2", "trainer.check_val_every_n_epoch must be at least 1"),
    ("trainer.log_every_n_steps", "-1", "0 logs epochs only"),
    ("trainer.min_epochs", "-1", "trainer.min_epochs must be at least 0"),
    ("trainer.min_steps", "-1", "trainer.min_steps must be at least 0"),
    ("trainer.max_epochs", "0", "trainer.max_epochs must not be 0"),
    ("trainer.max_steps", "0", "trainer.max_steps must not be 0"),
    ("trainer.max_time", "00:00:00:00", "trainer.max_time must be above 0"),
    ("trainer.max_time", '{"seconds": -5}', "trainer.max_time must be above 0"),
    ("early_stopping.patience", "-1", "early_stopping.patience must be at least 0"),
    ("early_stopping.min_delta", ".nan", "early_stopping.min_delta must be a finite number"),
    ("trainer.limit_train_batches", "0", "trainer.limit_train_batches must not be 0"),
    ("trainer.limit_train_batches", "0.0", "trainer.limit_train_batches must not be 0"),
    ("trainer.limit_train_batches", "0.0001", "trainer.limit_train_batches 0.0001 leaves none of 10 batches"),
    ("trainer.limit_val_batches", "0.0001", "trainer.limit_val_batches 0.0001 leaves none of 1 batches"),
    ("trainer.limit_val_batches", "-1", "trainer.limit_val_batches must be at least 0"),
    ("trainer.val_check_interval", "0", "trainer.val_check_interval must not be 0"),
    ("trainer.val_check_interval", "1000000", "an epoch has only 10"),
    ("model.optimizer.init_args.lr", "1e400", "lr must be a finite number, not inf"),
    ("model.optimizer.init_args.lr", ".nan", "lr must be a finite number, not nan"),
    ("model.optimizer.init_args.bias_lr", "-0.1", "bias_lr must not be below 0"),
    ("data.val_size", ".nan", "data.val_size must be a finite number"),
    ("trainer.precision", "16-true", "trainer.precision 16-true needs a GPU"),
    ("model.optimizer", "torch.optim.SparseAdam", "SparseAdam needs gradients that are sparse"),
]
"""Settings that Lightning takes: it trains by gradient ascent, or not at all, or fails after the run folder is made."""

MISTAKES += [([*FIT, f"--{name}={value}"], message) for name, value, message in UNMEANT]
MISTAKES += [
    ([*FIT, "--trainer.max_epochs=-1", "--trainer.max_time=00:01:00:00"], "LinearDecay needs the length of the run"),
    (["predict", "--ckpt_path", "RUN", "--images", "[]"], "--images names no file"),
    (["predict", "--ckpt_path", "RUN", "--images", ""], "--images names no file"),
    (["predict", "--ckpt_path", "RUN", "--images", "fifo.png"], "fifo.png is not a file"),
    (["predict", "--ckpt_path", "RUN", "--images", "mixed"], "fifo.png is not a file"),
    (["predict", "--ckpt_path", "RUN", "--images", "/dev/zero"], "/dev/zero is not a file"),
    (["predict", "--ckpt_path", "RUN", "--images", "eps.png"], "eps.png cannot be read as an image (BMP, GIF"),
    (["predict", "--ckpt_path", "RUN", "--images", "bomb.png"], "bomb.png has too many pixels"),
    (["predict", "--ckpt_path", "RUN", "--output", "RUN/config.yaml"], "config.yaml is there already"),
    (["predict", "--ckpt_path", "RUN", "--output", "tiny.yaml/a.csv"], "tiny.yaml/a.csv cannot be"),
    (["predict", "--ckpt_path", "RUN", "--output", "/proc/none/a.csv"], "No such file or directory: /proc/none"),
    (["predict", "--ckpt_path", "RUN", "--output", f"{'long' * 99}.csv"], "File name too long"),
    (["predict", "--ckpt_path", "RUN", "--output", "~nobody-of-that-name/a.csv"], "cannot be used"),
    (["predict", "--ckpt_path", "RUN", "--images", "none.png", "--output", "new/a.csv"], "there is no image at"),
    ([*FIT, "--model.network", "tests.networks.FailsToRun"], "tests/networks.py, line"),
    ([*FIT, "--model.network", "tests.networks.FailsToBuild"], "tests/networks.py, line"),
    (["fit", "--config", "\x1b[31mred.yaml"], r"There is no config file \x1b[31mred.yaml"),
    (["fit\x07"], r"there is no command 'fit\x07'"),
    (["fit", "--config", "long" * 10_000], " … "),
]


@pytest.mark.parametrize(
    ("arguments", "message"), MISTAKES, ids=lambda value: " ".join(value)[:80] if isinstance(value, list) else ""
)
def test_a_mistake_gets_one_line_a_non_zero_exit_and_changes_nothing(
    cli: Run, trained: Path, recipe: Path, data: Path, arguments: list[str], message: str
) -> None:
    checkpoint = (trained / "checkpoints/last.ckpt").read_bytes()
    Path("torn.ckpt").write_bytes(checkpoint[: len(checkpoint) // 2])
    Path("flipped.ckpt").write_bytes(flip_a_byte_of_a_weight(checkpoint))
    with zipfile.ZipFile("zip.ckpt", "w") as archive:
        archive.writestr("a.txt", "a")
    Path("empty.ckpt").touch()
    Path("text.ckpt").write_text("not a checkpoint")
    torch.save({"state_dict": {"weight": torch.zeros(1)}}, "foreign.ckpt")
    torch.save({"state_dict": {}, "fashion_lightning": print}, "hostile.ckpt")
    Path("misspelt.yaml").write_text(recipe.read_text().replace("batch_size", "batch_sise"))
    Path("broken.yaml").write_text("model: [")
    Path("flat.yaml").write_text("data: 3")
    Path("checkpoint.yaml").write_text(f"{recipe.read_text()}\nckpt_path: {trained}\n")
    Path("list.yaml").write_text("- model")
    for name in ("another", "cut", "swapped", "no-gzip"):
        shutil.copytree(data, name)
    images, labels, test_images = (
        f"{name}-ubyte.gz" for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3")
    )
    shutil.copy(data / test_images, Path("another", images))
    Path("cut", images).write_bytes((data / images).read_bytes()[:5000])
    shutil.copy(data / images, Path("swapped", labels))
    Path("no-gzip", test_images).write_bytes(b"not gzip")
    Path("empty.png").touch()
    Path("text.png").write_text("not a picture")
    Image.new("L", (28, 28)).save("whole.png")
    Path("cut.png").write_bytes(Path("whole.png").read_bytes()[:50])
    Path("whole.png").unlink()
    Path("folder").mkdir()
    Path("eps.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\n")
    Path("bomb.png").write_bytes(picture_of(100_000, 100_000))
    os.mkfifo("fifo.png")
    Path("mixed").mkdir()
    Image.new("L", (28, 28)).save("mixed/a.png")
    os.mkfifo("mixed/fifo.png")
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
    printed = cli(*(argument.replace("RUN", str(trained)) for argument in arguments), exits=2)
    (line,) = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert message.replace("RUN", str(trained)) in line
    assert "Traceback" not in printed
    after = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
    assert after == before  # not even a new run folder
    print(f"| `{shlex.join(arguments)}` | {line} |")
