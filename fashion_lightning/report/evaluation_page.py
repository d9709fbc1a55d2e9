"""The page that ``test`` leaves beside its JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fashion_lightning.calibration import BINS, FEWEST_IMAGES, HOTTEST, is_at_an_end
from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.report.findings import LIMIT, Findings
from fashion_lightning.report.page import picture, render
from fashion_lightning.runs.checkpoint import Checkpoint
from fashion_lightning.runs.results import recipe_settings
from fashion_lightning.tta import IN_WORDS, TTA

MOST_MISTAKES, FIRST_MISTAKES = 1000, 48
"""Mistakes that are shown at all, and before one asks for more: they bound the size of the page and of its print."""

MOST_DOUBTED, MOST_PAIRS = 36, 24
"""Labels, and pairs of near-duplicates, that are shown."""

CLASSES_OF_A_CARD = 3

LONGEST_VALUE = 200
"""Characters of a setting: a checkpoint may come from anybody."""


@dataclass(frozen=True)
class Sources:
    """What a page tells besides the findings."""

    checkpoint: Checkpoint
    images: Tensor
    """All test images, ``(N, 1, 28, 28)`` uint8."""
    training: tuple[Tensor, Tensor] | None
    """Images ``(N, 1, 28, 28)`` uint8 and labels ``(N,)`` of the training file, for the near-duplicates."""
    no_temperature: str
    """Why none could be fitted, if so."""
    validation_images: int
    fitted: dict[str, Any]
    """Where the run comes from, by ``read_origin``."""
    tested: dict[str, Any]
    """Where the figures of this test come from, by ``describe``."""


def test_page(tta: TTA, findings: Mapping[TTA, Findings], sources: Sources) -> bytes:
    """Make the page about one of the evaluations.

    Args:
        tta: which of them it shows in detail.
        findings: of all evaluations; their accuracies stand side by side.
        sources: what else it tells.
    """
    found = findings[tta]
    confidence = found.evaluation["logits"].softmax(dim=1).max(dim=1).values
    wrong = (found.predicted != found.evaluation["labels"]).nonzero().flatten()
    mistakes = wrong[confidence[wrong].argsort(descending=True, stable=True)]
    doubted, suggested = found.doubted
    metrics = (found.evaluation[name].tolist() for name in ("precision", "recall", "f1"))
    confusion = found.evaluation["confusion"].tolist()
    return render(
        "test.html",
        title=f"Test report: {sources.checkpoint.name}",
        found=found,
        evaluation_rows=[(IN_WORDS[name].removeprefix(", ") or "as they are", findings[name]) for name in findings],
        tta_in_words=IN_WORDS[tta],
        classes=list(zip(CLASS_NAMES, *metrics, map(sum, confusion), strict=True)),
        class_names=CLASS_NAMES,
        confusion=confusion,
        mistakes=_cards(found, sources.images, mistakes[:MOST_MISTAKES], found.predicted[mistakes]),
        mistakes_in_all=len(mistakes),
        first=FIRST_MISTAKES,
        doubted=_cards(found, sources.images, doubted[:MOST_DOUBTED], suggested),
        doubted_in_all=len(doubted),
        pairs=_pairs(found, sources.images, *sources.training) if sources.training else [],
        pairs_limit=LIMIT,
        at_an_end=found.temperature is not None and is_at_an_end(found.temperature),
        bins=BINS,
        fewest=FEWEST_IMAGES,
        hottest=HOTTEST,
        sources=sources,
        checkpoint=sources.checkpoint,
        settings=_shown(recipe_settings(sources.checkpoint.settings)),
    )


def _cards(found: Findings, images: Tensor, places: Tensor, guesses: Tensor) -> list[dict[str, Any]]:
    """Return pictures of test images, each with label, guess and the probabilities of a few classes."""
    cards = []
    for place, guess in zip(places.tolist(), guesses.tolist(), strict=False):
        index, truth = (int(found.evaluation[name][place]) for name in ("indices", "labels"))
        probabilities = found.evaluation["logits"][place].softmax(dim=0)
        shown = probabilities.argsort(descending=True).tolist()[:CLASSES_OF_A_CARD]
        shown += [] if truth in shown else [truth]
        rows = [(CLASS_NAMES[cls], probabilities[cls].item()) for cls in shown]
        named = {"truth": CLASS_NAMES[truth], "guess": CLASS_NAMES[guess]}
        cards.append({"picture": picture(images[index, 0].numpy()), "index": index, "probabilities": rows, **named})
    return cards


def _pairs(found: Findings, images: Tensor, training: Tensor, labels: Tensor) -> list[dict[str, Any]]:
    """Return some near-duplicates, evenly from the nearest to the farthest."""
    in_order = sorted((found.duplicates or {}).items(), key=lambda pair: pair[1].distance)
    truths = dict(zip(found.evaluation["indices"].tolist(), found.evaluation["labels"].tolist(), strict=True))
    count = min(MOST_PAIRS, len(in_order))
    pairs = []
    for number in range(count):
        index, near = in_order[number * (len(in_order) - 1) // max(1, count - 1)]
        image = training[near.nearest, 0].flip(-1) if near.mirrored else training[near.nearest, 0]
        pairs.append(
            {
                "picture": picture(images[index, 0].numpy()),
                "index": index,
                "label": CLASS_NAMES[truths[index]],
                "near": near,
                "near_picture": picture(image.numpy()),
                "near_label": CLASS_NAMES[int(labels[near.nearest])],
            }
        )
    return pairs


def _shown(settings: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the settings that say something, within bounds."""
    told = [(key[:LONGEST_VALUE], value[:LONGEST_VALUE]) for key, value in settings.items()]
    return [(key, value) for key, value in told if value not in ("None", "")][:LONGEST_VALUE]
