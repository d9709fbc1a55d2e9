"""What ``fit`` would train with: ``repeat`` starts this in a process of its own, and so needs no torch itself."""

import os
from collections.abc import Sequence

COMMAND = "_settings"
"""Not for a terminal: its output is a file of ``repeat``."""


def main(options: Sequence[str], began: float) -> None:
    """Refuse what ``fit`` refuses, in its words, then write every setting as YAML to standard output.

    The data are fetched if they are not there, and no run folder is made. What libraries print goes to
    standard error instead.

    Raises:
        UserError: as ``fit`` does.
    """
    with os.fdopen(os.dup(1), "wb") as output:
        os.dup2(2, 1)
        from fashion_lightning.callbacks.run_config import config_text
        from fashion_lightning.cli.arguments import complete
        from fashion_lightning.cli.build import FashionMNISTCLI
        from fashion_lightning.cli.messages import silence_what_is_not_news

        silence_what_is_not_news()
        built = FashionMNISTCLI(complete(["fit", *options]), began, makes_run_folder=False)
        output.write(config_text(built.parser, built.config).encode())
