"""Make the page that ``test`` writes beside its JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from fashion_lightning.data.tta import IN_WORDS, TTA
from fashion_lightning.metrics import BINS, FEWEST_IMAGES, HOTTEST, is_at_an_end
from fashion_lightning.report.findings import LIMIT, Findings, balanced_accuracy
from fashion_lightning.report.page import png, render
from fashion_lightning.runs.checkpoint import Checkpoint
from fashion_lightning.runs.results import recipe_settings

MOST_MISTAKES, FIRST_MISTAKES = 1000, 48
"""Limits for the mistakes on the page, and for those that it shows unfolded; they bound its size, also in print."""

CLASSES_OF_A_CARD = 3


def test_page(
    tta: TTA,
    findings: Mapping[TTA, Findings],
    checkpoint: Checkpoint,
    images: Tensor,
    class_names: Sequence[str],
    **told: object,
) -> bytes:
    """Return the page of one evaluation as HTML.

    Args:
        tta: the evaluation to show in detail.
        findings: of all evaluations; the page compares their accuracies.
        checkpoint: the checkpoint that was tested.
        images: all test images, ``(N, channels, size, size)`` uint8.
        class_names: in the order of the labels.
        told: ``no_temperature``: the reason if no temperature could be fitted; ``validation_images``: their number;
            ``fitted``: the run's origin, from ``read_origin``; ``tested``: the origin of this test, from ``describe``.
    """
    found = findings[tta]
    confidence = found.evaluation["logits"].softmax(dim=1).max(dim=1).values
    wrong = (found.predicted != found.evaluation["labels"]).nonzero().flatten()
    mistakes = wrong[confidence[wrong].argsort(descending=True, stable=True)]
    metrics = (found.evaluation[name].tolist() for name in ("precision", "recall", "f1"))
    confusion = found.evaluation["confusion"].tolist()
    return render(
        "test.html",
        title=f"Test report: {checkpoint.name}",
        found=found,
        evaluation_rows=[(IN_WORDS[name].removeprefix(", ") or "as they are", findings[name]) for name in findings],
        tta_in_words=IN_WORDS[tta],
        classes=list(zip(class_names, *metrics, map(sum, confusion), strict=True)),
        class_names=class_names,
        balanced=balanced_accuracy(found.evaluation),
        confusion=confusion,
        mistakes=_cards(found, images, class_names, mistakes[:MOST_MISTAKES]),
        mistakes_in_all=len(mistakes),
        first=FIRST_MISTAKES,
        duplicates_limit=LIMIT,
        at_an_end=found.temperature is not None and is_at_an_end(found.temperature),
        bins=BINS,
        fewest=FEWEST_IMAGES,
        hottest=HOTTEST,
        test_images=len(images),
        checkpoint=checkpoint,
        settings=[pair for pair in recipe_settings(checkpoint.settings).items() if pair[1] not in ("None", "")],
        **told,
    )


def _cards(found: Findings, images: Tensor, class_names: Sequence[str], places: Tensor) -> list[dict[str, Any]]:
    """Return test images as pictures, each with label, prediction and the probabilities of a few classes."""
    cards = []
    for place in places.tolist():
        index, truth = (int(found.evaluation[name][place]) for name in ("indices", "labels"))
        probabilities = found.evaluation["logits"][place].softmax(dim=0)
        shown = probabilities.argsort(descending=True).tolist()[:CLASSES_OF_A_CARD]
        shown += [] if truth in shown else [truth]
        cards.append(
            {
                "picture": png(images[index].movedim(0, -1).squeeze(-1).numpy()),
                "index": index,
                "truth": class_names[truth],
                "guess": class_names[shown[0]],
                "probabilities": [(class_names[cls], probabilities[cls].item()) for cls in shown],
            }
        )
    return cards
