"""``fashion-lightning compare``: recipes side by side, as a table, a picture of their curves, and a page."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from fashion_lightning.errors import UserError
from fashion_lightning.report.comparison_table import compare, csv_text, markdown, print_table, runs_csv
from fashion_lightning.runs.results import find_runs

FILES = ("comparison.md", "comparison.csv", "runs.csv", "curves.png", "comparison.html")
"""What ``--output`` writes: the table twice, the metrics of each run, the learning curves, and a page of all."""


def run(given: Namespace, _: Sequence[str]) -> None:
    """Compare runs.

    Raises:
        UserError: none of the folders holds results.
    """
    comparison = compare(find_runs(given.runs))
    print_table(comparison)
    if not comparison.groups:
        raise UserError("None of these folders holds the results of a run. Train one first: fashion-lightning fit")
    if given.output is None:
        print("As Markdown, CSV, a picture of the curves and a page: add --output FOLDER")
        return
    from fashion_lightning.report.comparison_curves import draw  # matplotlib takes a second to load
    from fashion_lightning.report.comparison_page import comparison_page

    folder = Path(given.output)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(FILES, (markdown(comparison), csv_text(comparison), runs_csv(comparison))):
        (folder / name).write_text(text, encoding="utf-8")
    for note in draw(comparison.groups, folder / FILES[3]):
        print(f"note: {note}")
    (folder / FILES[4]).write_bytes(comparison_page(comparison, folder / FILES[3]))
    print(f"Written to {folder}: {', '.join(FILES)}")
