"""Ctrl-C and SIGTERM end a command with 130 and 143, never with a traceback; training handles them more gently."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from fashion_lightning.processes import SIGNALS


@contextlib.contextmanager
def exit_on_signal(to_the_end: bool) -> Iterator[None]:
    """Raise ``SystemExit`` on the first SIGINT or SIGTERM, and end the process at once on a second.

    Args:
        to_the_end: ignore signals that come later, while Python ends. Otherwise the handlers that were there before
            are put back.
    """
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers there only
        yield
        return
    received: list[int] = []

    def leave(signum: int, _: FrameType | None) -> NoReturn:
        if received:
            os._exit(128 + received[0])
        received.append(signum)
        with contextlib.suppress(OSError, RuntimeError, ValueError):  # the signal came in the middle of a print
            print("\nInterrupted.", file=sys.stderr, flush=True)
        raise SystemExit(128 + signum)

    before = {signum: signal.signal(signum, leave) for signum in SIGNALS}
    try:
        yield
    except BaseException:  # a library may have made something else of it
        if received:
            raise SystemExit(128 + received[0]) from None
        raise
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_IGN if to_the_end else handler)
