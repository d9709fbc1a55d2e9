"""Recompute a test report's figures from ``predict``'s table with numpy alone, and compare them to page and JSON.

fashion-lightning test --ckpt_path tensorboard_logs/cnn/version_0
fashion-lightning predict --ckpt_path tensorboard_logs/cnn/version_0
python3 benchmarks/report_figures.py tensorboard_logs/cnn/version_0
"""

import csv
import json
import sys
from pathlib import Path

import numpy as np

BINS = 15


def main(run: Path) -> None:
    """Print the figures of a run folder; an AssertionError names the first that differs."""
    with (run / "predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = list(rows[0])[4:]
    probabilities = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)
    labels = np.array([names.index(row["label"]) for row in rows])
    guesses, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = guesses == labels
    confusion = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(confusion, (labels, guesses), 1)
    ece = 0.0
    for low in np.arange(BINS) / BINS:
        inside = (confidence > low) & (confidence <= low + 1 / BINS)
        ece += abs(right[inside].sum() - confidence[inside].sum()) / len(rows)

    figures = json.loads((run / "test_best.json").read_text(encoding="utf-8"))
    page = (run / "test_best.html").read_text(encoding="utf-8")
    assert abs(figures["accuracy"] - right.mean()) < 1e-6, (figures["accuracy"], right.mean())
    assert figures["confusion"] == confusion.tolist()
    assert abs(figures["ece"] - ece) < 1e-6, (figures["ece"], ece)
    for shown in (f"<strong>{100 * right.mean():.2f} %</strong>", f"ECE {100 * ece:.2f} %"):
        assert shown in page, shown
    print(f"{len(rows):,} images: accuracy {right.mean():.4%}, ECE {ece:.6f}, confusion: equal in page, JSON and table")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
