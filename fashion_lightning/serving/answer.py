"""What the endpoint says, as OpenAPI describes it."""

import base64
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from fashion_lightning.data.classes import CLASS_NAMES
from fashion_lightning.data.photographs import Background, Box, Prepared

EXAMPLE: dict[str, Any] = {
    "class": "Sneaker",
    "probabilities": {name: 0.91 if name == "Sneaker" else 0.01 for name in CLASS_NAMES},
    "background": "light",
    "box": [212.0, 340.5, 2816.0, 1733.0],
    "image": "iVBORw0KGgo…",
}


class Answer(BaseModel):
    """What a picture shows, and what the network saw of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: str = Field(alias="class", description="The most probable of the ten classes.")
    probabilities: dict[str, float] = Field(description="Of each class by its name; they add up to 1.")
    background: Background = Field(
        description="What was found behind the garment. `none`: nothing even was found, and the whole picture was taken"
        " for the garment; `already prepared`: 28x28 and grey, like the images of the data set."
    )
    box: Box = Field(
        description="The garment: left, top, right and bottom, in pixels of the picture as it is seen, turned as its"
        " EXIF orientation says."
    )
    image: str = Field(description="What the network saw: 28x28 pixels, bright on black, as a PNG file in base64.")


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str = Field(description="What is wrong, in one line.", examples=["This is no picture."])


def answer(prepared: Prepared, probabilities: Sequence[float]) -> Answer:
    """What is said of a prepared picture and its ten probabilities."""
    file = io.BytesIO()
    Image.fromarray(prepared.pixels).save(file, format="png")
    by_name = dict(zip(CLASS_NAMES, probabilities, strict=True))
    return Answer(
        **{"class": max(by_name, key=by_name.__getitem__)},
        probabilities=by_name,
        background=prepared.background,
        box=prepared.box,
        image=base64.b64encode(file.getvalue()).decode(),
    )
