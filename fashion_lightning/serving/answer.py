"""The endpoint's answer about a picture, as OpenAPI describes it."""

import base64
import io
from collections.abc import Sequence
from typing import Any, BinaryIO

from PIL import ExifTags, Image
from pydantic import BaseModel, ConfigDict, Field

from fashion_lightning.data.classes import CLASS_NAMES, DOUBTFUL
from fashion_lightning.photographs.files import opened
from fashion_lightning.photographs.prepare import Background, Box, Prepared, prepare

EXAMPLE: dict[str, Any] = {
    "class": "Sneaker",
    "probabilities": {name: 0.91 if name == "Sneaker" else 0.01 for name in CLASS_NAMES},
    "doubtful": False,
    "background": "light",
    "box": [0.07, 0.16, 0.93, 0.81],
    "image": "iVBORw0KGgo…",
}


class Answer(BaseModel):
    """The class of a picture, and the image that the network saw."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: str = Field(alias="class", description="The most probable of the ten classes.")
    probabilities: dict[str, float] = Field(description="Of each class by its name; they add up to 1.")
    doubtful: bool = Field(
        description=f"Whether that class has a probability below {DOUBTFUL:g}: of validation images, half of these are"
        " classified wrongly."
    )
    background: Background = Field(
        description="What was found behind the garment. `none`: nothing even was found, and the whole picture was taken"
        " for the garment; `already prepared`: 28x28 and grey, like the images of the data set."
    )
    box: Box = Field(
        description="The garment: left, top, right and bottom, as shares of the picture's width and height as it is"
        " seen, turned as its EXIF orientation says."
    )
    image: str = Field(description="What the network saw: 28x28 pixels, bright on black, as a PNG file in base64.")


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str = Field(description="What is wrong, in one line.", examples=["This is no picture."])


def look(file: BinaryIO, max_pixels: int) -> tuple[Prepared, Box]:
    """Prepare an image file; return it and the garment's box as shares of the picture's width and height.

    Raises:
        UserError: it cannot be read, or has too many pixels.
    """
    with opened(file, "The picture", max_pixels) as picture:
        width, height = picture.size
        if picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5:  # to be turned by 90 degrees
            width, height = height, width
        prepared = prepare(picture)
    left, top, right, bottom = prepared.box
    return prepared, (left / width, top / height, right / width, bottom / height)


def answer(prepared: Prepared, box: Box, probabilities: Sequence[float]) -> Answer:
    """Build the answer from a prepared picture and its ten probabilities."""
    file = io.BytesIO()
    Image.fromarray(prepared.pixels).save(file, format="png")
    by_name = dict(zip(CLASS_NAMES, probabilities, strict=True))
    return Answer(
        **{"class": max(by_name, key=by_name.__getitem__)},
        probabilities=by_name,
        doubtful=max(probabilities) < DOUBTFUL,
        background=prepared.background,
        box=box,
        image=base64.b64encode(file.getvalue()).decode(),
    )
