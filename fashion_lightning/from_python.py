"""``fashion_lightning.fit``: run the command from a notebook or a program."""

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

from fashion_lightning.errors import UserError
from fashion_lightning.runs.folder import LOGS, find_run, run_dir_of
from fashion_lightning.runs.processes import PROGRAM, Children


def fit(recipe: str | Path | None = None, **overrides: Any) -> Path:
    """Train a recipe or continue a run with the command ``fashion-lightning fit``, and print its output live.

    >>> run = fashion_lightning.fit("my_recipe.yaml", epochs=1, data__batch_size=100)
    Run folder: tensorboard_logs/my_recipe/version_0 ...
    >>> fashion_lightning.load(run).tta
    'none'

    The command runs in its own process: the weights are the same as in a terminal, to the bit, and this process keeps
    its seeds, threads, memory and signals. Interrupting a notebook's cell (Ctrl-C) stops training after the current
    step; ``fit(ckpt_path=run)`` continues exactly from there.

    Args:
        recipe: name or YAML file; the default recipe if it is missing.
        overrides: options of the command, such as ``name``, ``runs`` and ``ckpt_path``. ``epochs=3`` is
            ``--epochs 3``; ``data__batch_size=100`` or ``**{"data.batch_size": 100}`` is ``--data.batch_size 100``;
            ``data_folder="my_pictures"`` trains on your own pictures. ``name``, ``note``, ``runs``, ``ckpt_path``
            and ``weights`` may be None.

    Returns:
        The run folder, which ``load`` and the other commands take.

    Raises:
        UserError: a setting cannot be used, or training failed.
        KeyboardInterrupt: you interrupted it; the run can be continued.
    """
    flags = {
        key.replace("__", ".").replace("data_folder", "data.folder"): value
        for key, value in overrides.items()
        if value is not None or key not in ("name", "note", "runs", "ckpt_path", "weights")
    }
    arguments = ["--layers"] if flags.pop("layers", False) else []  # the only one that takes no value
    arguments += [] if recipe is None else [f"--config={recipe}"]
    arguments += [f"--{flag}={typed(value, flag)}" for flag, value in flags.items()]
    printed, interrupted, line = "", False, "to come"
    environment = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "FORCE_COLOR": ""}  # Jupyter forces colours
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with Children() as children, children.start([*PROGRAM, "fit", *arguments], environment, **streams) as process:
        assert process.stdout is not None
        while line:
            try:
                line = process.stdout.readline().decode(errors="replace")
                printed += line
                if line and not line.startswith("error: "):
                    print(line, end="", flush=True)
            except KeyboardInterrupt:  # a second one ends the command at once
                process.send_signal(signal.SIGINT)
                interrupted = True
        code = process.wait()
    told = re.search(r"^Run folder: (?!none, )(.+?)   precision: ", printed, re.MULTILINE)
    if interrupted:
        place = f", runs={str(flags['runs'])!r}" if "runs" in flags else ""
        raise KeyboardInterrupt(f"fashion_lightning.fit(ckpt_path={told[1]!r}{place}) continues it" if told else "")
    if code:
        complaint = re.search(r"^error: (.*)", printed, re.MULTILINE)
        raise UserError(
            complaint[1]
            if complaint
            else f"fashion-lightning fit ended with exit code {code}; its last lines are above."
        )
    # Continuing a run that is already complete makes no folder.
    logs = Path(str(flags.get("runs", LOGS))).expanduser()
    run = told[1] if told else run_dir_of(find_run(str(flags["ckpt_path"]), logs)) if "ckpt_path" in flags else None
    if run is None:
        raise UserError(
            "This fit saves nothing (fast_dev_run, --print_config): there is no run to return. Leave them out."
        )
    return Path(run)


def typed(value: Any, flag: str = "The value") -> str:
    """Return a value as one would type it after a flag; raise a ``UserError`` if it is not plain."""
    if isinstance(value, str | Path):
        return str(value)
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{flag} must be plain: a number, text, None, or a list or dict of them, not {type(value).__name__}. Name"
            " a class by its import path, 'my_module.MyNetwork'."
        ) from error
