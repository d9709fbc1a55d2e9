"""Tables on the terminal."""

from collections.abc import Collection, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_table(heading: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[str]) -> None:
    """Print a table; without breaks if the output is not a terminal.

    Args:
        heading: names of the columns.
        rows: their cells.
        left: columns of text; the others are numbers, which are aligned to the right and stay whole.
    """
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, *column in zip(heading, *rows, strict=True):
        is_text = name in left
        width = None if is_text else max(map(len, column), default=0)
        table.add_column(escape(name), justify="left" if is_text else "right", overflow="fold", min_width=width)
    for row in rows:
        table.add_row(*map(escape, row))
    (console if console.is_terminal else Console(width=1000, highlight=False)).print(table)
