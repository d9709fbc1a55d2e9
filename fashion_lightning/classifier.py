"""The LightningModule: loss, metrics and optimizer around any network."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self, cast, get_args

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerConfig, OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus
from torch.optim import Optimizer
from torch.optim import lr_scheduler as torchs
from torch.optim.lr_scheduler import LRScheduler

from fashion_lightning.data.batches import Batch
from fashion_lightning.data.classes import FASHION_MNIST, NO_LIMITS, ImageSpec
from fashion_lightning.data.tta import TTA, suffix, views
from fashion_lightning.errors import UserError
from fashion_lightning.metrics import SCALARS, Evaluation, TrainingMetrics, find_limits, likely, validated_in_epoch
from fashion_lightning.networks.output import check_loss, check_output, last_dense_layer
from fashion_lightning.schedules import RunSchedule, steps_of_run

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[[Optimizer], LRScheduler]

NOT_BY_EPOCHS = (
    *(torchs.OneCycleLR, torchs.CyclicLR, torchs.CosineAnnealingWarmRestarts),
    torchs.ReduceLROnPlateau,  # Lightning steps it after the epoch's checkpoint: a resumed run would lose a step
)
"""torch's schedules that count steps, or follow a metric, instead of counting epochs."""


class FashionMNISTClassifier(LightningModule):
    """Trains and evaluates any network that maps images ``(B, 1, 28, 28)`` to logits ``(B, 10)``.

    ``images`` may set another size and other numbers of channels and classes; shapes below are those of Fashion-MNIST.

    Args:
        network: receives normalized float32 images, ``channels_last`` in memory.
        optimizer: builds the optimizer from the network's parameters; AdamW with torch's defaults if it is missing.
            (jsonargparse would pass the ``lr`` of a default class in the signature on to any other class.)
        scheduler: builds the learning-rate schedule from the optimizer; a constant learning rate if it is missing.
            A ``RunSchedule`` counts optimizer steps and takes its length from the Trainer; torch's schedules count
            epochs. Those that count steps, and ``ReduceLROnPlateau``, are refused.
        loss: the training loss: any module without weights that maps logits ``(B, 10)`` and labels ``(B,)`` to one
            number; the cross-entropy if it is missing. ``train/loss_step`` is this loss (with ``data.photographs``, it
            includes pictures that show no class); ``train/loss`` and the losses of validation and test are always the
            plain cross-entropy.
        label_smoothing: of the cross-entropy in training.
        tta: test-time augmentation in ``validate``, ``test`` and ``predict``: ``flip`` averages the logits of each
            image and its mirror image; ``flip_shift`` adds four shifts of both by a pixel. ``validate`` and ``test``
            report the metrics without it as well; validation within ``fit`` never uses it.
        freeze: train only the last dense layer. All other layers keep their weights and batch-norm statistics.
        images: shape, classes and normalization of the images; Fashion-MNIST's by default. The command line takes it
            from the data.

    Raises:
        UserError: a setting cannot be used, or the network does not map ``(B, 1, 28, 28)`` to ``(B, 10)``.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        loss: nn.Module | None = None,
        label_smoothing: float = 0.0,
        tta: TTA = "none",
        freeze: bool = False,
        images: ImageSpec = FASHION_MNIST,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise UserError(f"model.label_smoothing must be at least 0 and below 1, not {label_smoothing}.")
        if loss is not None and label_smoothing:
            raise UserError(
                f"model.label_smoothing belongs to the cross-entropy, not to model.loss {type(loss).__name__}: add"
                " --model.label_smoothing 0."
            )
        if loss is not None and loss.state_dict():  # a file of the network's weights has no place for them
            raise UserError("model.loss must have no weights: register its buffers with persistent=False.")
        if loss is not None:
            check_loss(loss, len(images.class_names))
        self.loss = loss or nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        self.network = network
        self.make_optimizer = optimizer or torch.optim.AdamW
        self.make_scheduler = scheduler
        self.tta: TTA = tta
        self.images = images
        self.limits = NO_LIMITS  # measured by each validation
        self.example_input_array = torch.zeros(2, *images.shape, dtype=torch.uint8)
        # Lazy layers get their shapes, too.
        check_output(self, self.network, self.example_input_array, len(images.class_names))
        self.network.to(memory_format=torch.channels_last)
        if freeze:
            self.network.requires_grad_(False).eval()
            if (head := last_dense_layer(self.network)) is None:
                raise UserError("--freeze needs a dense layer, and this network has none: leave --freeze out.")
            head.requires_grad_(True).train()

        self.train_metrics = TrainingMetrics()
        self.eval_metrics = nn.ModuleDict({tta: Evaluation() for tta in get_args(TTA)})
        self.evaluations: dict[TTA, dict[str, Tensor]] = {}

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # Lightning's builds any classes that a file names
        cls,
        checkpoint_path: str | Path,
        *,
        network: nn.Module,
        map_location: torch.device | str | None = None,
        strict: bool = True,
        **arguments: Any,
    ) -> Self:
        """Build a classifier with the weights of a checkpoint; use nothing else of the file.

        Args:
            checkpoint_path: a file that any Trainer wrote.
            network: the network that gets the weights.
            map_location: the device to put the classifier on; the CPU by default.
            strict: whether the file must have exactly the network's weights.
            arguments: further arguments of the classifier.

        Returns:
            The classifier in training mode.

        Raises:
            UserError: the file is not a checkpoint, or its weights do not fit the network.
        """
        classifier = cls(network, **arguments)
        try:
            # mmap refuses files that are not zip archives from byte 0, such as a pickle, which could fill the memory.
            content = torch.load(checkpoint_path, map_location="cpu", weights_only=True, mmap=True)
            classifier.load_state_dict(content["state_dict"], strict=strict)
        except Exception as error:  # torch raises many kinds for damaged bytes
            raise UserError(f"{checkpoint_path} cannot be used: {str(error)[:300]}") from error
        return classifier.to(map_location)

    def setup(self, stage: str) -> None:
        """Raise a ``UserError`` if the data's classes are not the network's."""
        data = getattr(self.trainer, "datamodule", None)
        known, given = self.images.class_names, getattr(data, "images", self.images).class_names
        if given != known:
            raise UserError(
                f"The classifier knows the {len(known)} classes {', '.join(known[:3])}, …; the data have {len(given)}:"
                f" {', '.join(given[:3])}, …. Give data with the classifier's classes: your own"
                " pictures with --data.folder, or Fashion-MNIST without it."
            )

    def forward(self, images: Tensor) -> Tensor:
        """Classify raw images.

        Args:
            images: ``(B, 1, 28, 28)`` uint8, or float in [0, 1].

        Returns:
            Logits ``(B, 10)``, float32.
        """
        pixels = images if images.is_floating_point() else images.float() / 255
        moments = enumerate(zip(self.images.mean, self.images.std, strict=True))
        # Slices, not a broadcast tensor: an exported page supports nothing else.
        bands = [(pixels[:, band : band + 1] - mean) / std for band, (mean, std) in moments]
        normalized = torch.cat(bands, dim=1).to(self.dtype)
        logits: Tensor = self.network(normalized.contiguous(memory_format=torch.channels_last))
        return logits.float() if isinstance(logits, Tensor) else logits

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return the loss and, for callbacks, the logits of labelled images; waits for a GPU only in steps that log."""
        shown, count = self(batch.images), len(batch.labels)
        logits, others = shown[:count], shown[count:]
        loss = self.loss(logits, batch.labels)
        if len(others):  # they show no class: add a class "none", whose logit is always 0
            evidence = torch.cat([logits.logsumexp(dim=1), -others.logsumexp(dim=1)])
            loss = (count * loss + softplus(-evidence).sum()) / len(shown)
        plain = cross_entropy(logits.detach(), batch.labels, reduction="sum")  # comparable with val/loss
        self.train_metrics.update(plain, (logits.argmax(dim=1) == batch.labels).sum(), count)
        # A log call takes 0.2 ms, so log only at the last batch of a step that the Trainer logs.
        every, window = self.trainer.log_every_n_steps, self.trainer.accumulate_grad_batches  # type: ignore[attr-defined]
        if every and (self.global_step + 1) % every == 0 and (batch_idx + 1) % window == 0:
            for name, value in self.train_metrics.compute().items():
                self.log(name.removeprefix("train/"), value, prog_bar=True, logger=False)
            # Straight to the logger: values of `self.log` are lost when a signal ends the run at this step.
            lr = self.trainer.optimizers[0].param_groups[0]["lr"]
            for logger in self.loggers:
                logger.log_metrics({"lr": lr, "train/loss_step": loss.item()}, step=self.global_step)
        return {"loss": loss, "logits": logits.detach()}

    def on_train_start(self) -> None:
        """Set the length of the run in its schedule."""
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, RunSchedule):
                config.scheduler.total_steps = steps_of_run(self.trainer)

    def on_train_epoch_start(self) -> None:
        """Reset the training metrics; Lightning does not call this when a run resumes in mid-epoch."""
        self.train_metrics.reset()

    def on_train_epoch_end(self) -> None:
        metrics = self.train_metrics.compute()
        self.log_dict(metrics, logger=False)  # for callbacks that monitor them
        # Logged at once: Lightning would log after the epoch's checkpoint, and a kill in between would lose the values.
        epoch = {} if validated_in_epoch(self.trainer) else {"epoch": self.current_epoch}  # validation logs it
        for logger in self.loggers:
            values = {name: value.item() for name, value in metrics.items()}
            logger.log_metrics({**values, **epoch}, self.global_step - 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        sums = cast(Tensor, self.all_gather(self.train_metrics.sums))
        checkpoint["train_metrics"] = sums.view(-1, 3).cpu()  # one row for each process

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        sums = checkpoint["train_metrics"]
        if self.global_rank < len(sums):  # else fewer processes saved the checkpoint: this one has no row
            self.train_metrics.reset()
            self.train_metrics.update(*sums[self.global_rank])

    def on_validation_epoch_start(self) -> None:
        for metrics in self._evaluated().values():
            metrics.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the logits ``(B, 10)`` without test-time augmentation, for callbacks."""
        evaluated = self._evaluated()
        logits = torch.stack([self(view) for view in views(batch.images, list(evaluated)[-1])])
        for tta, metrics in evaluated.items():
            metrics.update(logits[0] if tta == "none" else logits.mean(dim=0), batch.labels, batch.indices)
        return logits[0]

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("val")
        plain = self.evaluations["none"]
        self.limits = find_limits(plain["logits"], plain["labels"])

    on_test_epoch_start = on_validation_epoch_start
    test_step = validation_step

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test")

    def predict_step(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return indices ``(B,)`` int64, probabilities ``(B, 10)`` float32 and likely classes ``(B, 10)`` bool."""
        logits = self.augmented_logits(batch.images)
        return batch.indices, logits.softmax(dim=1), likely(logits, self.limits)

    def augmented_logits(self, images: Tensor) -> Tensor:
        """Return logits ``(B, 10)`` of images ``(B, 1, 28, 28)``, averaged over the views of ``tta``."""
        return torch.stack([self(view) for view in views(images, self.tta)]).mean(dim=0)

    def _evaluated(self) -> dict[TTA, Evaluation]:
        """Return the metrics to update: without test-time augmentation and, except in ``fit``, with it."""
        tta: TTA = "none" if self.trainer.state.fn == "fit" else self.tta
        return {name: cast(Evaluation, self.eval_metrics[name]) for name in dict.fromkeys(("none", tta))}

    def _log_metrics(self, stage: str) -> None:
        """Log the scalars, and keep all results in ``evaluations`` for reports and plots."""
        self.evaluations = {tta: metrics.results() for tta, metrics in self._evaluated().items()}
        for tta, evaluation in self.evaluations.items():
            for name in ("loss", *SCALARS):
                show = stage == "val" and name != "top5"
                self.log(f"{stage}{suffix(tta)}/{name}", evaluation[name], prog_bar=show)

    def configure_optimizers(self) -> OptimizerConfig | OptimizerLRSchedulerConfig:
        optimizer = self.make_optimizer(self.network.parameters())
        # torch's fused optimizers unscale 16-bit gradients themselves. Lightning then refuses to clip gradients, even
        # if nothing was scaled (amp.py, `clip_gradients`).
        optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]  # noqa: SLF001
        if self.make_scheduler is None:
            return {"optimizer": optimizer}
        scheduler = self.make_scheduler(optimizer)
        if isinstance(scheduler, NOT_BY_EPOCHS):
            raise UserError(
                f"model.scheduler cannot be {type(scheduler).__name__}, one of torch's schedules that do not count"
                " epochs. Use fashion_lightning.schedules.CosineDecay with init_args {warmup: 0.3}: it takes its"
                " length from the run; docs/recipes.md shows how to write your own."
            )
        interval = "step" if isinstance(scheduler, RunSchedule) else "epoch"
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": interval}}
