"""What ``fit`` would train with: ``repeat`` and ``sweep`` start this in a process of its own, and so need no torch.

Also which of these settings are typed again for a run that goes on, or is tested.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import yaml

from fashion_lightning import children as parent
from fashion_lightning.children import Children
from fashion_lightning.errors import UserError
from fashion_lightning.runs.results import NOT_OF_THE_RECIPE

ALSO = "--also"
"""Before the name of a place and options that are only looked at: what ``fit`` refuses there is told with the name."""

COMMAND = "_settings"
"""Not for a terminal: its output is a file of ``repeat`` or ``sweep``."""

FOR_EVERY_COMMAND = (
    "data.root",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.precision",
    "trainer.enable_progress_bar",
    "trainer.default_root_dir",
)
"""Settings that hold for ``test`` and for a run that goes on as they do for a new one: a checkpoint decides no places
and no devices."""

FOR_FIT_ONLY = tuple(
    key
    for key in NOT_OF_THE_RECIPE
    if key not in (*FOR_EVERY_COMMAND, "seed_everything", "ckpt_path", "weights_only", "model.tta")
)
"""In which runs of one recipe may differ, so that the run may have begun with others than were typed now."""

FOR_TEST_ONLY = ("trainer.limit_test_batches",)


def settings_of(fit_options: Sequence[str], children: Children) -> dict[str, Any]:
    """Every setting that ``fit`` would train with.

    Raises:
        SystemExit: ``fit`` would refuse these options, and has said why.
    """
    with tempfile.TemporaryFile() as file:
        process = children.start([*parent.PROGRAM, COMMAND, *fit_options], stdout=file)
        try:
            code = process.wait()
        except BaseException:
            process.kill()  # it has nothing to save
            process.wait()
            raise
        if code:
            raise SystemExit(code if code > 0 else 128 - code)
        file.seek(0)
        config: dict[str, Any] = yaml.safe_load(file.read())
        return config


def as_typed(config: dict[str, Any], *keys: str) -> list[str]:
    """Settings of a config, by their dotted names, as they would be typed."""
    typed = []
    for key in keys:
        value: Any = config
        for part in key.split("."):
            value = value[part]
        typed.append(f"--{key}={value if isinstance(value, str) else json.dumps(value)}")
    return typed


def main(options: Sequence[str], began: float) -> None:
    """Refuse what ``fit`` refuses, in its words, and write every setting as YAML to standard output.

    The data are fetched if they are not there, and no run folder is made. What libraries print goes to
    standard error instead.

    Raises:
        UserError: as ``fit`` does.
    """
    parts = _split(options)
    with os.fdopen(os.dup(1), "wb") as output:
        os.dup2(2, 1)
        from fashion_lightning.callbacks.run_config import config_text
        from fashion_lightning.cli.arguments import complete
        from fashion_lightning.cli.build import FashionMNISTCLI
        from fashion_lightning.cli.messages import silence_what_is_not_news

        silence_what_is_not_news()
        built = FashionMNISTCLI(complete(["fit", *parts[0]]), began, makes_run_folder=False)
        output.write(config_text(built.parser, built.config).encode())
        for source, *others in parts[1:]:
            try:
                FashionMNISTCLI(complete(["fit", *others]), began, makes_run_folder=False)
            except UserError as error:
                raise UserError(f"{source}: {error}") from error


def _split(options: Sequence[str]) -> list[list[str]]:
    """What stands before, between and behind ``ALSO``."""
    parts: list[list[str]] = [[]]
    for option in options:
        if option == ALSO:
            parts.append([])
        else:
            parts[-1].append(option)
    return parts
