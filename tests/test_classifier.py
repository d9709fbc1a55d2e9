"""The classifier around any network."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fashion_lightning import CNN, FashionMNISTClassifier, FashionMNISTDataModule, classify
from fashion_lightning.callbacks.exact_resume import ReseedEachStep
from fashion_lightning.callbacks.pruning import PruneEasyImages
from fashion_lightning.callbacks.stopping import StopWhenNotFinite
from fashion_lightning.callbacks.throughput import Throughput
from fashion_lightning.data.classes import PIXEL_MEAN, PIXEL_STD
from fashion_lightning.data.tta import views
from fashion_lightning.errors import UserError
from fashion_lightning.optimizers import Muon
from fashion_lightning.schedules import LinearDecay
from tests.conftest import quiet_trainer
from tests.networks import Linear

IMAGES = torch.randint(0, 256, (6, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Spy(Linear):
    """Remembers what it was given."""

    def forward(self, images: Tensor) -> Tensor:
        self.given = images
        return super().forward(images)  # type: ignore[no-untyped-call,no-any-return]


def tiny(**settings: object) -> FashionMNISTClassifier:
    return FashionMNISTClassifier(CNN(stem=4, widths=(4, 4, 8)), **settings)  # type: ignore[arg-type]


def test_the_network_receives_normalized_images() -> None:
    spy = Spy()
    classifier = FashionMNISTClassifier(spy)
    logits = classifier(IMAGES)
    assert logits.shape == (6, 10)
    assert torch.allclose(spy.given, (IMAGES / 255 - PIXEL_MEAN) / PIXEL_STD)
    assert torch.allclose(classifier(IMAGES / 255), logits)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 7)), r"must return logits of shape \(B, 10\), .* not \(B, 7\)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(3, 10)), r"cannot take images of shape \(B, 1, 28, 28\)"),
        (nn.Identity(), r"not \(B, 1, 28, 28\)"),
    ],
)
def test_a_network_of_the_wrong_shape_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(UserError, match=message):
        FashionMNISTClassifier(network)


def test_building_a_classifier_keeps_the_training_flags_of_each_part_also_where_it_fails() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout().eval(), nn.Linear(784, 7))
    with pytest.raises(UserError):
        FashionMNISTClassifier(network)
    assert [module.training for module in network] == [True, False, True]


class Waits(TorchFunctionMode):
    """Counts what would wait for a GPU: reading a number, asking for a truth value, moving to the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__"):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


class CountWaits(Callback):
    """Watches the steps that do not log, from before the forward pass to after the last callback."""

    def __init__(self) -> None:
        self.waits, self.steps = Waits(), 0

    def on_train_batch_start(self, trainer: Trainer, *_: object) -> None:
        if (trainer.global_step + 1) % 5:
            self.waits.__enter__()  # type: ignore[no-untyped-call]

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        if trainer.global_step % 5:
            self.waits.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            self.steps += 1


def test_only_steps_that_log_wait_for_a_gpu(data: Path) -> None:
    count = CountWaits()
    others = [ReseedEachStep(), StopWhenNotFinite(), PruneEasyImages(), Throughput()]
    fit = quiet_trainer(max_epochs=1, log_every_n_steps=5, callbacks=[*others, count])
    datamodule = FashionMNISTDataModule(str(data), val_size=100, batch_size=50, flip="random", shift=1, prune=0.1)
    fit.fit(tiny(optimizer=Muon, scheduler=LinearDecay), datamodule)
    assert count.steps == 8
    assert count.waits.found == []


def test_building_a_classifier_gives_lazy_layers_their_shapes_and_leaves_batch_norm_untouched() -> None:
    lazy = FashionMNISTClassifier(nn.Sequential(nn.LazyConv2d(3, 3), nn.Flatten(), nn.LazyLinear(10)))
    assert lazy(IMAGES).shape == (6, 10)
    network = CNN(stem=4, widths=(4, 4, 8))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    FashionMNISTClassifier(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class LastStep(Callback):
    """Remembers the last training step."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batch, self.outputs = batch, outputs


def test_losses_and_smoothing_change_the_training_loss_and_no_metric(data: Path) -> None:
    measured, trained_by = set(), set()
    for settings in ({}, {"label_smoothing": 0.5}, {"loss": nn.MultiMarginLoss()}):
        torch.manual_seed(0)
        classifier = tiny(**settings)
        datamodule = FashionMNISTDataModule(str(data), val_size=100, batch_size=50)
        step = LastStep()
        fit = quiet_trainer(max_epochs=1, limit_train_batches=1, callbacks=[step])
        val = fit.validate(classifier, datamodule, verbose=False)[0]["val/loss"]
        fit.fit(classifier, datamodule)
        measured.add((val, float(fit.callback_metrics["train/loss"])))
        trained_by.add(float(step.outputs["loss"]))
    assert (len(measured), len(trained_by)) == (1, 3)


def test_pictures_without_a_garment_lower_all_logits_and_count_in_no_figure(data: Path) -> None:
    datamodule = FashionMNISTDataModule(str(data), batch_size=25, val_size=20, photographs=32)
    network, loss, step = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32**2, 10)), nn.MultiMarginLoss(), LastStep()
    classifier = FashionMNISTClassifier(network, partial(torch.optim.SGD, lr=0.0), loss=loss, images=datamodule.images)
    fit = quiet_trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0, callbacks=[step])
    fit.fit(classifier, datamodule)
    shown, labels, indices = step.batch
    logits = classifier(shown)
    assert (len(logits), len(labels), len(indices)) == (25, 22, 22)
    assert torch.equal(step.outputs["logits"], logits[:22])
    garment = logits.logsumexp(dim=1).sigmoid()  # P(garment): its logits against a logit of 0 for "none"
    right = torch.cat([garment[:22], 1 - garment[22:]])
    expected = (22 * loss(logits[:22], labels) - right.log().sum()) / 25
    torch.testing.assert_close(step.outputs["loss"], expected)
    assert fit.callback_metrics["train/accuracy"] == (logits[:22].argmax(dim=1) == labels).float().mean()


@pytest.mark.slow
def test_torchs_own_schedules_go_by_epochs(data: Path) -> None:
    def halve(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)

    classifier = tiny(scheduler=halve, optimizer=lambda params: torch.optim.SGD(params, lr=0.8))
    fit = quiet_trainer(max_epochs=3)
    fit.fit(classifier, FashionMNISTDataModule(str(data), val_size=100))
    assert fit.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("schedule", "arguments"),
    [
        ("OneCycleLR", {"max_lr": 0.1, "total_steps": 99}),
        ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "cycle_momentum": False}),
        ("CosineAnnealingWarmRestarts", {"T_0": 10}),
        ("ReduceLROnPlateau", {}),
    ],
)
def test_torchs_schedules_that_do_not_go_by_epochs_are_refused(schedule: str, arguments: dict[str, Any]) -> None:
    def build(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return getattr(torch.optim.lr_scheduler, schedule)(optimizer, **arguments)  # type: ignore[no-any-return]

    with pytest.raises(UserError, match=rf"cannot be {schedule}, .* Use fashion_lightning\.schedules\.CosineDecay"):
        tiny(scheduler=build).configure_optimizers()


def test_flip_averaging_makes_mirror_images_equal() -> None:
    classifier = tiny(tta="flip").eval()
    with torch.no_grad():
        assert torch.allclose(classifier.augmented_logits(IMAGES), classifier.augmented_logits(IMAGES.flip(-1)))
        assert not torch.allclose(classifier(IMAGES), classifier(IMAGES.flip(-1)))


def test_classify_takes_any_number_of_images() -> None:
    classifier = tiny()
    many = IMAGES.repeat(50, 1, 1, 1)  # 300, more than it classifies at once
    names, probabilities = classify(classifier, many)
    assert names == classify(classifier, IMAGES)[0] * 50
    assert torch.allclose(probabilities, classify(classifier, IMAGES)[1].repeat(50, 1), atol=1e-5)
    assert classify(classifier, IMAGES[:0])[1].shape == (0, 10)
    assert classifier.training


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_every_precision_trains(data: Path, precision: str) -> None:
    classifier = tiny()
    before = {name: value.clone() for name, value in classifier.network.named_parameters() if value.requires_grad}
    fit = quiet_trainer(max_epochs=1, limit_train_batches=2, precision=precision)
    fit.fit(classifier, FashionMNISTDataModule(str(data), val_size=100))
    for name, value in classifier.network.named_parameters():
        assert value.dtype == {"64-true": torch.float64, "bf16-true": torch.bfloat16}[precision]
        assert value.isfinite().all()
        assert name not in before or not torch.equal(value.float(), before[name]), f"{name} was not trained"


@pytest.mark.slow
def test_the_same_objects_can_be_fitted_twice_and_tested(data: Path) -> None:
    classifier, datamodule = tiny(), FashionMNISTDataModule(str(data), val_size=100)
    for _ in range(2):
        fit = quiet_trainer(max_epochs=1)
        fit.fit(classifier, datamodule)
        assert classifier.train_metrics.sums[2] == 500  # of one epoch: nothing is left of the first
        fit.test(classifier, datamodule, verbose=False)
        assert classifier.evaluations["none"]["confusion"].sum() == 100


IMAGE = torch.arange(28 * 28).view(1, 1, 28, 28) % 251


def test_without_augmentation_there_is_the_image_alone() -> None:
    (view,) = views(IMAGE, "none")
    assert torch.equal(view, IMAGE)


def test_flip_shift_adds_both_moved_by_a_pixel_in_four_directions() -> None:
    image, mirrored, *moved = views(IMAGE, "flip_shift")
    assert torch.equal(image, IMAGE)
    assert torch.equal(mirrored, IMAGE.flip(-1))
    up, _, down, _, left, _, right, right_mirrored = moved
    assert torch.equal(up[..., :-1, :], IMAGE[..., 1:, :])
    assert torch.equal(down[..., 1:, :], IMAGE[..., :-1, :])
    assert torch.equal(left[..., :-1], IMAGE[..., 1:])
    assert torch.equal(right[..., 1:], IMAGE[..., :-1])
    assert torch.equal(right_mirrored, right.flip(-1))
    assert not any(edge.any() for edge in (up[..., -1, :], down[..., 0, :], left[..., -1], right[..., 0]))
