"""Recipes side by side as a page: differences with their error."""

import json
import shutil
import subprocess
import sys
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import pytest

from fashion_lightning.report.intervals import difference, student95
from tests.conftest import Run
from tests.test_report import text_of


def test_students_t_is_that_of_the_tables() -> None:
    """Of the two-sided 5 % column that every textbook prints."""
    for freedom, t in ((1, 12.706), (2, 4.303), (4, 2.776), (10, 2.228), (30, 2.042)):
        assert student95(freedom) == pytest.approx(t, abs=5e-4)
    assert student95(1e5) == pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-3)


def test_one_seed_has_no_interval_and_equal_values_have_an_empty_one() -> None:
    assert difference([0.9], [0.8, 0.7])[1] is None
    assert difference([0.5, 0.5], [0.25, 0.25])[1] == (0.25, 0.25)


def runs_of(trained: Path, recipe: str, accuracies: list[float]) -> None:
    """Copies of a finished run under another name, one a seed."""
    for seed, accuracy in enumerate(accuracies):
        run = Path("tensorboard_logs", "copies", f"version_{len(list(Path('tensorboard_logs').rglob('fit.json')))}")
        shutil.copytree(trained, run)
        fit = json.loads((run / "fit.json").read_text())
        fit["recipe"], fit["seed"], fit["best"]["val/accuracy"] = recipe, seed, accuracy
        (run / "fit.json").write_text(json.dumps(fit))


@pytest.mark.slow
def test_the_page_holds_table_curves_and_differences(cli: Run, trained: Path) -> None:
    cli("test", "--ckpt_path", trained)
    runs_of(trained, "first", [0.80, 0.82, 0.84])
    runs_of(trained, "<b>second</b>", [0.90, 0.92, 0.94])
    printed = cli("compare", "copies", "--output", "report")
    assert "curves.png, comparison.html" in printed
    text = text_of(Path("report/comparison.html"))
    assert "82.00 ± 2.00" in text
    assert "Against first , in percentage points" in text
    half = 2.776445 * sqrt(2 * 2.0**2 / 3)
    assert f"<b>second</b> validation +10.00 +{10 - half:.2f} to +{10 + half:.2f} 3 and 3" in text
    assert "the choice of the 100 test images" in text
    page = Path("report/comparison.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 1
    assert "<b>second" not in page


def test_one_recipe_has_a_page_without_differences(cli: Run, trained: Path) -> None:
    cli("compare", trained, "--output", "report")
    assert "There are no two recipes with results in the same metric." in text_of(Path("report/comparison.html"))


def test_the_page_is_made_without_torch() -> None:
    code = "import sys, fashion_lightning.report.comparison_page; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
