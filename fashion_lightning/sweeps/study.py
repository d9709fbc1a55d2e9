"""The study of a sweep in its database: how it is opened, what it was begun with, and its trials.

Optuna fails a trial that was lost and makes a new one in its place. Here both are attempts at one trial, which keeps
the number of the first attempt, its settings and its run folders. A fault of the database is one line, without the
password.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL, NullPool, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError, PendingRollbackError, SQLAlchemyError

from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import lock_for_life

DEFINITION = "definition"
"""What a study keeps of the sweep that began it."""

HEARTBEAT_SECONDS = 60
"""Between two signs of life of a trial. Optuna takes a trial for lost that is silent twice as long; shorter intervals
fail trials whose worker only waits for the database (Optuna issue 5470)."""

PATIENCE_SECONDS = 300
"""How long a database may be away, as while its server restarts."""

UNREACHABLE = (SQLAlchemyError, optuna.exceptions.StorageInternalError)

AWAY = {InterfaceError, OperationalError, PendingRollbackError}
"""What SQLAlchemy raises of a server that does not answer, or no longer."""

QUESTIONS = (
    *("_create_new_trial", "_set_trial_param", "set_trial_state_values", "set_trial_intermediate_value"),
    *("set_trial_user_attr", "set_trial_system_attr", "get_trial", "_get_trials", "_get_best_trial_id"),
    *("get_study_directions", "get_study_user_attrs", "get_study_system_attrs", "set_study_user_attr"),
    *("get_trial_id_from_study_id_trial_number", "record_heartbeat", "_get_stale_trial_ids"),
    *("create_new_study", "get_study_id_from_name"),
)
"""What Optuna asks of its storage in a sweep, each in a transaction of its own."""


def storage_url(given: str | None, folder: Path) -> URL:
    """Return the database's address.

    Args:
        given: with ``--storage``; ``None`` for an SQLite file in the sweep's folder.
        folder: of the sweep.

    Raises:
        UserError: it is no address, or the driver is missing.
    """
    try:
        url = URL.create("sqlite", database=str(folder / "study.db")) if given is None else make_url(given)
        if not url.database:  # for SQLite, this is memory, which no later command can read
            raise ValueError("no database")
    except (ArgumentError, ValueError) as error:
        example = "postgresql://user:password@host/database or sqlite:///file.db"
        raise UserError(f"--storage is no address of a database, as {example}.") from error
    url = url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
    try:
        url.get_dialect().import_dbapi()
    except ImportError as error:
        raise UserError(f"--storage cannot be used: {error}") from error
    return url


def is_shared(url: URL) -> bool:
    """Check whether several machines can use a database at a time; an SQLite file belongs to one process."""
    return url.get_backend_name() != "sqlite"


class Storage(RDBStorage):
    """Optuna's storage for threads: SQLite may give two of them the same waiting trial (Optuna issue 4002)."""

    lock = threading.Lock()

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        with self.lock:
            return super().set_trial_state_values(trial_id, state, values)


def open_storage(url: URL, stopping: threading.Event) -> Storage:
    """Connect to the database, and make Optuna's tables in it if they are missing.

    Args:
        url: its address.
        stopping: set when this process ends and no longer waits for a database that is away.

    Raises:
        UserError: another process uses the SQLite file.
    """
    shared = is_shared(url)
    if not shared and not lock_for_life(Path(f"{url.database}.lock")):
        raise UserError(f"Another sweep uses {url.database}. Wait for it or stop it; the same command goes on.")

    def connect() -> Storage:
        return Storage(
            # Optuna fills {SCHEMA_VERSION} in.
            url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}"),
            # A connection for each question: none is kept that a server has closed meanwhile.
            {"connect_args": {"connect_timeout": 10} if shared else {"timeout": 60}, "poolclass": NullPool},
            heartbeat_interval=HEARTBEAT_SECONDS if shared else None,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True),
        )

    try:
        try:
            storage = connect()
        except UNREACHABLE:  # another worker may have made the same tables at the same instant
            time.sleep(1)
            storage = connect()
    except RuntimeError as error:  # the tables are of another Optuna
        raise UserError(f"--storage cannot be used: {error}") from error

    for name in QUESTIONS if shared else ():
        setattr(storage, name, _patient(getattr(storage, name), stopping))
    return storage


def _patient(ask: Callable[..., Any], stopping: threading.Event) -> Callable[..., Any]:
    """Repeat a question while the server is away, or if it went away within the transaction."""

    def repeat(*arguments: Any, **options: Any) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return ask(*arguments, **options)
            except UNREACHABLE as error:
                is_away = AWAY & {type(error), type(error.__cause__)}
                if not is_away or time.monotonic() > deadline or stopping.wait(1):
                    raise

    return repeat


@contextlib.contextmanager
def errors_in_one_line(url: URL) -> Iterator[None]:
    """Say what is wrong with a database.

    Raises:
        UserError: a question to the database failed.
    """
    try:
        yield
    except UNREACHABLE as error:
        cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
        reason = str(getattr(cause, "orig", None) or cause).strip().rstrip(".")
        if url.password:
            reason = reason.replace(str(url.password), "***")
        name = f"The storage {url.render_as_string()}" if is_shared(url) else f"The study {url.database}"
        raise UserError(
            f"{name} cannot be used: {reason}. What was trained is kept; the same command goes on."
        ) from error


def open_study(
    storage: RDBStorage,
    name: str,
    definition: dict[str, str],
    minimize: bool,
    pruner: BasePruner,
    is_shared: bool,
) -> optuna.Study:
    """Open a study, or begin it.

    Args:
        storage: its database.
        name: of the study.
        definition: what must be the same for all trials: the settings of the recipe, ranges and monitor.
        minimize: whether less of the objective is better.
        pruner: gives trials up.
        is_shared: whether other processes may work on it now. Otherwise, all that is unfinished is tried again.

    Raises:
        UserError: the study was begun with another definition.
    """
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="minimize" if minimize else "maximize",
        load_if_exists=True,
        pruner=pruner,
    )
    trials = len(study.trials)
    begun = study.user_attrs.get(DEFINITION, {} if trials else definition)
    for key in sorted({*begun, *definition}):
        was, is_now = (side.get(key, "not there") for side in (begun, definition))
        if was != is_now:
            raise UserError(
                f"The study {name} was begun with {key} {was}; now it is {is_now}. Give that again, or begin another"
                " one with --study NAME."
            )
    study.set_user_attr(DEFINITION, definition)
    # Not the same seed for the rest of a study, or for two workers: they would propose the same trials again.
    study.sampler = optuna.samplers.TPESampler(seed=None if is_shared else trials, constant_liar=True)
    for attempt in [] if is_shared else latest(study).values():
        if attempt.state == TrialState.RUNNING:
            study.tell(attempt.number, state=TrialState.FAIL)
        if attempt.state in (TrialState.RUNNING, TrialState.FAIL):  # as Optuna's heartbeats do with lost ones
            RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(study, study.trials[attempt.number])
    return study


def latest(study: optuna.Study) -> dict[int, FrozenTrial]:
    """Return the last attempt at each trial; trials are numbered in the order of their first attempts."""
    found: dict[int, FrozenTrial] = {}
    for attempt in study.get_trials(deepcopy=False):
        first = RetryHeartbeatStaleTrialCallback.retried_trial_number(attempt)
        found[attempt.number if first is None else first] = attempt
    return dict(enumerate(found.values()))
