"""bf16 where the hardware has it, float32 elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from fashion_lightning.networks.precision import bf16_is_native, default_precision
from tests.conftest import RUN, Run


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    bf16_is_native.cache_clear()
    yield
    bf16_is_native.cache_clear()


BF16, OLD = {"amx_bf16": True}, {"avx2": True}


@pytest.mark.parametrize(
    ("gpu", "cpu", "accelerator", "expected"),
    [
        (False, {"avx512_bf16": True}, "auto", "bf16-mixed"),
        (False, BF16, "auto", "bf16-mixed"),
        (False, OLD, "auto", "32-true"),
        (True, OLD, "auto", "bf16-mixed"),
        (True, OLD, "gpu", "bf16-mixed"),
        (True, OLD, "cpu", "32-true"),
    ],
)
def test_the_device_that_is_trained_on_decides_the_default(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, cpu: dict[str, bool], accelerator: str, expected: str
) -> None:
    with monkeypatch.context() as machine:
        machine.setattr(torch.cuda, "is_available", lambda: gpu)
        machine.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
        machine.setattr(torch.backends.mps, "is_available", lambda: False)
        machine.setattr(torch.cpu, "get_capabilities", lambda: cpu)
        assert default_precision(accelerator) == expected


@pytest.mark.parametrize(
    ("cpu", "precision"),
    [("avx2", "32-true"), ("avx512_bf16", "bf16-mixed")],
)
def test_the_default_precision_is_said_and_settled_in_the_config_of_the_run(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch, cpu: str, precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {cpu: True})
    assert f"precision: {precision}   seed" in cli("fit", "--config", recipe, "--trainer.max_epochs=1")
    settings = yaml.safe_load((RUN / "config.yaml").read_text())["trainer"]
    assert (settings["accelerator"], settings["precision"], settings["deterministic"]) == ("cpu", precision, True)


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_gradients_of_a_fused_optimizer_are_clipped(cli: Run, recipe: Path, precision: str) -> None:
    fit = ["fit", "--config", recipe, "--optimizer=adam", "--model.optimizer.init_args.fused=true"]
    cli(*fit, f"--precision={precision}", "--trainer.gradient_clip_val=0.1", "--trainer.max_epochs=1")
    assert (RUN / "fit.json").is_file()
