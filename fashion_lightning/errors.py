"""Define the error that the command line prints as one line, and make messages safe to print."""

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

LONGEST = 1500  # characters of an error line: about a screen


class UserError(Exception):
    """An error that the user can fix; the message says what is wrong and what to do.

    The command line prints it without a traceback and exits with 2.

    Args:
        message: becomes one line that is safe to print, whatever it quotes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(message: str) -> str:
    """Make a message one line, without control characters, and shorten it: it may quote a stranger's file."""
    line = " ".join(message.split())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST * 2 // 3]} … {line[-LONGEST // 3 :]}"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, its cause, the cause's cause and so on, each once: a chain may be circular."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__


def os_error_behind(error: BaseException | None) -> OSError | None:
    """Return the ``OSError`` that caused an error; torch and Lightning wrap it in their own."""
    return next((cause for cause in causes(error) if isinstance(cause, OSError)), None)


NOT_THE_USERS = {"fashion_lightning", *sys.stdlib_module_names} - {"__main__"}
"""Modules that are not a user's own code; neither are those in ``site-packages``."""


def place_in_own_code(error: BaseException) -> str:
    """Return the innermost place in the user's own code, as `` (/path/network.py, line 12)``; empty if none."""
    for cause in causes(error):
        for frame, line in reversed(list(traceback.walk_tb(cause.__traceback__))):
            file, module = Path(frame.f_code.co_filename), str(frame.f_globals.get("__name__", ""))
            is_installed = "site-packages" in file.parts or module.partition(".")[0] in NOT_THE_USERS
            if not is_installed and file.is_file():
                return f" ({file}, line {line})"
    return ""
