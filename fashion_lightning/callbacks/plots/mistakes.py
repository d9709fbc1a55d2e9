"""What the network is surest of and wrong about."""

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from fashion_lightning.callbacks.plots.drawing import tiles
from fashion_lightning.callbacks.plots.picture import Picture, images_of
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.classes import CLASS_NAMES

COLUMNS = 4


class Mistakes(Picture):
    """Draws the validation images whose wrong class got the highest probability, with
    truth → guess and that probability.

    Args:
        count: how many at most.
    """

    def __init__(self, count: int = 8) -> None:
        self.count = count

    def draw(
        self, writer: SummaryWriter, model: FashionMNISTClassifier, evaluation: dict[str, Tensor], step: int
    ) -> None:
        probability, guess = evaluation["logits"].softmax(dim=1).max(dim=1)
        labels = evaluation["labels"]
        wrong = (guess != labels).nonzero()[:, 0]
        worst = wrong[probability[wrong].argsort(descending=True, stable=True)[: self.count]]
        images = images_of(model.trainer, evaluation["indices"][worst])
        if images is None or not len(images):
            return
        captions = [
            f"{CLASS_NAMES[labels[place]]}\n→ {CLASS_NAMES[guess[place]]} {100 * probability[place]:.0f} %"
            for place in worst.tolist()
        ]
        shown = [*zip(images[:, 0].numpy(), captions, strict=True)]
        picture = tiles([shown[first : first + COLUMNS] for first in range(0, len(shown), COLUMNS)])
        writer.add_image("pictures/most confident mistakes", picture, step, dataformats="HWC")
