"""The mistakes of which the network is most confident."""

from matplotlib.figure import Figure

from fashion_lightning.callbacks.plots.plot import Evaluation, Plot, images_of, tiles
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.classes import CLASS_NAMES

COUNT, COLUMNS = 8, 4


class Mistakes(Plot):
    """Shows the validation images whose wrong class has the highest probability: truth, guess and probability."""

    name = "most confident mistakes"

    def draw(self, model: FashionMNISTClassifier, evaluation: Evaluation) -> Figure | None:
        probability, guess = evaluation["logits"].softmax(dim=1).max(dim=1)
        labels = evaluation["labels"]
        wrong = (guess != labels).nonzero()[:, 0]
        worst = wrong[probability[wrong].argsort(descending=True, stable=True)[:COUNT]]
        images = images_of(model.trainer, evaluation["indices"][worst])
        if images is None or not len(images):
            return None
        captions = [
            f"{CLASS_NAMES[labels[place]]}\n→ {CLASS_NAMES[guess[place]]} {100 * probability[place]:.0f} %"
            for place in worst.tolist()
        ]
        return tiles(images[:, 0].numpy(), captions, COLUMNS)
