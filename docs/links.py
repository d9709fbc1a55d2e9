"""Turn links that leave docs/ into plain names: the site does not hold those files."""

import re
from typing import Any


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace ``[text](../path)`` by the text; pictures from elsewhere are left out."""
    markdown = re.sub(r"!\[[^\]]*\]\(\.\./[^)]*\)", "", markdown)
    return re.sub(r"\[([^\]]*)\]\(\.\./[^)]*\)", r"\1", markdown)
