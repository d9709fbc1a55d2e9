"""Names that become folders."""

from fashion_lightning.errors import UserError

MAX_BYTES = 200  # in UTF-8; file systems take 255


def check_name(name: object, of_what: str) -> str:
    """Return a recipe's name if it can be a folder's: one path component of printable characters.

    Args:
        name: the name, wherever it comes from.
        of_what: to name in the error.

    Raises:
        UserError: it cannot be.
    """
    if (
        isinstance(name, str)
        and name.isprintable()  # no line feed, no escape, no half of a character
        and 0 < len(name.encode()) <= MAX_BYTES
        and name == name.strip()
        and not name.startswith((".", "-"))
        and not set(name) & set("/\\")
    ):
        return name
    raise UserError(
        f"{of_what} cannot be called {str(name)[:40]!r}, since run folders get its name: at most {MAX_BYTES} bytes of"
        " printable characters, without / or \\, not beginning with a dot or a dash."
    )
