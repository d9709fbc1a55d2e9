"""The web application: a page, and the endpoint that it and any program asks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse

from fashion_lightning.errors import UserError
from fashion_lightning.inference import TrainedClassifier
from fashion_lightning.photographs.files import FORMATS, TooManyPixels, UnknownFormat
from fashion_lightning.serving.answer import Answer, Problem, answer, look
from fashion_lightning.serving.batches import Batches
from fashion_lightning.serving.intake import Intake
from fashion_lightning.serving.limits import PREPARING, Limits
from fashion_lightning.serving.middleware import AnsweredEarly, WithHeaders
from fashion_lightning.serving.page import page, policy
from fashion_lightning.version import __version__

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

PROBLEMS = {
    400: "Nothing was sent.",
    408: "The picture came too slowly.",
    413: "The picture has too many bytes or pixels.",
    415: "It is sent as something else than a picture, or is in no format that is read.",
    422: "The file is damaged.",
    503: "Too many pictures at the same time; try again.",
}

BODY = {
    "description": f"The bytes of one file: {', '.join(FORMATS)}, by its content.",
    "required": True,
    "content": {
        kind: {"schema": {"type": "string", "format": "binary"}} for kind in ("image/*", "application/octet-stream")
    },
}


def create_app(classifier: TrainedClassifier, model: str, limits: Limits | None = None) -> FastAPI:
    """Build the application for one classifier.

    Args:
        classifier: in evaluation mode; its test-time augmentation counts.
        model: its name on the page: recipe, run and so on.
        limits: the default ones if not given.
    """
    limits = limits or Limits()
    intake = Intake(limits)
    batches = Batches(lambda images: classifier.classify(images)[1], limits.batch)
    preparing = ThreadPoolExecutor(PREPARING, "prepare")

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with preparing:
            async with batches.running():
                yield

    app = FastAPI(
        title="fashion-lightning",
        version=__version__,
        description=f"Names the garment in a picture: one of the ten classes of Fashion-MNIST. {model}.",
        docs_url=None,  # their pages load scripts from other hosts
        redoc_url=None,
        lifespan=lifespan,
    )
    html = page(model, limits)
    app.add_middleware(WithHeaders, headers={**HEADERS, "Content-Security-Policy": policy()})
    app.add_middleware(AnsweredEarly)

    @app.get("/", response_class=HTMLResponse, summary="The page", include_in_schema=False)
    async def show_page() -> HTMLResponse:
        return HTMLResponse(html)

    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": description} for status, description in PROBLEMS.items()
    }

    @app.post("/classify", summary="Classify a picture", responses=responses, openapi_extra={"requestBody": BODY})
    async def classify(request: Request) -> Answer:
        """Finds the garment in a picture, prepares it as the images of Fashion-MNIST were made, and names it.

        The picture may be of any size, colour and orientation within the bounds; photographs come as they are.
        """
        async with intake.picture(request) as file:
            try:
                prepared, box = await asyncio.get_running_loop().run_in_executor(preparing, look, file, limits.pixels)
            except UserError as error:
                status = {UnknownFormat: 415, TooManyPixels: 413}.get(type(error), 422)
                raise HTTPException(status, str(error)) from error
            return answer(prepared, box, await batches.classify(prepared.pixels))

    return app
