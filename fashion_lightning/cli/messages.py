"""What the libraries say, in a user's words or not at all."""

import difflib
import logging
import re
import threading
import warnings
from collections.abc import Iterable
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

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
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).addFilter(_is_news)
    threading.excepthook = _thread_failed


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    """TensorBoard's writer raises the error of its thread once more, in the main thread."""
    if not type(failure.thread).__module__.startswith("tensorboard."):
        threading.__excepthook__(failure)


def _is_news(record: logging.LogRecord) -> bool:
    """Not an advertisement, not a device that is missing, nor what this command line says itself."""
    return not record.getMessage().startswith(
        (
            "💡",
            "Ignoring `Trainer(max_time",
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
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        known = [flag for action in self._actions for flag in action.option_strings]
        raise UserError(in_a_users_words(message, known)) from ex


def in_a_users_words(message: str, known_flags: Iterable[str]) -> str:
    """Shorten an error message of jsonargparse to what was typed and what would be right.

    Args:
        message: of several lines, with the types that were tried one after the other.
        known_flags: every option that the command has, ``--data.batch_size`` and so on.
    """
    message = re.sub(r"\b(?:fit|validate|test|predict)\.(?=\w)", "--", message)
    message = re.sub(r'Parser key "([^"]+)":?', r"--\1:", message)
    message = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", message).replace("a typing.Literal", "one of ")
    message = re.sub(r"NestedArg\(key='([^']*)', val='([^']*)'\)", r"\1=\2", message)
    if unknown := re.match(r"unrecognized arguments: ([^\s=]+)", message):
        close = difflib.get_close_matches(unknown[1], known_flags, n=1)
        return message + (f" (did you mean {close[0]}?)" if close else "")
    if "Union subtypes" not in message:
        return message
    name = message.split(":")[0]
    typed = re.search(r"Given value: (.*)", message, flags=re.DOTALL)
    reasons = re.findall(r"- (.+)", message)
    telling = [reason for reason in reasons if not re.search(r"Union subtypes|NoneType|Expected a path but", reason)]
    allowed = "; ".join(dict.fromkeys(telling))
    value = " ".join(typed[1].split()) if typed else ""
    return f"{name}: {value[:80]} cannot be used. {allowed}"
