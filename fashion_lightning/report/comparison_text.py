"""Write a comparison as text: for the terminal, as Markdown, LaTeX, CSV and JSON."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from fashion_lightning.files.csv_cells import harmless
from fashion_lightning.report.comparison_table import (
    Comparison,
    Rows,
    class_rows,
    difference_rows,
    differences,
    rows,
    run_records,
)
from fashion_lightning.tables import print_table

LATEX = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"±": r"$\pm$", "−": "$-$", "–": "--"},
    }
)
"""Escapes characters that are commands in LaTeX, and signs that some fonts lack."""


def print_comparison(comparison: Comparison) -> None:
    """Print the table of recipes and, if there are several, their differences."""
    for table in (rows(comparison), difference_rows(differences(comparison.groups))):
        if table[1:]:
            print_table(table[0], table[1:], left=("recipe", "notes", "against", "metric"))


def as_text(comparison: Comparison, form: str) -> str:
    """Return a comparison's tables as ``markdown`` or ``latex``, or the results of all runs as ``csv`` or ``json``."""
    groups = comparison.groups
    if form == "csv":
        return csv_text(run_records(groups))
    if form == "json":
        return json.dumps({"runs": run_records(groups), "differences": differences(groups)}, indent=2) + "\n"
    tables = (rows(comparison), difference_rows(differences(groups)), class_rows(groups))
    return "\n".join({"latex": latex, "markdown": markdown}[form](table) for table in tables if table[1:])


def markdown(table: Rows) -> str:
    """Return a table in Markdown."""
    rule = ["---" if number == 0 else "---:" for number in range(len(table[0]))]
    return "".join(f"| {' | '.join(map(_markdown_cell, row))} |\n" for row in [table[0], rule, *table[1:]])


def _markdown_cell(text: str) -> str:
    """Escape a cell: a bar would begin the next cell, and a line break would end the table."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def latex(table: Rows) -> str:
    """Return a table in LaTeX, which needs the package booktabs."""
    heading, *lines = (" & ".join(cell.translate(LATEX) for cell in row) + r" \\" for row in table)
    begin = rf"\begin{{tabular}}{{l{'r' * (len(table[0]) - 1)}}}"
    return "\n".join([begin, r"\toprule", heading, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}", ""])


def csv_text(records: Sequence[dict[str, Any]]) -> str:
    """Return records as CSV, with an apostrophe before text that a spreadsheet would run."""
    content = io.StringIO()
    writer = csv.DictWriter(content, records[0] if records else (), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({key: harmless(cell) if isinstance(cell, str) else cell for key, cell in record.items()})
    return content.getvalue()
