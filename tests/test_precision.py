"""bf16 where the hardware has it, float32 elsewhere."""

from collections.abc import Iterator

import pytest
import torch

from fashion_lightning.precision import bf16_is_native, default_precision


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
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert default_precision() == expected
