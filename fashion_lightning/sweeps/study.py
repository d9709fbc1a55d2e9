"""The study of a sweep: what it was begun with, and its trials.

Optuna fails a trial that was lost and makes a new one in its place. Here both are attempts at one trial, which keeps
the number of the first attempt, its settings and its run folders.
"""

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import BaseStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from fashion_lightning.errors import UserError

DEFINITION = "definition"
"""What a study keeps of the sweep that began it."""


def open_study(
    storage: BaseStorage,
    name: str,
    definition: dict[str, str],
    minimize: bool,
    sampler: str,
    pruner: BasePruner,
    is_shared: bool,
) -> optuna.Study:
    """Open a study, or begin it.

    Args:
        storage: its database.
        name: of the study.
        definition: what must be the same for all trials: the settings of the recipe, ranges, seeds and monitor.
        minimize: whether less of the objective is better.
        sampler: ``random``, or else TPE.
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
    begun, trials = study.user_attrs.get(DEFINITION), len(study.trials)
    if begun is None and not trials:
        begun = definition
        study.set_user_attr(DEFINITION, definition)
    if not isinstance(begun, dict):
        raise UserError(f"The study {name} was not begun by this command. Name another one with --study.")
    for key in sorted({*begun, *definition}):
        was, is_now = (side.get(key, "not there") for side in (begun, definition))
        if was != is_now:
            raise UserError(
                f"The study {name} was begun with {key} {was}; now it is {is_now}. Give that again, or begin another"
                " one with --study NAME."
            )
    # Not the same seed for the rest of a study, or for two workers: they would propose the same trials again.
    seed = None if is_shared else trials
    study.sampler = RandomSampler(seed) if sampler == "random" else TPESampler(seed=seed, constant_liar=True)
    for attempt in [] if is_shared else latest(study).values():
        if attempt.state in (TrialState.RUNNING, TrialState.FAIL):
            try_again(study, attempt)
    return study


def latest(study: optuna.Study) -> dict[int, FrozenTrial]:
    """Return the last attempt at each trial; trials are numbered in the order of their first attempts."""
    found: dict[int, FrozenTrial] = {}
    for attempt in study.get_trials(deepcopy=False):
        first = RetryHeartbeatStaleTrialCallback.retried_trial_number(attempt)
        found[attempt.number if first is None else first] = attempt
    return dict(enumerate(found.values()))


def try_again(study: optuna.Study, attempt: FrozenTrial) -> None:
    """Have a trial tried again, with its settings and what it has reported, if its last attempt did not come to an end.

    Optuna's heartbeats do the same with attempts that are lost.
    """
    if attempt.state == TrialState.RUNNING:
        study.tell(attempt.number, state=TrialState.FAIL)
    RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(study, study.trials[attempt.number])
