"""A fixed amount of training in plain torch: the yardstick of the speed run, on two CPU cores or one GPU.

    python benchmarks/yardstick.py

Trains a network of three convolutions on noise for 40 steps with SGD and batches of 500: 8.9e11 floating-point
operations in fp32 and as many in bf16, or in fp32 again on a CPU without bf16 instructions. Needs only torch, and no
data. Never change what it times: entries of different days must stay comparable.
"""

import time

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

STEPS, BATCH = 40, 500


def seconds(device: torch.device, precision: torch.dtype) -> float:
    """Return the seconds of ``STEPS`` training steps, after two for warming up."""
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(128 * 49, 10)),
    ).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    images, labels = torch.randn(BATCH, 1, 28, 28, device=device), torch.randint(10, (BATCH,), device=device)

    def step() -> None:
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            loss = cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    step()
    with FlopCounterMode(display=False) as counter:
        step()
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    took = time.perf_counter() - began
    flop = counter.get_total_flops() * STEPS
    print(f"{str(precision).removeprefix('torch.')}: {took:.2f} s, {flop:.3g} FLOP, {flop / took / 1e9:.0f} GFLOP/s")
    return took


if __name__ == "__main__":
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    processor = torch.cpu.get_capabilities()
    bf16_is_native = device.type == "cuda" or any(processor.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    second = torch.bfloat16 if bf16_is_native else torch.float32
    print(f"yardstick: {seconds(device, torch.float32) + seconds(device, second):.2f} s")
