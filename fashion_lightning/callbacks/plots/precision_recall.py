"""TensorBoard's own precision-recall curves."""

from torch.utils.tensorboard import SummaryWriter

from fashion_lightning.callbacks.plots.plot import Evaluation, Plot
from fashion_lightning.classifier import FashionMNISTClassifier
from fashion_lightning.data.classes import CLASS_NAMES


class PrecisionRecall(Plot):
    """Logs the curve of each class against all others over the validation images, for the PR Curves tab."""

    def write(self, writer: SummaryWriter, model: FashionMNISTClassifier, evaluation: Evaluation, step: int) -> None:
        probabilities, labels = evaluation["logits"].softmax(dim=1).numpy(), evaluation["labels"].numpy()
        for number, name in enumerate(CLASS_NAMES):
            tag = f"precision and recall/{name.replace('/', ' or ')}"  # a slash would make a group of it
            writer.add_pr_curve(tag, labels == number, probabilities[:, number], step)
