"""A comparison as text: on the terminal, as Markdown, LaTeX, CSV and JSON."""

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
"""What LaTeX would take for a command, and signs that not every font has."""


def print_comparison(comparison: Comparison) -> None:
    """Print the recipes, and the differences of several."""
    for table in (rows(comparison), difference_rows(differences(comparison.groups))):
        if table[1:]:
            print_table(table[0], table[1:], left=("recipe", "notes", "against", "metric"))


def as_text(comparison: Comparison, form: str) -> str:
    """Return a comparison as ``markdown`` or ``latex``, with all tables, or as ``csv`` or ``json`` of all runs."""
    groups = comparison.groups
    if form == "csv":
        return csv_text(run_records(groups))
    if form == "json":
        return json.dumps({"runs": run_records(groups), "differences": differences(groups)}, indent=2) + "\n"
    write = latex if form == "latex" else markdown
    tables = (rows(comparison), difference_rows(differences(groups)), class_rows(groups))
    return "\n".join(write(table) for table in tables if table[1:])


def markdown(table: Rows) -> str:
    """Return a table for a README."""
    rule = ["---" if number == 0 else "---:" for number in range(len(table[0]))]
    return "".join(f"| {' | '.join(map(_markdown_cell, row))} |\n" for row in [table[0], rule, *table[1:]])


def _markdown_cell(text: str) -> str:
    """Escape a name: a bar would begin the next cell, a line break end the table."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def latex(table: Rows) -> str:
    """Return a table for a paper, which needs the package booktabs."""
    heading, *lines = (" & ".join(cell.translate(LATEX) for cell in row) + r" \\" for row in table)
    begin = rf"\begin{{tabular}}{{l{'r' * (len(table[0]) - 1)}}}"
    return "\n".join([begin, r"\toprule", heading, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}", ""])


def csv_text(records: Sequence[dict[str, Any]]) -> str:
    """Return records as CSV; text that a spreadsheet would run is made harmless."""
    content = io.StringIO()
    writer = csv.DictWriter(content, records[0] if records else (), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({key: harmless(cell) if isinstance(cell, str) else cell for key, cell in record.items()})
    return content.getvalue()
