"""Lightning's own callbacks and loggers in a recipe: exact after a kill, or refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Run
from tests.interruption import assert_same_state
from tests.test_tensorboard import raw_points

CALLBACKS, LOGGERS = "lightning.pytorch.callbacks", "lightning.pytorch.loggers"

REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("callbacks", "StochasticWeightAveraging", {"swa_lrs": 0.1}, "weight_averaging.WeightEMA"),
    ("callbacks", "WeightAveraging", {}, "weight_averaging.WeightEMA"),
    ("callbacks", "EMAWeightAveraging", {}, "weight_averaging.WeightEMA"),
    ("callbacks", "Timer", {"duration": "00:00:10:00"}, "--trainer.max_time"),
    ("callbacks", "GradientAccumulationScheduler", {"scheduling": {0: 2}}, "--trainer.accumulate_grad_batches"),
    ("callbacks", "EarlyStopping", {"monitor": "val/loss"}, "--early_stopping.patience"),
    ("callbacks", "OnExceptionCheckpoint", {"dirpath": "."}, "last.ckpt"),
    ("callbacks", "ModelPruning", {"pruning_fn": "l1_unstructured"}, "leave it out"),
    ("logger", "CSVLogger", {"save_dir": "logs"}, "leave trainer.logger as it is"),
    ("logger", "TensorBoardLogger", {"save_dir": "logs"}, "leave trainer.logger as it is"),
]


@pytest.mark.parametrize(("setting", "name", "init_args", "instead"), REFUSED, ids=lambda value: str(value))
def test_a_part_that_could_not_go_on_is_refused_before_anything_is_made(
    cli: Run, recipe: Path, setting: str, name: str, init_args: dict[str, Any], instead: str
) -> None:
    package = CALLBACKS if setting == "callbacks" else LOGGERS
    part = {"class_path": f"{package}.{name}", "init_args": init_args}
    Path("part.yaml").write_text(yaml.safe_dump({"trainer": {setting: [part]}}))
    before = {*Path().rglob("*")}
    printed = cli("fit", "--config", recipe, "--config", "part.yaml", exits=2)
    (line,) = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert f"trainer.{setting} cannot hold Lightning's {name}" in line
    assert instead in line
    assert {*Path().rglob("*")} == before


@pytest.mark.slow
def test_a_run_with_the_parts_that_are_taken_is_exact_after_a_kill(cli: Run, recipe: Path) -> None:
    every_epoch = {"filename": "{epoch}", "save_top_k": -1, "enable_version_counter": False}
    taken = [
        {"class_path": f"{CALLBACKS}.LearningRateMonitor"},
        {"class_path": f"{CALLBACKS}.ModelCheckpoint", "init_args": every_epoch},
    ]
    moment = {"hook": "train", "epoch": 1, "batch": 3, "signum": 2}
    signal = {"class_path": "tests.interruption.InterruptAt", "init_args": moment}
    for name, callbacks in (("taken", taken), ("interrupted", [*taken, signal])):
        Path(f"{name}.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": callbacks}}))
    cli("fit", "--config", recipe, "--config", "taken.yaml")
    cli("fit", "--config", recipe, "--config", "interrupted.yaml", exits=130)
    undisturbed, disturbed = (Path(f"tensorboard_logs/tiny/version_{n}") for n in (0, 1))
    cli("fit", "--ckpt_path", disturbed, "--config", "taken.yaml")
    assert raw_points(disturbed) == raw_points(undisturbed)
    assert "lr-Muon/pg1" in raw_points(disturbed)
    assert_same_state(undisturbed, disturbed)
    files = [{path.name for path in (run / "checkpoints").iterdir()} for run in (undisturbed, disturbed)]
    assert files[0] == files[1] == {"best.ckpt", "last.ckpt", "epoch=0.ckpt", "epoch=1.ckpt"}
