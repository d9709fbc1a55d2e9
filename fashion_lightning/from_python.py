"""``fashion_lightning.fit``: the command, from a notebook or a program."""

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

from fashion_lightning.children import PROGRAM, Children
from fashion_lightning.errors import UserError
from fashion_lightning.runs.find import find_run
from fashion_lightning.runs.folder import run_dir_of

ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "FORCE_COLOR": ""}  # Jupyter forces colours

NO_RUN = {"help", "help_all", "print_config"}
"""With which ``fit`` leaves no run, whatever their value."""


def fit(recipe: str | Path | None = None, **overrides: Any) -> Path:
    """Train a recipe, or go on with a run: the command ``fashion-lightning fit``, with its output as it comes.

    >>> run = fashion_lightning.fit("my_recipe.yaml", epochs=1, data__batch_size=100)
    Run folder: tensorboard_logs/my_recipe/version_0 ...
    >>> fashion_lightning.load(run).tta
    'none'

    It is that command, in a process of its own: weights are the same to the bit, and this process keeps its seeds,
    threads, memory and signals. Interrupting a notebook's cell (Ctrl-C) ends it after the current step;
    ``fit(ckpt_path=run)`` goes on from there, exactly.

    Args:
        recipe: name or YAML file; the default recipe if there is none.
        overrides: settings of the command: ``epochs=3`` is ``--epochs 3``, ``data__batch_size=100`` or
            ``**{"data.batch_size": 100}`` is ``--data.batch_size 100``. ``name``, ``note`` and ``ckpt_path`` too.

    Returns:
        The run folder, which ``load`` and the other commands take.

    Raises:
        UserError: a setting cannot be used, or training failed.
        KeyboardInterrupt: it was interrupted, and the run can be continued.
    """
    arguments = [] if recipe is None else [f"--config={recipe}"]
    for key, value in overrides.items():
        flag = key.replace("__", ".")
        if flag in NO_RUN or (flag == "trainer.fast_dev_run" and value):
            raise UserError(f"With {flag} there would be no run to return: type fashion-lightning fit --{flag}")
        arguments.append(f"--{flag}={_as_typed(flag, value)}")
    run_dir, complaint, interrupted = "", "", False
    with Children() as children:
        process = children.start([*PROGRAM, "fit", *arguments], ENVIRONMENT, subprocess.PIPE, subprocess.STDOUT)
        assert process.stdout is not None
        with process.stdout:
            line = "to come"
            while line:
                try:
                    line = process.stdout.readline().decode(errors="replace")
                    if line.startswith("error: "):
                        complaint = line.removeprefix("error: ").strip()
                    elif line:
                        print(line, end="", flush=True)
                    if told := re.match(r"Run folder: (?!none, )(.+?)   precision: ", line):
                        run_dir = told[1]
                except KeyboardInterrupt:  # on a second one, the command ends at once
                    process.send_signal(signal.SIGINT)
                    interrupted = True
        code = process.wait()
    if interrupted:
        raise KeyboardInterrupt(f"fashion_lightning.fit(ckpt_path={run_dir!r}) goes on" if run_dir else "")
    if code:
        ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        raise UserError(complaint or f"fashion-lightning fit {ended}; its last lines are above.")
    found = Path(run_dir) if run_dir else None
    if "ckpt_path" in overrides and found is None:  # it was trained to its end before
        found = run_dir_of(find_run(str(overrides["ckpt_path"])))
    if found is None:
        raise UserError("This fit saves nothing (fast_dev_run, or all was trained): there is no run to return.")
    return found


def _as_typed(key: str, value: Any) -> str:
    """A value as one would type it."""
    if isinstance(value, str | Path):
        return str(value)
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{key} must be plain: a number, text, None, or a list or dict of them, not {type(value).__name__}. A class"
            " goes by its import path, 'my_module.MyNetwork'."
        ) from error
