"""The web application: a page, and an endpoint for the page and for programs."""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from fashion_lightning.data.batches import channels_first
from fashion_lightning.data.classes import (
    COVERAGE,
    DOUBTFUL,
    FASHION_MNIST,
    WHAT_IT_CANNOT_KNOW,
)
from fashion_lightning.errors import UserError
from fashion_lightning.files.pictures import TooManyPixels, UnknownFormat
from fashion_lightning.inference import TrainedClassifier
from fashion_lightning.photographs.prepare import Box
from fashion_lightning.report.page import png, render
from fashion_lightning.serving import decoding
from fashion_lightning.serving.intake import Intake, Limits
from fashion_lightning.version import __version__


class Answer(BaseModel):
    """The class of a picture, and the image that the network saw."""

    name: str = Field(alias="class", description="The most probable of the classes.")
    probabilities: dict[str, float] = Field(description="Of each class by its name; they add up to 1.")
    doubtful: bool = Field(
        description=f"Whether that class has a probability below {DOUBTFUL:g}: half of such Fashion-MNIST validation"
        " images are classified wrongly."
    )
    likely: list[str] = Field(
        description="The likely classes, the most probable first; none if the picture looks like no class. They include"
        f" the true class of about {COVERAGE:.0%} of the validation images."
    )
    box: Box = Field(
        description="The part of the picture that the network saw: left, top, right and bottom, as fractions of the"
        " width and height after its EXIF orientation. It may reach beyond the picture."
    )
    image: str = Field(description="The image that the network saw: a PNG file in base64.")


class Problem(BaseModel):
    """The reason for an answer without a class."""

    detail: str = Field(description="What is wrong, in one line.", examples=["This is not a picture."])


FRAME = "The part for the network to see, like `box` in the answer: `0.1,0.2,0.6,0.7`. By default, the server finds it."


def frame_of(box: str) -> Box | None:
    """Parse the frame of a request; ``None`` if it has none.

    Raises:
        UserError: it is not a box, or its area is more than 16 times that of the picture, which bounds the memory.
    """
    if not box:
        return None
    with contextlib.suppress(ValueError):
        left, top, right, bottom = map(float, box.split(","))
        if -99 <= left < right <= 100 and -99 <= top < bottom <= 100 and (right - left) * (bottom - top) <= 16:
            return left, top, right, bottom
    raise UserError(
        "The box must be left, top, right and bottom as fractions of the picture, such as 0.1,0.2,0.6,0.7, with at most"
        " 16 times its area."
    )


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "Nothing was sent."},
    408: {"model": Problem, "description": "The picture came too slowly."},
    413: {"model": Problem, "description": "The picture has too many bytes or pixels, or takes too long to decode."},
    415: {"model": Problem, "description": "It is not a picture in one of the formats that are read."},
    421: {"model": Problem, "description": "This server does not go by this host name."},
    422: {"model": Problem, "description": "The file is damaged, or the box is wrong."},
    503: {"model": Problem, "description": "Too many pictures at the same time; try again."},
}

BODY = {
    "description": f"The bytes of one file: {', '.join(decoding.SERVED_FORMATS)}, by its content.",
    "required": True,
    "content": {
        kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/*", "application/octet-stream")
    },
}


def create_app(
    classifier: TrainedClassifier, model: str, limits: Limits | None = None, host: str = "localhost"
) -> FastAPI:
    """Build the application for one classifier.

    Args:
        classifier: in evaluation mode; its test-time augmentation is used.
        model: its name on the page: recipe, run and so on.
        limits: ``None`` for the defaults.
        host: a name that requests may use for this server, besides its addresses and ``localhost``.
    """
    limits = limits or Limits()
    intake = Intake(limits)
    decoders, network = ThreadPoolExecutor(limits.decoders), ThreadPoolExecutor(1)

    async def check_host(request: Request) -> None:
        """Refuse other host names: a stranger's page could point its own name at this machine (DNS rebinding)."""
        with contextlib.suppress(ValueError):
            name = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
            if name in ("localhost", host.lower()) or ipaddress.ip_address(name):
                return
        raise HTTPException(421, "Use this server's address, or the name that --host gave it.")

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with decoders, network:
            yield

    app = FastAPI(
        title="fashion-lightning",
        version=__version__,
        description=f"Says which of {len(classifier.images.class_names)} classes a picture shows.",
        docs_url=None,  # FastAPI's pages load scripts from other hosts
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(check_host)],
    )
    images = classifier.images
    html = render(
        "serve.html",
        model=model,
        version=__version__,
        cannot_know=WHAT_IT_CANNOT_KNOW,
        images=images,
        garments=images == FASHION_MNIST,
        formats=decoding.SERVED_FORMATS,
        megabytes=limits.bytes / 1e6,
        style=render("serve.css").decode(),
        script=render("serve.js").decode(),
    )

    @app.get("/", response_class=HTMLResponse, summary="The page", include_in_schema=False)
    async def show_page() -> HTMLResponse:
        return HTMLResponse(html)

    @app.post("/classify", summary="Classify a picture", responses=PROBLEMS, openapi_extra={"requestBody": BODY})
    async def classify(request: Request, box: Annotated[str, Query(description=FRAME)] = "") -> Answer:
        """Prepare a picture like the classifier's training images, and classify it.

        The picture may have any size, colours and orientation within the bounds; send photographs unchanged.
        """
        loop = asyncio.get_running_loop()
        async with intake.picture(request) as file:
            try:
                prepared = await loop.run_in_executor(
                    decoders, decoding.prepared, file.getvalue(), limits, images, frame_of(box)
                )
            except UserError as error:
                status = {UnknownFormat: 415, TooManyPixels: 413}.get(type(error), 422)
                raise HTTPException(status, str(error)) from error
            pixels = channels_first([prepared.pixels])
            found = await loop.run_in_executor(network, classifier.classify, pixels)
        probabilities = dict(zip(found.class_names, found.probabilities[0].tolist(), strict=True))
        return Answer(
            **{"class": found.names[0]},
            probabilities=probabilities,
            doubtful=max(probabilities.values()) < DOUBTFUL,
            likely=found.likely[0],
            box=prepared.box,
            image=png(prepared.pixels).partition(",")[2],
        )

    return app
