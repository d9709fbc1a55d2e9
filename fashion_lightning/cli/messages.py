"""Rewrite the libraries' messages and help for users, or silence them."""

import contextlib
import logging
import re
import threading
import warnings
from argparse import Action
from collections.abc import Collection, Iterator
from typing import Any, NoReturn

from jsonargparse import DefaultHelpFormatter
from lightning.pytorch.cli import LightningArgumentParser

from fashion_lightning.cli import process
from fashion_lightning.cli.commands import COMMANDS
from fashion_lightning.cli.parser import nearest, unknown_flag
from fashion_lightning.errors import UserError, causes, os_error_behind, place_in_own_code
from fashion_lightning.runs import processes

EXPECTED_WARNINGS = (
    "LightningCLI's args parameter is intended",  # we pass a completed command line
    ".*does not have many workers",  # images in memory need no loader processes
    "You're resuming from a checkpoint that ended before",  # our sampler starts at the right batch
    "The `srun` command is available",  # a login node is used like any machine
    "Checkpoint directory .* exists and is not empty",  # a run that is continued
    "It is recommended to use `self.log.*sync_dist=True",  # torchmetrics has synchronized the values
    "The number of training batches .* is smaller than the logging interval",  # a line for each epoch shows the metrics
    r"Found \d+ module\(s\) in eval mode",  # those that --freeze leaves alone
    "Couldn't infer the batch indices",  # predictions carry their own indices
    r"\s*(By default only one Jsonargparse|.*deprecated in v4)",  # LightningCLI 2.6.6
    ".*isinstance.treespec, LeafSpec.. is deprecated",  # Lightning 2.6.6 with torch 2.15
    "torch.distributed.nn.functional.all_gather is deprecated",  # the same
    "Glyph .* missing from font",  # matplotlib draws a box for such a letter
    "The reported value is ignored",  # Optuna has the value of that epoch
    r".* is (an experimental feature|experimental \(supported from)",  # of Optuna
)


def silence_what_is_not_news() -> None:
    """Silence expected warnings, Lightning's messages at each start, and tracebacks of TensorBoard's threads."""
    warnings.filterwarnings("ignore", message="|".join(EXPECTED_WARNINGS))
    for name in (
        "pytorch.utilities.rank_zero",
        *(f"fabric.utilities.{n}" for n in ("rank_zero", "seed", "distributed")),
    ):
        logging.getLogger(f"lightning.{name}").setLevel(logging.WARNING)

    def thread_failed(failure: threading.ExceptHookArgs) -> None:
        if not type(failure.thread).__module__.startswith("tensorboard."):  # the main thread raises their errors, too
            threading.__excepthook__(failure)

    threading.excepthook = thread_failed


class FullHelp(DefaultHelpFormatter):
    """Omits lists of known subclasses: for a network, they name 650 quantized classes of torch."""

    def _get_help_string(self, action: Action) -> str:
        return re.sub(r"known subclasses: [^()]*", "a class path", super()._get_help_string(action))


class OneLineErrorParser(LightningArgumentParser):
    """Raises errors about settings as ``UserError``, in one line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, formatter_class=FullHelp, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        known = {flag for action in self._actions for flag in action.option_strings}
        if "--trainer" in known:  # else this parses a class's arguments, which have no short names
            known |= {
                option.name
                for command in COMMANDS.values()
                for option in command.options
                if option.name.startswith("--")
            }
        raise UserError(in_a_users_words(message, known)) from ex


NOT_TELLING = re.compile(
    r"Union subtypes|NoneType|Expected a path but|Expected one of \[-1\]|Expected a list$"
    r"|could not convert"
)
"""Reasons that jsonargparse gives and we omit."""

WORDS: tuple[tuple[str, str], ...] = (
    (r"\b(?:fit|validate|test|predict)\.(?=\w)", "--"),
    (r'Parser key "([^"]+)":?', r"--\1:"),
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"a typing\.Literal", "one of "),
    (r"NestedArg\(key='([^']*)', val='([^']*)'\)", r"\1=\2"),
    (r"Not of type Seed: .*", "Expected a whole number from 0 to 4294967295"),
    (r"Not of type \w+:(?: \S+)? does not conform to restriction v(\S+)", r"must be \1"),
    (r"must be >=", "must be at least "),
    (r"must be >", "must be above "),
    (r"Not of type \w+: invalid literal for int\(\) with base 10: '.*'", "Expected a whole number"),
    (r"Type [\w.]*Callable\[.*\] expects a function or a callable class: ", ""),
    (r"Import path (\S+) does not correspond to a subclass of (\w+)", r"\1 is not a subclass of \2"),
    (r"Expected a dot import path string: (\S+)", r"there is no class \1: give its import path, my_module.\1"),
    (r"Problem with given class_path '([^']*)':\s*", r"\1: "),
    (
        r"No module named '([\w.]+)'",
        r"there is no module \1: it must be installed, or be the file \1.py in the folder where you type the command",
    ),
    (
        r"^the following arguments are required: (\w+).*",
        r"\1 must be given: --model.network.init_args.\1",
    ),
    (r"Expected a int\b", "Expected a whole number"),
    (r"Expected a float\b", "Expected a number"),
    (r"Expected a bool\b", "Expected true or false"),
    (r"Expected a Sequence\b", "Expected a list such as [32, 64]"),
)
"""Patterns in jsonargparse's messages, and their replacements."""


def in_a_users_words(message: str, known: Collection[str]) -> str:
    """Shorten an error message of jsonargparse to what was typed and what would be right.

    Args:
        message: of several lines, with the types that were tried one after the other.
        known: every option that the command has, ``--data.batch_size`` and so on.
    """
    for pattern, words in WORDS:
        message = re.sub(pattern, words, message)
    if unknown := re.match(r"unrecognized arguments: (\S+)", message):
        return unknown_flag(unknown[1], known)
    if unknown := re.match(r"(?:Group '(\w+)' does not accept option|Option) '([\w]+)", message):
        setting = ".".join(filter(None, unknown.groups()))
        close = nearest(f"--{setting}", known)
        return f"setting '{setting}' is not accepted{f' (did you mean {close[2:]}?)' if close else ''}"
    if "Union subtypes" not in message and "Expected a path but" not in message:
        return message
    typed = re.search(r"Given value: (.*)", message, flags=re.DOTALL)
    reasons = dict.fromkeys(reason for reason in re.findall(r"- (.+)", message) if not NOT_TELLING.search(reason))
    value = f"{' '.join(typed[1].split())[:80]} cannot be used: " if typed else ""
    setting = message.split(":")[0]
    return f"{setting}: {value}{'; '.join(reasons)}".replace("--model.network.init_args", f"{setting}.init_args")


@contextlib.contextmanager
def errors_in_one_line(what: str) -> Iterator[None]:
    """Turn errors of the user's own code or of a library into one line, which begins with ``what``."""
    try:
        yield
    except (UserError, OSError):
        raise
    except SystemExit as end:  # --help, --print_config, or a signal (ours by its exit code, Lightning's by its context)
        is_signal = end.code in [128 + signum for signum in processes.SIGNALS] or end.__context__ is not None
        if not is_signal and (place := place_in_own_code(end)):
            raise UserError(f"{what}: your own code ends Python (sys.exit){place}") from end
        raise
    except Exception as error:
        if stop := next((cause for cause in causes(error) if isinstance(cause, SystemExit)), None):
            raise stop from None  # a signal: Lightning failed to tear down what was not set up yet
        if process.is_out_of_memory(error):
            raise UserError(process.OUT_OF_MEMORY) from error
        place = place_in_own_code(error)
        error = os_error_behind(error) or error  # Lightning turns a full disk into a ValueError
        reason = re.sub(r"^Does not validate against(.|\n)*?Errors:\s*- ", "", str(error))[:500]
        raise UserError(f"{what}: {type(error).__name__}: {reason}{place}") from error
