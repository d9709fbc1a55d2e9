"""``predict --preview``: show photographs beside the images that the network saw, in one PNG."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fashion_lightning.data.classes import DOUBTFUL, Answer, ImageSpec, in_words
from fashion_lightning.errors import one_line
from fashion_lightning.files.durable import write_output
from fashion_lightning.files.pictures import opened, upright
from fashion_lightning.photographs.prepare import prepare

SHOWN = 60
"""Number of photographs in a preview: 20 rows, which any viewer can open."""

COLUMNS = 3

LONGEST_EDGE = 340
"""Pixels of a photograph's longer edge in the preview."""

LONGEST_NAME = 44
"""Of a longer file name, only this many characters at its end are shown."""


def write_preview(path: Path, photographs: Sequence[Path], answers: Sequence[Answer], images: ImageSpec) -> str:
    """Draw the first ``SHOWN`` photographs, reading each again, and return a line that names the file."""
    shown = list(zip(photographs, answers, strict=False))[:SHOWN]
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.6 * rows), layout="constrained")
    cells = figure.subplots(rows, 2 * columns, squeeze=False).flatten()
    for axes in cells:
        axes.set_axis_off()
    for left, right, (file, (row, classes)) in zip(cells[::2], cells[1::2], shown, strict=False):
        with opened(file) as picture:
            prepared = prepare(picture, images)
            small = upright(picture)
        small.thumbnail((LONGEST_EDGE, LONGEST_EDGE))
        left.imshow(small)
        x0, y0, x1, y1 = np.array(prepared.box) * (2 * small.size)
        left.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="#e8590c", linewidth=1.5))
        right.imshow(prepared.pixels, cmap="gray", vmin=0, vmax=255)
        doubt = ", doubtful" if max(row) < DOUBTFUL else ""
        said = f"{images.class_names[row.index(max(row))]} {100 * max(row):.1f} %{doubt}"
        title = f"{said}; likely: {in_words(classes)}\n{one_line(file.name)[-LONGEST_NAME:]}"
        left.set_title(title, fontsize=9, loc="left", parse_math=False).set_in_layout(False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_output(path, content.getvalue())
    which = f"The first {SHOWN} of {len(photographs):,} pictures" if len(photographs) > SHOWN else "The pictures"
    return f"{which} and what the network saw of them: {path}"
