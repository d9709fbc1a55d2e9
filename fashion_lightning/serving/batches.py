"""Pictures of several requests in one pass of the network."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from torch import Tensor

from fashion_lightning.data.batches import channels_first
from fashion_lightning.photographs.prepare import Pixels


class Batches:
    """Collects the pictures that come while the network is at work, and hands them over as one batch.

    Nobody waits for a batch to fill: a picture that comes alone is classified at once.

    Args:
        classify: images ``(B, channels, H, W)`` uint8 → an answer for each; called in a thread, one call at a time.
        largest: pictures in a batch.
    """

    def __init__(self, classify: Callable[[Tensor], list[Any]], largest: int) -> None:
        self.classify_all = classify
        self.largest = largest
        self.waiting: asyncio.Queue[tuple[Pixels, asyncio.Future[Any]]] = asyncio.Queue()

    async def classify(self, pixels: Pixels) -> Any:
        """Return the answer to a picture ``(H, W)`` or ``(H, W, 3)`` uint8."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiting.put_nowait((pixels, answer))
        return await answer

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Classify batches until the block ends."""
        with ThreadPoolExecutor(1, "network") as thread:
            task = asyncio.create_task(self._run(thread))
            try:
                yield
            finally:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def _run(self, thread: ThreadPoolExecutor) -> None:
        while True:
            batch = [await self.waiting.get()]
            while len(batch) < self.largest and not self.waiting.empty():
                batch.append(self.waiting.get_nowait())
            try:
                images = channels_first([pixels for pixels, _ in batch])
                found = await asyncio.get_running_loop().run_in_executor(thread, self.classify_all, images)
                for (_, answer), row in zip(batch, found, strict=True):
                    if not answer.done():  # a request that was given up
                        answer.set_result(row)
            except Exception as error:  # whatever a network of the user's raises: each request fails with it
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
