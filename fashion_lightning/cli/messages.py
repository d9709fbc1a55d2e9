"""What the libraries say, in a user's words or not at all."""

import difflib
import logging
import re
import sys
import threading
import warnings
from collections.abc import Collection, Iterable
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from fashion_lightning.cli.commands import COMMANDS, SHORT_NAMES
from fashion_lightning.cli.flags import nearest
from fashion_lightning.cli.full_help import FullHelp
from fashion_lightning.errors import UserError

EXPECTED_WARNINGS = (
    "LightningCLI's args parameter is intended",  # a command line that was completed is how we run it
    ".*does not have many workers",  # images in memory need no loader processes
    "You're resuming from a checkpoint that ended before",  # the sampler starts at the right batch by itself
    "Checkpoint directory .* exists and is not empty",  # a run that is continued
    "It is recommended to use `self.log.*sync_dist=True",  # torchmetrics have synchronized what is logged
    "The number of training batches .* is smaller than the logging interval",  # a line an epoch has the metrics
    "Couldn't infer the batch indices",  # predictions carry their own indices
    ".*isinstance.treespec, LeafSpec.. is deprecated",  # Lightning 2.6.6 with torch 2.15
)


def silence_what_is_not_news() -> None:
    """Filter warnings, log records and the tracebacks of threads for the rest of the process."""
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    sources = ("pytorch.utilities.rank_zero", "fabric.utilities.seed", "fabric.utilities.distributed")
    for name in (f"lightning.{source}" for source in (*sources, "fabric.utilities.rank_zero")):
        logging.getLogger(name).addFilter(_is_news)
    threading.excepthook = _thread_failed


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """TensorBoard's writer raises the error of its thread once more, in the main thread."""
    if not type(failure.thread).__module__.startswith("tensorboard."):
        threading.__excepthook__(failure)


def _is_news(record: logging.LogRecord) -> bool:
    """Not an advertisement, not a device that is missing, nor what this command line says itself."""
    return not re.sub(r"^\[rank: \d+\] ", "", record.getMessage()).startswith(
        (
            "💡",
            "-----",  # how many processes there are
            "Ignoring `Trainer(max_time",
            "Initializing distributed",
            "GPU available: F",
            "TPU available: F",
            "Seed set",
            "Resto",
            "Loaded",
            "Using ",
            "`Trainer.fit` stopped: `max_epochs",
        )
    )


class OneLineErrorParser(LightningArgumentParser):
    """Says what is wrong with an argument, without the usage text before it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, formatter_class=FullHelp, **kwargs)

    def print_help(self, *args: Any, **kwargs: Any) -> None:
        print("short names:\n" + "".join(f"  {short:16}{setting}\n" for short, setting in SHORT_NAMES.items()))
        super().print_help(*args, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        known = [flag for action in self._actions for flag in action.option_strings]
        if "--trainer" in known:  # else the parser of a class's arguments, which have no short names
            known += [option.name for command in COMMANDS.values() for option in command.options]
        raise UserError(in_a_users_words(message, known)) from ex


KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "Sequence": "a list, as [32, 64]"}
"""What Python's types are to a user."""

NOT_TELLING = re.compile(r"Union subtypes|NoneType|Expected a path but|Expected a list$")
"""Of several reasons, those that help nobody."""

UNKNOWN_SETTING = r"(?:Group '(\w+)' does not accept option|Option) '([\w.]+)'(?: is not accepted)?$"

WORDS: tuple[tuple[str, str], ...] = (
    (r"\b(?:fit|validate|test|predict)\.(?=\w)", "--"),
    (r'Parser key "([^"]+)":?', r"--\1:"),
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"a typing\.Literal", "one of "),
    (r"NestedArg\(key='([^']*)', val='([^']*)'\)", r"\1=\2"),
    (r"Not of type Seed: .*", "Expected a whole number from 0 to 4294967295"),
    (r"Type [\w.]*Callable\[.*\] expects a function or a callable class: ", ""),
    (r"Import path (\S+) does not correspond to a subclass of (\w+)", r"\1 is no class of that kind (\2)"),
    (
        r"Expected a dot import path string: (\S+)",
        r"there is no class \1 by that name: give its import path, my_module.\1",
    ),
    (r"Problem with given class_path '([^']*)':\s*", r"\1: "),
    (
        r"No module named '([\w.]+)'",
        r"there is no module \1: it must be installed, or lie as \1.py in the folder where the command is typed",
    ),
)
"""Patterns of jsonargparse's messages, and what is said instead."""


def in_a_users_words(message: str, known_flags: Iterable[str]) -> str:
    """Shorten an error message of jsonargparse to what was typed and what would be right.

    Args:
        message: of several lines, with the types that were tried one after the other.
        known_flags: every option that the command has, ``--data.batch_size`` and so on.
    """
    known = set(known_flags)
    for pattern, words in WORDS:
        message = re.sub(pattern, words, message)
    message = re.sub(r"Expected a (\w+)", lambda kind: f"Expected {KINDS.get(kind[1], f'a {kind[1]}')}", message)
    message = re.sub(r"module '([\w.]+)' has no attribute '(\w+)'", _no_such_class, message)
    if unknown := re.match(r"unrecognized arguments: ([^\s=]+)", message):
        if not unknown[1].startswith("-"):
            return f"{message} (every setting begins with --, every value follows one)"
        close = nearest(unknown[1], known)
        if close == unknown[1]:
            return f"{message} (another command takes it)"
        return message + (f" (did you mean {close}?)" if close else "")
    if unknown := re.match(
        r"(?:Group '(\w+)' does not accept option|Option) '([\w.]+)'(?: is not accepted)?$", message
    ):
        return _no_such_setting(unknown[1], unknown[2], known)
    name = message.split(":")[0]
    if "Union subtypes" in message or "Expected a path but" in message:
        typed = re.search(r"Given value: (.*)", message, flags=re.DOTALL)
        reasons = re.findall(r"- (.+)", message)
        allowed = "; ".join(dict.fromkeys(reason for reason in reasons if not NOT_TELLING.search(reason)))
        value = f"{' '.join(typed[1].split())[:80]} cannot be used. " if typed else ""
        message = f"{name}: {value}{allowed}"
    return message


def _no_such_class(found: re.Match[str]) -> str:
    """That a module lacks a class, and which one of it may be meant."""
    close = difflib.get_close_matches(found[2], dir(sys.modules.get(found[1])), n=1)
    return f"{found[1]} has no {found[2]}{f' (did you mean {found[1]}.{close[0]}?)' if close else ''}"


def _no_such_setting(section: str | None, name: str, known: Collection[str]) -> str:
    """That a config or a class takes no such setting, and which one may be meant, or which there are."""
    prefix = f"{section}." if section else ""
    first = name.split(".")[0]
    flags = {flag for flag in known if flag.startswith(f"--{prefix}") and flag not in ("--help", "--print_config")}
    choices = sorted({prefix + flag.removeprefix(f"--{prefix}").split(".")[0] for flag in flags})
    close = nearest(f"--{prefix}{first}", {f"--{choice}" for choice in choices})
    hint = f" (did you mean {close.removeprefix('--')}?)" if close else f"; there are: {', '.join(choices)[:300]}"
    return f"setting '{prefix}{first}' is not accepted{hint}"
