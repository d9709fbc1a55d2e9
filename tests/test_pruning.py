"""Each epoch leaves out some of the images that were easy when they were last shown."""

from pathlib import Path

import pytest
import torch

from fashion_lightning import FashionMNISTClassifier, FashionMNISTDataModule
from fashion_lightning.callbacks.pruning import PruneEasyImages
from fashion_lightning.data.pruning import ImageLosses, Pruned
from fashion_lightning.errors import UserError
from fashion_lightning.networks import MLP
from tests.conftest import Run, quiet_trainer

INDICES = torch.arange(1000) * 2  # every other image of the files is one to train on


def losses_of(values: torch.Tensor) -> ImageLosses:
    losses = ImageLosses(2000)
    losses.losses[INDICES] = values
    return losses


def epoch(sampler: Pruned, number: int) -> list[int]:
    sampler.set_epoch(number)
    return sorted(torch.cat(list(sampler)).tolist())


def test_all_hard_images_are_shown_and_of_the_easy_ones_a_random_part() -> None:
    hard = set(range(300))
    losses = losses_of(torch.where(torch.arange(1000) < 300, 2.0, 0.1))
    sampler = Pruned(INDICES, 0.4, losses, batch_size=100, seed=0)
    first, second = (set(epoch(sampler, number)) for number in (0, 1))
    assert len(first) == len(second) == 100 * len(sampler) == 600
    assert hard <= first & second
    assert first != second


def test_images_that_were_never_shown_count_as_the_hardest() -> None:
    losses = ImageLosses(2000)
    sampler = Pruned(INDICES, 0.4, losses, batch_size=100, seed=0)
    shown: set[int] = set()
    for number in range(3):
        now = epoch(sampler, number)
        assert len(set(now) - shown) >= min(300, 1000 - len(shown))
        shown |= set(now)
        losses.record(INDICES[now], torch.zeros(600, 10), torch.zeros(600, dtype=torch.int64))
    assert len(shown) == 1000


def test_a_recorded_loss_is_the_cross_entropy() -> None:
    losses = ImageLosses(4)
    losses.record(torch.tensor([2, 0]), torch.tensor([[0.0, 0.0], [3.0, 0.0]]), torch.tensor([1, 0]))
    assert losses.start_epoch().tolist() == pytest.approx([0.04859, torch.inf, 0.69315, torch.inf], abs=1e-5)


def test_an_epoch_goes_on_by_the_losses_at_its_start() -> None:
    losses = losses_of(torch.rand(1000, generator=torch.Generator().manual_seed(0)))
    sampler = Pruned(INDICES, 0.4, losses, batch_size=100, seed=0)
    sampler.set_epoch(3)
    batches = [batch.tolist() for batch in sampler]
    shown = torch.tensor(batches[:4]).flatten()
    losses.record(INDICES[shown], torch.randn(400, 10), torch.zeros(400, dtype=torch.int64))
    restored = ImageLosses(2000)
    restored.load_state_dict(losses.state_dict())
    continued = Pruned(INDICES, 0.4, restored, batch_size=100, seed=0)
    continued.start_at(epoch=3, first_batch=4)
    assert [batch.tolist() for batch in continued] == batches[4:]
    assert epoch(sampler, 4) == epoch(continued, 4)


def test_a_fit_shows_so_many_images_an_epoch_and_keeps_their_losses_also_where_it_is_the_second(data: Path) -> None:
    pruning = PruneEasyImages()
    classifier = FashionMNISTClassifier(MLP(hidden=[]))
    datamodule = FashionMNISTDataModule(str(data), val_size=100, batch_size=50, prune=0.6)
    for _ in range(2):
        fit = quiet_trainer(max_epochs=3, callbacks=[pruning])
        fit.fit(classifier, datamodule)
        assert fit.global_step == 3 * 4  # of 500 images 200, in batches of 50
        assert pruning.state_dict()["losses"].isfinite().sum() == 500  # in three epochs every image was shown


def test_a_trainer_without_the_callback_is_refused(data: Path) -> None:
    datamodule = FashionMNISTDataModule(str(data), val_size=100, prune=0.4)
    with pytest.raises(UserError, match=r"data\.prune needs the callback fashion_lightning\.callbacks\.pruning"):
        quiet_trainer(max_epochs=3).fit(FashionMNISTClassifier(MLP(hidden=[])), datamodule)


def test_within_an_epoch_the_share_cannot_change(cli: Run, recipe: Path) -> None:
    cli("fit", "--config", recipe, "--trainer.max_steps", "3", "--data.prune", "0.4")
    printed = cli("fit", "--ckpt_path", "tiny", "--trainer.max_steps", "9", "--data.prune", "0.2", exits=2)
    assert "--data.prune cannot change from 0.4 to 0.2" in printed
