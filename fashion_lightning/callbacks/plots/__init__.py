"""What TensorBoard shows of a run beyond its curves: a callback for each plot. Read plot.py first."""

from lightning import Callback

from fashion_lightning.callbacks.plots.evaluation import ConfusionMatrix, Mistakes, PrecisionRecall, Reliability
from fashion_lightning.callbacks.plots.network import Embedding, Filters
from fashion_lightning.callbacks.plots.training_images import TrainingImages


def pictures() -> list[Callback]:
    """Return every plot, for a run that draws them."""
    plots = (TrainingImages, ConfusionMatrix, Mistakes, PrecisionRecall, Reliability, Filters, Embedding)
    return [plot() for plot in plots]
