"""The database that holds a study: opened with one clear line of what is wrong, and waited for where it is away."""

import random
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool

from fashion_lightning.errors import UserError

HEARTBEAT_SECONDS = 60
"""Between two signs of life that a trial is expected to give. Optuna takes one that is silent twice as long for dead;
short ones fail trials whose worker only waits for the database (Optuna issue 5470)."""

PATIENCE_SECONDS = 600
"""That a database which was there may be away, as while its server starts anew."""

LONGEST_WAIT = 15
"""Seconds between two attempts to reach it."""

OPENINGS = 8
"""Attempts to make the tables of a new database, which other workers may make at the same instant."""

FULL = ("disk is full", "disk full", "No space left", "readonly database", "unable to open database file")
"""Of a database's complaints, those that waiting does not mend."""

T = TypeVar("T")


class Away(Exception):
    """The database cannot be reached now; its caller goes on with other things, and asks again."""


def storage_url(given: str | None, folder: Path) -> URL:
    """The database's address.

    Args:
        given: with ``--storage``; ``None`` for an SQLite file in the sweep's folder.
        folder: of the sweep.

    Raises:
        UserError: it is no address, or its driver is not installed; a password is never repeated.
    """
    if given is None:
        return URL.create("sqlite", database=str(folder / "study.db"))
    try:
        url = make_url(given)
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        url.get_dialect()
    except (ArgumentError, ValueError) as error:  # of an unknown kind, or with a port that is no number
        example = "postgresql://user:password@host/database or sqlite:///file.db"
        raise UserError(f"--storage is no address of a database, as {example}.") from error
    if url.drivername == "postgresql+psycopg" and find_spec("psycopg") is None:
        raise UserError("--storage needs a driver that is not installed: pip install 'psycopg[binary]'")
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise UserError("--storage needs a file for SQLite, as sqlite:///file.db: memory is shared with nobody.")
        if not Path(str(url.database)).parent.is_dir():
            raise UserError(f"--storage: there is no folder {Path(str(url.database)).parent}.")
    return url


def open_storage(url: URL, when_stale: Callable[[optuna.Study, FrozenTrial], None]) -> RDBStorage:
    """Connect to the database, and make Optuna's tables in it if they are missing.

    Args:
        url: its address.
        when_stale: is called with a trial that Optuna has failed since it gave no sign of life.

    Raises:
        UserError: it cannot be reached or used.
    """
    arguments: dict[str, Any] = {}
    if url.get_backend_name() == "sqlite":
        arguments = {"timeout": 60}
    elif url.drivername == "postgresql+psycopg":  # a server that is gone without a word must not be waited for long
        arguments = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "tcp_user_timeout": 20_000}
    # A connection for each question, of which there are few: none is kept that a server has closed meanwhile.
    # Optuna fills {SCHEMA_VERSION} in.
    text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    for attempt in range(1, OPENINGS + 1):
        try:
            return RDBStorage(
                text,
                engine_kwargs={"connect_args": arguments, "poolclass": NullPool},
                heartbeat_interval=HEARTBEAT_SECONDS,
                heartbeat_stale_trial_callback=when_stale,
            )
        except ImportError as error:
            raise UserError(f"--storage needs a driver that is not installed: {_cause(error)}.") from error
        except (SQLAlchemyError, StorageInternalError) as error:
            at_once = _behind(error, (IntegrityError, ProgrammingError)) or "already exists" in str(error)
            if not at_once or attempt == OPENINGS:
                _refuse(url, error)
            time.sleep(random.random())  # another worker makes the same tables
        except (RuntimeError, AssertionError) as error:  # tables of another version of Optuna
            raise UserError(f"{_named(url)} cannot be used: {_without_password(url, _cause(error))}") from error
    raise AssertionError("the last attempt returns or raises")


class Patience:
    """Passes questions on to a database that may be away for a while.

    Args:
        url: for errors.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self.away_since: float | None = None
        self.next_attempt, self.wait = 0.0, 0.5
        self.there_since = time.monotonic()

    def ask(self, question: Callable[[], T]) -> T:
        """The answer.

        Raises:
            Away: there is none now.
            UserError: there was none for ``PATIENCE_SECONDS``, or there will be none.
        """
        now = time.monotonic()
        if now < self.next_attempt:
            raise Away
        try:
            answer = question()
        except (StorageInternalError, SQLAlchemyError) as error:
            self.away_since = now if self.away_since is None else self.away_since
            if now - self.away_since > PATIENCE_SECONDS or any(word in str(_origin(error)) for word in FULL):
                _refuse(self.url, error)
            self.next_attempt, self.wait = time.monotonic() + self.wait, min(2 * self.wait, LONGEST_WAIT)
            raise Away from error
        if self.away_since is not None:
            self.away_since, self.next_attempt, self.wait = None, 0.0, 0.5
            self.there_since = time.monotonic()
        return answer

    def insist(self, question: Callable[[], T]) -> T:
        """The answer, waited for.

        Raises:
            UserError: as ``ask`` does.
        """
        while True:
            try:
                return self.ask(question)
            except Away:
                time.sleep(0.5)


def _refuse(url: URL, error: BaseException) -> NoReturn:
    reason = _without_password(url, _cause(error))
    raise UserError(f"{_named(url)} cannot be used: {reason}. What was trained is kept.") from error


def _named(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"The study {url.database}"
    return f"The storage {url.render_as_string(hide_password=True)}"


def _origin(error: BaseException) -> BaseException:
    """What the driver of the database said."""
    while error.__cause__ is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _behind(error: BaseException | None, kinds: tuple[type[BaseException], ...]) -> bool:
    while error is not None:
        if isinstance(error, kinds):
            return True
        error = error.__cause__
    return False


def _cause(error: BaseException) -> str:
    """The reason in one line: of several addresses that were tried, the last one's."""
    lines = [line.strip() for line in str(_origin(error)).splitlines() if line.strip()]
    reasons = [line for line in lines if "failed:" in line or "FATAL" in line]
    return (reasons or lines or [type(error).__name__])[-1].removeprefix("- ").rstrip(".")


def _without_password(url: URL, text: str) -> str:
    return text.replace(str(url.password), "***") if url.password else text
