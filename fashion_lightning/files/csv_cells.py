"""Text in CSV cells that a spreadsheet must not run.

Excel and others take a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, which can start programs and
send data elsewhere; names of files and recipes may come from anybody
(https://owasp.org/www-community/attacks/CSV_Injection).
"""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Also the white space that is skipped before a formula, and the full-width forms of its signs."""


def harmless(text: str) -> str:
    """The text of a CSV cell, after an apostrophe if a spreadsheet would take it for a formula.

    For names only: a negative number would get the apostrophe as well.
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
