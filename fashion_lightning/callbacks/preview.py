"""``predict --preview``: pictures beside what the network saw of them, as one PNG."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from fashion_lightning.callbacks.plots.drawing import SIZE, font
from fashion_lightning.callbacks.predictions import PredictionsCSV, ready_to_write, write_output
from fashion_lightning.data.classes import CLASS_NAMES, DOUBTFUL
from fashion_lightning.errors import UserError, one_line
from fashion_lightning.photographs.files import opened
from fashion_lightning.photographs.prepare import prepare

SHOWN = 60
"""Pictures in a preview: 20 rows, that it opens in any viewer."""

COLUMNS = 3
SIDE = 168
"""Pixels of a picture's longer edge, and six times the 28 of what the network saw."""

GAP = 14


def preview_path(given: str, has_pictures: bool) -> Path:
    """The file that ``--preview`` names, looked at before anything is predicted.

    Raises:
        UserError: it is no PNG, or cannot be written; or there are no pictures of the user's own.
    """
    path = Path(given)
    if not has_pictures:
        raise UserError("--preview shows your own pictures; name them after --images.")
    if path.suffix.lower() != ".png":
        raise UserError(f"--preview {given} must end in .png.")
    return ready_to_write("--preview", given)


def write_preview(path: Path, writer: PredictionsCSV) -> str:
    """Draw the first ``SHOWN`` pictures, each read anew, and say what was written."""
    files = writer.datamodule.picture_paths
    rows = sorted(writer.rows.items())[:SHOWN]
    cells = [_cell(files[index], list(map(float, row[-len(CLASS_NAMES) :]))) for index, row in rows]
    file = io.BytesIO()
    _in_columns(cells).save(file, "PNG")
    write_output(path, file.getvalue())
    which = f"The first {SHOWN} of {len(writer.rows):,} pictures" if len(writer.rows) > SHOWN else "The pictures"
    return f"{which} and what the network saw of them: {path}"


def _cell(path: Path, probabilities: Sequence[float]) -> Image.Image:
    """A picture with a frame around the garment that was found, what the network saw, and what it said."""
    with opened(path) as picture:
        picture = ImageOps.exif_transpose(picture)
        prepared = prepare(picture)
        scale = SIDE / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        # Grey shows where it is transparent.
        small = Image.alpha_composite(Image.new("RGBA", size, "#bbb"), picture.convert("RGBA").resize(size))
    ImageDraw.Draw(small).rectangle([side * scale for side in prepared.box], outline="#e8590c", width=2)
    probability = max(probabilities)
    said = f"{CLASS_NAMES[probabilities.index(probability)]} {100 * probability:.1f} %"
    cell = Image.new("RGB", (2 * SIDE + GAP, SIDE + 2 * (SIZE + 7)), "white")
    cell.paste(small, (0, 0))
    cell.paste(Image.fromarray(prepared.pixels).resize((SIDE, SIDE), Image.Resampling.NEAREST), (SIDE + GAP, 0))
    draw = ImageDraw.Draw(cell)
    draw.text((0, SIDE + 3), f"{said}, doubtful" if probability < DOUBTFUL else said, "black", font())
    draw.text((0, SIDE + SIZE + 8), _shortened(one_line(path.name), cell.width), "#666", font(SIZE - 4))
    return cell


def _shortened(name: str, width: int) -> str:
    """A file name of which the middle is left out where it is wider than so many pixels."""
    kept = len(name)
    shown = name
    while font(SIZE - 4).getlength(shown) > width:
        kept -= 1
        shown = f"{name[: (kept + 1) // 2]}…{name[len(name) - kept // 2 :]}"
    return shown


def _in_columns(cells: Sequence[Image.Image]) -> Image.Image:
    columns = min(COLUMNS, len(cells))
    wide, high = cells[0].width + 2 * GAP, cells[0].height + GAP
    sheet = Image.new("RGB", (columns * wide, -(-len(cells) // columns) * high + GAP), "white")
    for index, cell in enumerate(cells):
        sheet.paste(cell, (index % columns * wide + GAP, index // columns * high + GAP))
    return sheet
