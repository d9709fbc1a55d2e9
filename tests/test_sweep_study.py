"""The study that workers of a sweep share, in an SQLite file."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event
from sqlalchemy.engine import make_url

from fashion_lightning.errors import UserError
from fashion_lightning.sweeps import storage as storages
from fashion_lightning.sweeps.storage import Patience, open_storage, storage_url
from fashion_lightning.sweeps.study import Definition, SharedStudy, retry
from fashion_lightning.sweeps.suggestion import is_worse, suggest

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

DEFINITION = Definition(
    recipe={"data.batch_size": "50"},
    space={"lr": FloatDistribution(0.001, 0.1, log=True), "flip": CategoricalDistribution(["none", "random"])},
    seeds=1,
    monitor="val/loss",
    direction="minimize",
    sampler="tpe",
    pruner="median",
    trials=3,
)
HERE, ELSEWHERE = {"machine": "a", "lock": "1"}, {"machine": "b", "lock": "2"}

Open = Callable[..., SharedStudy]


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with Optuna's tables, which take a while to make."""
    folder = tmp_path_factory.mktemp("empty")
    open_storage(storage_url(None, folder), retry)
    return folder / "study.db"


@pytest.fixture
def storage(tmp_path: Path, empty: Path) -> RDBStorage:
    shutil.copy(empty, tmp_path / "study.db")
    return open_storage(storage_url(None, tmp_path), retry)


@pytest.fixture
def opened(storage: RDBStorage) -> Open:
    """A worker's view of the study."""

    def open_study(trials: int | None = None, **changes: Any) -> SharedStudy:
        return SharedStudy(storage, "study", replace(DEFINITION, **changes), trials)

    return open_study


def states(study: SharedStudy) -> list[str]:
    return [trial.state for trial in study.trials()]


def test_a_study_has_as_many_trials_as_asked_for_whoever_opens_it(opened: Open) -> None:
    assert states(opened()) == ["waiting"] * 3
    assert states(opened()) == ["waiting"] * 3
    assert len(opened(5).trials()) == 5
    assert len(opened().trials()) == 5
    assert len(opened(2).trials()) == 2


def test_trials_that_two_workers_added_at_the_same_instant_are_left_alone(opened: Open) -> None:
    study = opened()
    study._add({"asked": 3})  # what the other one had not seen yet
    assert len(study.trials()) == 3
    assert len(opened().trials()) == 3


def test_only_one_worker_gets_a_trial(opened: Open) -> None:
    one, other = opened(), opened()
    seen_by_both = one.trials()[0].attempt
    assert one.claim(seen_by_both, HERE)
    assert not other.claim(seen_by_both, ELSEWHERE)
    assert one.is_ours(seen_by_both, HERE)
    assert not other.is_ours(seen_by_both, ELSEWHERE)


def test_a_trial_whose_worker_is_gone_goes_on_as_the_same_trial(opened: Open) -> None:
    study = opened()
    for loss in (0.9, 0.8):  # lost twice
        attempt = study.trials()[1].attempt
        study.claim(attempt, HERE)
        study.settle(attempt, {"lr": 0.01, "flip": "none"})
        study.report(attempt, round(10 - 10 * loss), loss)
        study.restore(lambda trial: trial.worker == HERE, judge_silence=False)
        assert not study.is_ours(attempt, HERE)  # as a worker that was only suspended sees it
    trial = study.trials()[1]
    assert (trial.number, trial.state, len(trial.attempts)) == (1, "waiting", 3)
    assert trial.values == trial.attempt.params == {"lr": 0.01, "flip": "none"}
    assert trial.attempt.intermediate_values == {1: 0.9, 2: 0.8}
    assert trial.worker is None
    assert states(study) == ["waiting"] * 3


def test_a_worker_that_is_lost_before_it_has_put_a_trial_back_does_not_lose_it(opened: Open) -> None:
    study = opened()
    attempt = study.trials()[0].attempt
    study.claim(attempt, HERE)
    study.storage.set_trial_state_values(attempt._trial_id, TrialState.FAIL)
    assert states(study)[0] == "failed"
    for other in (opened(), opened()):  # both see it
        other.restore(lambda _: False, judge_silence=False)
    study._retry(attempt)  # and a third one saw it just before
    assert states(study) == ["waiting"] * 3
    again = study.trials()[0].attempt
    assert study.claim(again, HERE)
    assert study.end(again, "complete", 0.5, {})
    assert states(study) == ["complete", "waiting", "waiting"]


def test_a_trial_that_gives_no_sign_of_life_is_taken_for_lost(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    study = opened()
    silent, alive = (trial.attempt for trial in study.trials()[:2])
    study.claim(silent, ELSEWHERE)
    study.claim(alive, ELSEWHERE)
    monkeypatch.setattr(study.storage, "_get_stale_trial_ids", lambda _: [silent._trial_id])
    study.restore(lambda _: False, judge_silence=False)
    assert states(study) == ["running", "running", "waiting"]
    study.restore(lambda _: False, judge_silence=True)
    assert states(study) == ["waiting", "running", "waiting"]


def test_what_a_trial_ended_with_stays_whoever_comes_late(opened: Open) -> None:
    study = opened()
    attempt = study.trials()[0].attempt
    study.claim(attempt, HERE)
    assert study.end(attempt, "complete", 0.25, {"epochs": 3})
    assert study.end(attempt, "complete", 0.25, {"epochs": 3})  # its answer had been lost
    assert not study.end(attempt, "pruned", None, {})
    study.give_back(attempt)
    study.fail(attempt, "late")
    trial = study.trials()[0]
    assert (trial.state, trial.attempt.value, trial.result) == ("complete", 0.25, {"epochs": 3})


def test_a_failed_fit_is_tried_again_by_the_next_command_only(opened: Open) -> None:
    study = opened()
    attempt = study.trials()[0].attempt
    study.claim(attempt, HERE)
    study.fail(attempt, "the disk is full")
    study.restore(lambda _: False, judge_silence=False)
    assert states(study)[0] == "failed"
    study.retry_failed()
    assert states(study)[0] == "waiting"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"recipe": {"data.batch_size": "25"}}, "begun with data.batch_size 50 in the recipe; now it is 25"),
        ({"space": {"lr": FloatDistribution(0.01, 0.1)}}, "begun with flip none or random in the space"),
        ({"seeds": 2}, "begun with seeds 1, not 2"),
        ({"sampler": "random"}, "begun with sampler tpe, not random"),
        ({"pruner": "none"}, "begun with pruner median, not none"),
    ],
)
def test_a_study_goes_on_with_what_it_was_begun_with(opened: Open, change: dict[str, Any], line: str) -> None:
    opened()
    with pytest.raises(UserError) as refused:
        opened(**change)
    assert line in str(refused.value)
    assert "another one with --study NAME" in str(refused.value)


def test_a_study_of_another_program_is_refused(storage: RDBStorage, opened: Open) -> None:
    optuna.create_study(storage=storage, study_name="study").enqueue_trial({"x": 1})
    with pytest.raises(UserError, match="was not begun by this command"):
        opened()


def ended(number: int, loss: float) -> FrozenTrial:
    values = suggest("random", DEFINITION.space, "minimize", number, [])
    return optuna.create_trial(
        value=loss, params=values, distributions=DEFINITION.space, intermediate_values={1: 2 * loss, 2: loss}
    )


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_proposal_is_decided_by_the_trials_number_and_by_those_before_it(sampler: Any) -> None:
    before = [ended(number, 1 / (1 + number)) for number in range(12)]
    proposed = suggest(sampler, DEFINITION.space, "minimize", 12, before)
    assert suggest(sampler, DEFINITION.space, "minimize", 12, before) == proposed
    assert suggest(sampler, DEFINITION.space, "minimize", 13, before) != proposed
    changed = suggest(sampler, DEFINITION.space, "minimize", 12, [ended(number, number) for number in range(12)])
    assert (changed == proposed) == (sampler == "random")


def test_a_trial_is_given_up_that_is_worse_than_most_after_the_first_quarter_of_its_epochs() -> None:
    finished = [ended(number, 0.5) for number in range(6)]
    assert is_worse("median", 2, "minimize", {1: 3.0}, finished)
    assert not is_worse("median", 2, "minimize", {1: 0.9}, finished)
    assert is_worse("median", 2, "maximize", {1: 0.9}, finished)
    assert not is_worse("median", 8, "minimize", {1: 3.0, 2: 3.0}, finished)
    assert not is_worse("none", 2, "minimize", {1: 3.0}, finished)
    assert not is_worse("median", 2, "minimize", {1: 3.0}, finished[:4])


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("nonsense", "--storage is no address of a database"),
        ("postgresql://me:secret@host:port/study", "--storage is no address of a database"),
        ("unheard://me:secret@host/study", "--storage is no address of a database"),
        ("sqlite://", "needs a file for SQLite"),
        ("sqlite:////nowhere/study.db", "there is no folder /nowhere"),
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(tmp_path: Path, given: str, line: str) -> None:
    with pytest.raises(UserError) as refused:
        storage_url(given, tmp_path)
    assert line in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_missing_driver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storages, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'psycopg\[binary\]'"):
        storage_url("postgresql://host/study", tmp_path)


def test_a_server_that_is_not_there_is_said_in_one_line_without_the_password() -> None:
    with pytest.raises(UserError) as refused:
        open_storage(make_url("postgresql+psycopg://me:secret@127.0.0.1:1/study"), retry)
    assert "The storage postgresql+psycopg://me:***@127.0.0.1:1/study cannot be used" in str(refused.value)
    assert "refused" in str(refused.value)


def test_a_full_disk_is_not_waited_for(tmp_path: Path, storage: RDBStorage, opened: Open) -> None:
    study, patience = opened(), Patience(storage_url(None, tmp_path))
    event.listen(storage.engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 1"))
    attempt = study.trials()[0].attempt
    with pytest.raises(UserError, match=r"study.db cannot be used: database or disk is full"):
        patience.ask(lambda: study.end(attempt, "complete", 0.5, {"much": "x" * 100_000}))


def test_a_database_that_is_away_is_asked_less_and_less_often_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, asked = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    patience = Patience(storage_url(None, tmp_path))

    def away() -> None:
        asked.append(now[0])
        raise optuna.exceptions.StorageInternalError("connection lost")

    with pytest.raises(UserError, match="connection lost"):
        patience.insist(away)
    assert storages.PATIENCE_SECONDS <= asked[-1] <= storages.PATIENCE_SECONDS + 2 * storages.LONGEST_WAIT
    assert len(asked) < 60
    now[0] += storages.LONGEST_WAIT
    assert patience.ask(lambda: "there") == "there"
    assert patience.there_since == now[0]
