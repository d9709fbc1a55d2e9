"""Escape text in CSV cells, so that no spreadsheet runs it.

Excel and others run a cell that begins with ``=``, ``+``, ``-`` or ``@`` as a formula, which can start programs and
send data elsewhere. File and recipe names may come from strangers
(https://owasp.org/www-community/attacks/CSV_Injection).
"""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Includes tabs and line ends, which spreadsheets skip before a formula, and the full-width forms of the signs."""


def harmless(text: str) -> str:
    """Return a cell's text, with an apostrophe in front if a spreadsheet would run it as a formula.

    For names only: a negative number would get the apostrophe, too.
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
