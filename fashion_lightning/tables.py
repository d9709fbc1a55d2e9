"""Print tables on the terminal."""

from collections.abc import Collection, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_table(heading: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[str]) -> None:
    """Print a table, without line breaks in cells if the output is not a terminal.

    Args:
        heading: names of the columns.
        rows: their cells.
        left: names of text columns; the others hold numbers, which are aligned to the right and never broken.
    """
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in heading:
        is_text = name in left
        table.add_column(escape(name), justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text)
    for row in rows:
        table.add_row(*map(escape, row))
    (console if console.is_terminal else Console(width=1000, highlight=False)).print(table)
