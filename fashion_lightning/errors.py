"""The one exception that the command line turns into one line, and what that line may hold."""

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

LONGEST = 1500  # characters of an error line: about a screen


class UserError(Exception):
    """Something the user can put right; the message says what is wrong and what to do.

    The command line prints it without a traceback and exits with 2.

    Args:
        message: becomes one line that a terminal can show, whatever it quotes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(message: str) -> str:
    """Make a message one line, without control characters and endless text that a file may have slipped into it."""
    line = " ".join(message.split())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST * 2 // 3]} … {line[-LONGEST // 3 :]}"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, then the one that it came from, and so on: each once, for a chain may lead back to its start."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__


def os_error_behind(error: BaseException | None) -> OSError | None:
    """Return the system's error that another one came from: torch and Lightning hide it behind their own."""
    return next((cause for cause in causes(error) if isinstance(cause, OSError)), None)


NOT_THE_USERS = {"fashion_lightning", *sys.stdlib_module_names} - {"__main__"}
"""Packages in which a fault of a user's own code may come to light, beside those that pip installs."""


def place_in_own_code(error: BaseException) -> str:
    """Return `` (networks.py, line 12)``: where an error left the user's own code; empty if it never did."""
    for cause in causes(error):
        for frame, line in reversed(list(traceback.walk_tb(cause.__traceback__))):
            file, module = Path(frame.f_code.co_filename), str(frame.f_globals.get("__name__", ""))
            is_installed = "site-packages" in file.parts or module.partition(".")[0] in NOT_THE_USERS
            if not is_installed and file.is_file():
                return f" ({file}, line {line})"
    return ""
