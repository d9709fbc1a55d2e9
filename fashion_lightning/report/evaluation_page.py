"""The page that ``test`` leaves beside its JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.report.calibration import BINS, FEWEST_IMAGES, HOTTEST, interpolates
from fashion_lightning.report.findings import Findings
from fashion_lightning.report.near_duplicates import LIMIT
from fashion_lightning.report.page import picture, render
from fashion_lightning.runs.checkpoint import Checkpoint
from fashion_lightning.runs.results import recipe_settings
from fashion_lightning.tta import IN_WORDS, TTA

MOST_MISTAKES, FIRST_MISTAKES = 1000, 48
"""That are shown at all, and before one asks for more: they bound the size of the page, and of what is printed."""

MOST_DOUBTED, MOST_PAIRS = 36, 24
"""Labels, and pairs of near-duplicates, that are shown."""

CLASSES_OF_A_MISTAKE = 3

LONGEST_VALUE = 200
"""Characters of a setting: a checkpoint may come from anybody."""


@dataclass(frozen=True)
class Sources:
    """What a page tells besides the findings."""

    checkpoint: Checkpoint
    images: Tensor
    """All test images, ``(N, 1, 28, 28)`` uint8."""
    training: tuple[Tensor, Tensor] | None
    """The images ``(N, 1, 28, 28)`` uint8 and labels ``(N,)`` of the whole training file."""
    problems: Mapping[str, str]
    """Why there is no ``temperature`` or no ``duplicates``, if so."""
    validation_images: int
    fitted: dict[str, Any]
    """Where the run comes from: ``read_origin``."""
    tested: dict[str, Any]
    """The same of this test: ``describe``."""


@dataclass(frozen=True)
class Card:
    """A picture of a test image with what the network says of it."""

    picture: str
    index: int
    truth: str
    guess: str
    probabilities: list[tuple[str, float]]
    """Of the most probable classes, and of the true one."""


def test_page(tta: TTA, findings: Mapping[TTA, Findings], sources: Sources) -> bytes:
    """Make the page about one of the evaluations.

    Args:
        tta: which of them it shows in detail.
        findings: of all; only their accuracies stand side by side.
        sources: what else it tells.
    """
    found = findings[tta]
    cards = _Cards(found, sources.images)
    wrong = (found.predicted != found.evaluation["labels"]).nonzero().flatten()
    confidence = cards.probabilities.max(dim=1).values
    mistakes = wrong[confidence[wrong].argsort(descending=True, stable=True)]
    checkpoint = sources.checkpoint
    return render(
        "test.html",
        title=f"Test report: {checkpoint.name}",
        found=found,
        evaluation_rows=[(IN_WORDS[name].removeprefix(", ") or "as they are", findings[name]) for name in findings],
        tta_in_words=IN_WORDS[tta],
        classes=_class_rows(found),
        class_names=CLASS_NAMES,
        confusion=found.evaluation["confusion"].tolist(),
        of_all=len(sources.images),
        mistakes=cards.of(mistakes[:MOST_MISTAKES]),
        mistakes_in_all=len(mistakes),
        first=FIRST_MISTAKES,
        doubted=cards.of(found.doubted.places[:MOST_DOUBTED], found.doubted.suggested),
        doubted_in_all=len(found.doubted.places),
        pairs=_pairs(found, sources),
        pairs_limit=LIMIT,
        problems=sources.problems,
        validation_images=sources.validation_images,
        at_an_end=found.temperature is not None and not interpolates(found.temperature),
        bins=BINS,
        fewest=FEWEST_IMAGES,
        hottest=HOTTEST,
        checkpoint=checkpoint,
        settings=_shown(recipe_settings(checkpoint.settings)),
        fitted=sources.fitted,
        tested=sources.tested,
    )


def _class_rows(found: Findings) -> list[tuple[str, float, float, float, int]]:
    """Name, precision, recall, F1 and number of images of each class."""
    values = (found.evaluation[name].tolist() for name in ("precision", "recall", "f1"))
    counts = found.evaluation["confusion"].sum(dim=1).tolist()
    return list(zip(CLASS_NAMES, *values, counts, strict=True))


class _Cards:
    def __init__(self, found: Findings, images: Tensor) -> None:
        self.found, self.images = found, images
        self.probabilities = found.evaluation["logits"].softmax(dim=1)

    def of(self, places: Tensor, guesses: Tensor | None = None) -> list[Card]:
        """Of these images; the guess is the most probable class, if it is not another."""
        guesses = self.found.predicted[places] if guesses is None else guesses
        return [self._card(*pair) for pair in zip(places.tolist(), guesses.tolist(), strict=False)]

    def _card(self, place: int, guess: int) -> Card:
        index, truth = (int(self.found.evaluation[name][place]) for name in ("indices", "labels"))
        probabilities = self.probabilities[place]
        order = probabilities.argsort(descending=True).tolist()
        shown = order[:CLASSES_OF_A_MISTAKE]
        shown += [] if truth in shown else [truth]
        rows = [(CLASS_NAMES[cls], probabilities[cls].item()) for cls in shown]
        return Card(picture(self.images[index]), index, CLASS_NAMES[truth], CLASS_NAMES[guess], rows)


@dataclass(frozen=True)
class Pair:
    """A test image and the training image that it nearly is."""

    picture: str
    index: int
    label: str
    near_picture: str
    near_index: int
    near_label: str
    mirrored: bool
    distance: float
    """Grey levels."""


def _pairs(found: Findings, sources: Sources) -> list[Pair]:
    """Some near-duplicates, evenly from the nearest to the farthest."""
    if found.duplicates is None or sources.training is None:
        return []
    images, labels = sources.training
    places = found.duplicates.found.nonzero().flatten()
    places = places[found.duplicates.distance[places].argsort(stable=True)]
    count = min(MOST_PAIRS, len(places))
    pairs = []
    for place in (places[number * (len(places) - 1) // max(1, count - 1)] for number in range(count)):
        index, label = (int(found.evaluation[name][place]) for name in ("indices", "labels"))
        near = int(found.duplicates.nearest[place])
        mirrored = bool(found.duplicates.mirrored[place])
        pairs.append(
            Pair(
                picture(sources.images[index]),
                index,
                CLASS_NAMES[label],
                picture(images[near].flip(-1) if mirrored else images[near]),
                near,
                CLASS_NAMES[int(labels[near])],
                mirrored,
                found.duplicates.distance[place].item(),
            )
        )
    return pairs


def _shown(settings: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """Those that say something, cut where somebody's file goes on for ever."""
    told: Iterable[tuple[str, str]] = ((key, value) for key, value in settings.items() if value not in ("None", ""))
    return [(key[:LONGEST_VALUE], value[:LONGEST_VALUE]) for key, value in told][:LONGEST_VALUE]
