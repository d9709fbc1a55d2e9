"""What a run looks like in TensorBoard beyond its curves: a callback for each kind of picture.

Each draws what the classifier's last validation has kept in ``evaluations``. None draws random numbers, and none
changes anything of the training.
"""

from lightning import Callback

from fashion_lightning.callbacks.plots.confusion import ConfusionMatrix
from fashion_lightning.callbacks.plots.embedding import Embedding
from fashion_lightning.callbacks.plots.filters import Filters
from fashion_lightning.callbacks.plots.mistakes import Mistakes
from fashion_lightning.callbacks.plots.precision_recall import PrecisionRecall
from fashion_lightning.callbacks.plots.reliability import Reliability
from fashion_lightning.callbacks.plots.training_images import TrainingImages


def pictures() -> list[Callback]:
    """Every picture, for a run that is to have them all."""
    return [
        TrainingImages(),
        ConfusionMatrix(),
        Mistakes(),
        PrecisionRecall(),
        Reliability(),
        Filters(),
        Embedding(),
    ]
