"""The study that workers share: so many trials, each of which is one, however often its worker was lost.

Optuna gives a trial that was lost up, and makes a new one with a new number in its place. Here the trials are those
that were no such replacements, numbered from 0; each has its attempts, and the first attempt that was not given up is
the trial. Any worker may add a trial or a replacement too many, where two of them notice at the same instant that one
is missing: nobody takes it.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from fashion_lightning.errors import UserError
from fashion_lightning.sweeps.space import Space, in_words
from fashion_lightning.sweeps.suggestion import Direction, Pruner, Sampler

DEFINITION, ASKED, VALUES, WORKER, FAILURE, RESULT = "definition", "asked", "values", "worker", "failure", "result"
"""What is kept with a trial: the sweep's definition (with the first one), how many trials were asked for when it was
added, its settings, who trains it, why its fit failed, and what it ended with."""

State = Literal["waiting", "running", "complete", "pruned", "failed"]

STATES: dict[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class Definition:
    """What must be the same for all workers of a sweep."""

    recipe: dict[str, str]
    """Every setting of the recipe, by its dotted name."""
    space: Space
    seeds: int
    """That each trial is trained with."""
    monitor: str
    """The metric that a trial is judged by."""
    direction: Direction
    sampler: Sampler
    pruner: Pruner
    trials: int
    """How many, unless a worker says otherwise."""

    def plain(self) -> dict[str, Any]:
        """As it is kept in the database."""
        space = {key: in_words(distribution) for key, distribution in self.space.items()}
        return {
            "recipe": self.recipe,
            "space": space,
            "seeds": self.seeds,
            "monitor": self.monitor,
            "sampler": self.sampler,
            "pruner": self.pruner,
            "trials": self.trials,
        }


@dataclass(frozen=True)
class SharedTrial:
    """One trial of the study, as it was last seen."""

    number: int
    attempts: tuple[FrozenTrial, ...]
    """Of which the first that was not given up counts; those before it were lost, or their fit failed."""

    @property
    def attempt(self) -> FrozenTrial:
        """The one that counts; the last one if all were given up."""
        return next((one for one in self.attempts if one.state != TrialState.FAIL), self.attempts[-1])

    @property
    def state(self) -> State:
        return STATES[self.attempt.state]

    @property
    def values(self) -> dict[str, Any]:
        """Its settings by their dotted names; empty until a worker has taken it."""
        values: dict[str, Any] = self.attempt.user_attrs.get(VALUES, {})
        return values

    @property
    def worker(self) -> Any:
        """The record of the worker that has it, as the database says."""
        return self.attempt.user_attrs.get(WORKER)

    @property
    def result(self) -> dict[str, Any]:
        """What it ended with; empty until then."""
        result: dict[str, Any] = self.attempt.user_attrs.get(RESULT, {})
        return result


class SharedStudy:
    """A study in a database.

    Args:
        storage: the database.
        name: of the study.
        definition: of the sweep.
        trials: how many; ``None`` for as many as there are, or as the definition says.

    Raises:
        UserError: the study was begun with another definition.
    """

    def __init__(self, storage: RDBStorage, name: str, definition: Definition, trials: int | None) -> None:
        self.storage, self.name, self.definition = storage, name, definition
        self.study = optuna.create_study(
            storage=storage, study_name=name, direction=definition.direction, load_if_exists=True
        )
        if not self._all():
            # With the trial in one transaction: there is one number 0, whoever else begins at the same instant.
            self._add({DEFINITION: json.dumps(definition.plain())})
        begun = self._definition_of_the_study()
        _check_same(name, begun, definition.plain())
        # How many were asked for is what those say that were added: one of them may be one too many.
        asked = [begun["trials"], *(trial.attempts[0].user_attrs.get(ASKED, 0) for trial in self._all())]
        self.size = max(asked) if trials is None else trials
        for _ in range(self.size - len(self._all())):
            self._add({ASKED: self.size})

    def trials(self) -> list[SharedTrial]:
        """All of them, by their numbers."""
        return self._all()[: self.size]

    def retry_failed(self) -> None:
        """Let trials be tried again whose fit had failed."""
        for trial in self.trials():
            if trial.state == "failed":
                self._retry(trial.attempt)

    def restore(self, is_lost: Callable[[SharedTrial], bool], judge_silence: bool) -> None:
        """Put back trials whose workers are gone.

        Args:
            is_lost: whether nobody trains a trial, for certain.
            judge_silence: also take those for gone that have given no sign of life for long.
        """
        if judge_silence:
            optuna.storages.fail_stale_trials(self.study)  # and `when_stale` puts them back
        for trial in self.trials():
            if trial.state == "running" and is_lost(trial):
                self.give_back(trial.attempt)
            elif trial.state == "failed" and FAILURE not in trial.attempt.user_attrs:
                self._retry(trial.attempt)  # whoever gave it up was lost before that

    def claim(self, attempt: FrozenTrial, worker: dict[str, str]) -> bool:
        """Take a trial that waits; ``False`` if another worker has done so."""
        # Before it is taken: one without any heartbeat never counts as silent.
        self.storage.record_heartbeat(attempt._trial_id)
        try:
            taken = self.storage.set_trial_state_values(attempt._trial_id, TrialState.RUNNING)
        except UpdateFinishedTrialError:
            return False
        if taken:
            self.storage.set_trial_user_attr(attempt._trial_id, WORKER, worker)
        return taken

    def settle(self, attempt: FrozenTrial, values: dict[str, Any]) -> None:
        """Keep a trial's settings, at first all of them at once."""
        self.storage.set_trial_user_attr(attempt._trial_id, VALUES, values)
        for key, value in values.items():
            distribution = self.definition.space[key]
            self.storage.set_trial_param(attempt._trial_id, key, distribution.to_internal_repr(value), distribution)

    def is_ours(self, attempt: FrozenTrial, worker: dict[str, str]) -> bool:
        """Give a sign of life for a trial; ``False`` if it was taken from this worker meanwhile."""
        now = self.storage.get_trial(attempt._trial_id)
        if now.state != TrialState.RUNNING or now.user_attrs.get(WORKER) != worker:
            return False
        self.storage.record_heartbeat(attempt._trial_id)
        return True

    def report(self, attempt: FrozenTrial, epoch: int, value: float) -> bool:
        """Keep the objective after an epoch, counted from 1; ``False`` if the trial is no longer this worker's."""
        try:
            self.storage.set_trial_intermediate_value(attempt._trial_id, epoch, value)
        except UpdateFinishedTrialError:
            return False
        return True

    def end(
        self, attempt: FrozenTrial, state: Literal["complete", "pruned"], value: float | None, result: dict[str, Any]
    ) -> bool:
        """Keep what a trial ended with; ``False`` if it was taken from this worker before."""
        try:
            self.storage.set_trial_user_attr(attempt._trial_id, RESULT, result)
            to = TrialState.COMPLETE if state == "complete" else TrialState.PRUNED
            return self.storage.set_trial_state_values(attempt._trial_id, to, None if value is None else [value])
        except UpdateFinishedTrialError:
            # The answer to an earlier attempt may have been lost with the connection.
            return STATES[self.storage.get_trial(attempt._trial_id).state] == state

    def fail(self, attempt: FrozenTrial, failure: str) -> None:
        """Keep that a trial's fit has failed; a later command tries it again."""
        try:
            self.storage.set_trial_user_attr(attempt._trial_id, FAILURE, failure)
            self.storage.set_trial_state_values(attempt._trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            return

    def give_back(self, attempt: FrozenTrial) -> None:
        """Let another worker go on with a trial."""
        try:
            self.storage.set_trial_state_values(attempt._trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:  # another worker has done so, or it has ended
            return
        self._retry(attempt)

    def _all(self) -> list[SharedTrial]:
        return shared_trials(self.study.get_trials(deepcopy=False))

    def _add(self, attributes: dict[str, Any]) -> None:
        self.study.add_trial(optuna.create_trial(state=TrialState.WAITING, user_attrs=attributes))

    def _retry(self, attempt: FrozenTrial) -> None:
        retry(self.study, self.storage.get_trial(attempt._trial_id))

    def _definition_of_the_study(self) -> dict[str, Any]:
        try:
            begun = json.loads(self.study.get_trials(deepcopy=False)[0].user_attrs[DEFINITION])
            assert isinstance(begun["trials"], int)
        except (KeyError, ValueError, TypeError, AssertionError) as error:
            raise UserError(
                f"The study {self.name} was not begun by this command. Name another one with --study."
            ) from error
        return dict(begun)


def retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Have a trial that was given up tried again, by whoever comes first; what it has reported is kept."""
    kept = {key: value for key, value in trial.user_attrs.items() if key not in (WORKER, FAILURE)}
    again = optuna.create_trial(
        state=TrialState.FAIL,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=kept,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )
    again.number = trial.number
    RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(study, again)


def shared_trials(attempts: Iterable[FrozenTrial]) -> list[SharedTrial]:
    """Optuna's trials, with each replacement counted to the one that it stands for."""
    found: dict[int, SharedTrial] = {}
    for attempt in sorted(attempts, key=lambda attempt: attempt.number):
        first = RetryHeartbeatStaleTrialCallback.retried_trial_number(attempt)
        if first is None:
            found[attempt.number] = SharedTrial(len(found), (attempt,))
        elif first in found:
            found[first] = replace(found[first], attempts=(*found[first].attempts, attempt))
    return list(found.values())


def _check_same(name: str, begun: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on with a study whose trials would not be comparable."""
    advice = "Give that again, or begin another one with --study NAME."
    words = {"recipe": "the recipe", "space": "the space"}
    for part in ("recipe", "space"):
        before, after = begun.get(part), now[part]
        before = before if isinstance(before, dict) else {}
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                was, is_now = (str(side.get(key, "not there")) for side in (before, after))
                raise UserError(
                    f"The study {name} was begun with {key} {was} in {words[part]}; now it is {is_now}. {advice}"
                )
    for part in ("seeds", "monitor", "sampler", "pruner"):
        if begun.get(part) != now[part]:
            raise UserError(f"The study {name} was begun with {part} {begun.get(part)}, not {now[part]}. {advice}")
