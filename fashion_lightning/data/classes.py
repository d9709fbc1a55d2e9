"""The names of the ten classes, and when one is doubtful, for whoever needs them without the data."""

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""The ten classes in the order of their labels, 0 … 9."""

DOUBTFUL = 0.5
"""A class whose probability is lower is called doubtful: the others together are then more probable than it.

Chosen on the 5,000 validation images: 3.7 % of them are below by the recipe cnn and 5.0 % by quick, and of those 50 %
and 52 % are classified correctly; of all, 94.3 and 93.3 %.
"""
