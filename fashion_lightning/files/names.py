"""Check names that become folders."""

from fashion_lightning.errors import UserError

MAX_BYTES = 200  # in UTF-8; file systems take 255


def check_name(name: object, of_what: str) -> str:
    """Return a name if a folder can have it: one path component of printable characters.

    Args:
        name: any value.
        of_what: what the name is for, as the error says it.

    Raises:
        UserError: a folder cannot have this name.
    """
    if (
        isinstance(name, str)
        and name.isprintable()  # no line feed, escape or lone surrogate
        and 0 < len(name.encode()) <= MAX_BYTES
        and name == name.strip()
        and not name.startswith((".", "-"))
        and not set(name) & set("/\\")
    ):
        return name
    raise UserError(
        f"{of_what} cannot be called {str(name)[:40]!r}, because run folders get this name. Use at most {MAX_BYTES}"
        " bytes of printable characters, without / or \\, not beginning with a dot or a dash."
    )
