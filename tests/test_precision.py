"""bf16 where the hardware has it, float32 elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from fashion_lightning.precision import bf16_is_native, default_precision
from tests.conftest import Run


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    bf16_is_native.cache_clear()
    yield
    bf16_is_native.cache_clear()


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, "bf16-mixed"), ({"amx_bf16": True}, "bf16-mixed"), ({"avx2": True}, "32-true")],
)
def test_the_cpu_decides_the_default(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: str
) -> None:
    with monkeypatch.context() as machine:
        machine.setattr(torch.cuda, "is_available", lambda: False)
        machine.setattr(torch.backends.mps, "is_available", lambda: False)
        machine.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
        assert default_precision() == expected


def test_without_bf16_arithmetic_a_fit_says_what_it_falls_back_to(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    printed = cli("fit", "--config", recipe)
    assert "precision: 32-true (no bf16 arithmetic on this machine)" in printed


def test_the_device_that_is_trained_on_decides_not_the_best_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as machine:
        machine.setattr(torch.cuda, "is_available", lambda: True)
        machine.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
        machine.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
        assert default_precision() == default_precision("gpu") == default_precision("cuda") == "bf16-mixed"
        assert default_precision("cpu") == "32-true"


def test_the_default_precision_is_settled_in_the_config_of_the_run(
    cli: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    printed = cli("fit", "--config", recipe, "--trainer.max_epochs=1")
    assert "precision: bf16-mixed   seed" in printed
    settings = yaml.safe_load(Path("tensorboard_logs/tiny/version_0/config.yaml").read_text())["trainer"]
    assert (settings["accelerator"], settings["precision"], settings["deterministic"]) == ("cpu", "bf16-mixed", True)
