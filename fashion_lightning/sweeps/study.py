"""Open a sweep's study in its database, check that it was begun with the same settings, and list its trials.

Optuna fails a lost trial and creates a new one in its place. Here, both are attempts at one trial, which keeps the
number, settings and run folder of the first attempt. An error of the database becomes one line without the password.
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
"""The study's attribute with the settings that it was begun with."""

HEARTBEAT_SECONDS = 60
"""Between two heartbeats of a trial. Optuna considers a trial lost after twice this time; with shorter intervals it
would fail trials whose worker only waits for the database (Optuna issue 5470)."""

PATIENCE_SECONDS = 300
"""How long a database may be unavailable, for example while its server restarts."""

UNREACHABLE = (SQLAlchemyError, optuna.exceptions.StorageInternalError)

AWAY = {InterfaceError, OperationalError, PendingRollbackError}
"""SQLAlchemy's errors for a server that does not answer or has closed the connection."""

QUESTIONS = (
    *("_create_new_trial", "_set_trial_param", "set_trial_state_values", "set_trial_intermediate_value"),
    *("set_trial_user_attr", "set_trial_system_attr", "get_trial", "_get_trials", "_get_best_trial_id"),
    *("get_study_directions", "get_study_user_attrs", "get_study_system_attrs", "set_study_user_attr"),
    *("get_trial_id_from_study_id_trial_number", "record_heartbeat", "_get_stale_trial_ids"),
    *("create_new_study", "get_study_id_from_name"),
)
"""The storage methods that Optuna calls in a sweep; each is one transaction."""


def storage_url(given: str | None, folder: Path) -> URL:
    """Return the URL of the database.

    Args:
        given: the value of ``--storage``; ``None`` for an SQLite file in the sweep's folder.
        folder: the sweep's folder.

    Raises:
        UserError: it is not a URL of a database, or the driver is missing.
    """
    try:
        url = URL.create("sqlite", database=str(folder / "study.db")) if given is None else make_url(given)
        if not url.database:  # SQLite would use memory, which no later command can read
            raise ValueError("no database")
    except (ArgumentError, ValueError) as error:
        raise UserError(
            "--storage must be a database address such as postgresql://user:password@host/database or sqlite:///file.db."
        ) from error
    url = url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url
    try:
        url.get_dialect().import_dbapi()
    except (ArgumentError, ImportError) as error:
        raise UserError(f"--storage cannot be used: {error}") from error
    return url


def is_shared(url: URL) -> bool:
    """Check whether several machines can use a database at once; an SQLite file belongs to one process."""
    return url.get_backend_name() != "sqlite"


class Storage(RDBStorage):
    """Optuna's storage, made safe for threads: SQLite may give two of them the same trial (Optuna issue 4002)."""

    lock = threading.Lock()

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        with self.lock:
            return super().set_trial_state_values(trial_id, state, values)


def open_storage(url: URL, stopping: threading.Event) -> Storage:
    """Connect to the database, and create Optuna's tables if they are missing.

    Args:
        url: of the database.
        stopping: set when this process is ending and must no longer wait for an unavailable database.

    Raises:
        UserError: another process uses the SQLite file, or the tables are of another version of Optuna.
    """
    shared = is_shared(url)
    if not shared and not lock_for_life(Path(f"{url.database}.lock")):
        raise UserError(f"Another sweep uses {url.database}. Wait for it or stop it; then repeat this command.")

    def connect() -> Storage:
        return Storage(
            # Braces are doubled, because Optuna formats the URL.
            url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}"),
            # NullPool opens a connection for each transaction, so that none is used that the server has closed.
            {"connect_args": {"connect_timeout": 10} if shared else {"timeout": 60}, "poolclass": NullPool},
            heartbeat_interval=HEARTBEAT_SECONDS if shared else None,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True),
        )

    try:
        try:
            storage = connect()
        except UNREACHABLE:  # another worker may have created the tables at the same time
            time.sleep(1)
            storage = connect()
    except RuntimeError as error:  # the tables belong to another version of Optuna
        raise UserError(f"--storage cannot be used: {error}") from error

    for name in QUESTIONS if shared else ():
        setattr(storage, name, _patient(getattr(storage, name), stopping))
    return storage


def _patient(ask: Callable[..., Any], stopping: threading.Event) -> Callable[..., Any]:
    """Make a storage method retry while the server is unavailable."""

    def repeat(*arguments: Any, **options: Any) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return ask(*arguments, **options)
            except UNREACHABLE as error:
                if not AWAY & {type(error), type(error.__cause__)} or time.monotonic() > deadline or stopping.wait(1):
                    raise

    return repeat


@contextlib.contextmanager
def errors_in_one_line(url: URL) -> Iterator[None]:
    """Turn a database's errors into a ``UserError`` of one line."""
    try:
        yield
    except UNREACHABLE as error:
        cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
        reason = str(getattr(cause, "orig", None) or cause).strip().rstrip(".")
        if url.password:
            reason = reason.replace(str(url.password), "***")
        name = f"The storage {url.set(query={}).render_as_string()}" if is_shared(url) else f"The study {url.database}"
        raise UserError(
            f"{name} cannot be used: {reason}. Trained runs are kept; the same command continues."
        ) from error


def open_study(
    storage: RDBStorage,
    name: str,
    definition: dict[str, str],
    minimize: bool,
    pruner: BasePruner,
    is_shared: bool,
) -> optuna.Study:
    """Open a study, or create it.

    Args:
        storage: its database.
        name: of the study.
        definition: what must be the same for all trials: the settings of the recipe, ranges and monitor.
        minimize: whether a smaller objective is better.
        pruner: decides which trials to stop early.
        is_shared: whether other processes may work on it now. If not, all unfinished and failed trials are retried.

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
                f"The study {name} was begun with {key} {was}; now it is {is_now}. Set it back, or begin another"
                " study with --study NAME."
            )
    study.set_user_attr(DEFINITION, definition)
    # A continued study and each worker need another seed: with the same one they would propose the same trials again.
    study.sampler = optuna.samplers.TPESampler(seed=None if is_shared else trials, constant_liar=True)
    for attempt in [] if is_shared else latest(study).values():
        if attempt.state == TrialState.RUNNING:
            study.tell(attempt.number, state=TrialState.FAIL)
        if attempt.state in (TrialState.RUNNING, TrialState.FAIL):  # as if its heartbeat had stopped
            RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(study, study.trials[attempt.number])
    return study


def latest(study: optuna.Study) -> dict[int, FrozenTrial]:
    """Return the last attempt at each trial, by the trial's number: its place in the order of first attempts."""
    found: dict[int, FrozenTrial] = {}
    for attempt in study.get_trials(deepcopy=False):
        first = RetryHeartbeatStaleTrialCallback.retried_trial_number(attempt)
        found[attempt.number if first is None else first] = attempt
    return dict(enumerate(found.values()))
