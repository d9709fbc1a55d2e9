"""Images rendered as photographs: different in each step, the same for one seed and any number of processes."""

from pathlib import Path

import pytest
import torch

from fashion_lightning import FashionMNISTDataModule
from fashion_lightning.data.augment import Part
from fashion_lightning.data.renderings import catalogue, render_step
from fashion_lightning.data.seeding import generator
from tests.conftest import RUN, SECOND, Run
from tests.interruption import assert_same_state, interrupt


def drawn(images: torch.Tensor, step: int = 0, part: Part | None = None) -> torch.Tensor:
    return render_step(images, generator(0, step), part or Part(len(images)), 48)[0]


@pytest.fixture
def shirts() -> torch.Tensor:
    images = torch.zeros(18, 1, 28, 28, dtype=torch.uint8)
    images[:, :, 4:26, 8:20] = 180
    images[:, :, 4:10, 2:26] = 200
    return images


def test_a_step_renders_colour_photographs_and_another_step_others(shirts: torch.Tensor) -> None:
    first = drawn(shirts)
    assert (first.shape, first.dtype) == ((18, 3, 48, 48), torch.uint8)
    assert torch.equal(first, drawn(shirts))
    assert len({picture.numpy().tobytes() for picture in torch.cat([first, drawn(shirts, step=1)])}) == 36


def test_processes_share_the_photographs_of_a_step(shirts: torch.Tensor) -> None:
    parts = [drawn(shirts[rank::2], part=Part(18, rank, 2)) for rank in range(2)]
    assert torch.equal(torch.stack(parts, 1).flatten(0, 1), drawn(shirts))


def test_a_catalogue_shows_the_garment_dark_on_white(shirts: torch.Tensor) -> None:
    page = catalogue(shirts, 48)
    assert (page.shape, page[0, 0, 0].min().item(), page[0, 0, 24, 24].item()) == ((18, 3, 48, 48), 255, 75)


def test_validation_photographs_are_the_same_in_every_run(data: Path) -> None:
    runs = [FashionMNISTDataModule(str(data), val_size=20, photographs=32) for _ in range(2)]
    for seed, run in enumerate(runs):
        run.seed = seed
        run.setup("fit")
    assert torch.equal(runs[0].val_set.images, runs[1].val_set.images)


@pytest.mark.slow
def test_the_recipe_trains_tests_and_refuses_tiny_photographs(cli: Run, data: Path) -> None:
    fit = ("fit", "--config", "photographs", "--data.root", data, "--data.batch_size", 20, "--data.val_size", 20)
    small = ("--model.network.init_args.widths", "[8,8,8]", "--trainer.max_epochs", 2)
    printed = cli(*fit, *small, "--data.photographs", 40)
    assert "tensorboard_logs/photographs/version_0" in printed
    assert "accuracy" in cli("test", "--ckpt_path", "photographs", "--data.root", data)
    assert "give 32 to 128 pixels" in cli(*fit, "--data.photographs", 20, exits=2)


@pytest.mark.slow
def test_an_interrupted_run_goes_on_with_the_same_photographs_bit_by_bit(cli: Run, recipe: Path) -> None:
    fit = ("fit", "--config", recipe, "--data.photographs", 32)
    cli(*fit)
    cli(*fit, *interrupt("train", 1, 3), exits=130)
    cli("fit", "--ckpt_path", SECOND, "--trainer.callbacks", "null")
    assert_same_state(RUN, SECOND)
