"""Every setting of a ``fit``, for the commands that start fits: checked here, before any of them begins."""

from collections.abc import Sequence
from typing import Any

import yaml

from fashion_lightning.callbacks.run_files import config_text
from fashion_lightning.cli.arguments import complete
from fashion_lightning.cli.build import FashionMNISTCLI
from fashion_lightning.cli.messages import silence_what_is_not_news
from fashion_lightning.cli.parser import parse


def fit_settings(options: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Build all that ``fit`` would build from these options, but no run folder.

    Returns:
        The recipe's name and every setting as plain values.

    Raises:
        UserError: ``fit`` would refuse these options.
    """
    silence_what_is_not_news()
    built = FashionMNISTCLI(complete(*parse("fit", options)), makes_run_folder=False)
    return built.name, yaml.safe_load(config_text(built.parser, built.config))
