"""A worker's trials: followed by what lies in their run folders, given up, lost; without training anything."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution

from fashion_lightning.errors import UserError
from fashion_lightning.files.lock import one_at_a_time
from fashion_lightning.sweeps import trials as module
from fashion_lightning.sweeps.storage import HEARTBEAT_SECONDS, Away, Patience, open_storage, storage_url
from fashion_lightning.sweeps.study import Definition, SharedStudy, retry
from fashion_lightning.sweeps.trial_job import TrialJob
from fashion_lightning.sweeps.trials import Sweep
from fashion_lightning.sweeps.worker import Worker, sweep_up

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

LR = "model.optimizer.init_args.lr"
CONFIG: dict[str, Any] = {"trainer": {"max_epochs": 4}, "model": {}}

FOLDER = Path("tiny_sweep")


class Process:
    """A process that trains until it is told to end."""

    def __init__(self) -> None:
        self.pid = 1
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode

    def terminate(self) -> None:
        self.returncode = 143


@pytest.fixture
def sweep() -> Sweep:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    FOLDER.mkdir()
    return another_worker()


def another_worker() -> Sweep:
    url = storage_url(None, FOLDER)
    space = {LR: FloatDistribution(0.001, 0.1, log=True)}
    definition = Definition({}, space, 1, "val/accuracy", "maximize", "random", "median", 8)  # type: ignore[arg-type]
    with one_at_a_time(FOLDER):
        study = SharedStudy(open_storage(url, retry), "tiny_sweep", definition, None)
    return Sweep(study, Patience(url), Worker(FOLDER), FOLDER, FOLDER, CONFIG, {})


def take(sweep: Sweep) -> TrialJob:
    sweep.next_look = 0.0
    job = sweep.take(lambda line: None)
    assert job is not None
    job.process = Process()  # type: ignore[assignment]
    return job


def train(monkeypatch: pytest.MonkeyPatch, job: TrialJob, curve: dict[int, float]) -> None:
    """Leave in a trial's folder what a fit that has come so far leaves there."""
    assert job.run_dir is not None
    job.run_dir.mkdir(exist_ok=True)
    progress = {"epoch": len(curve), "epochs": 4, "step": 1, "steps": None, "state": "training", "pid": 1, "threads": 1}
    (job.run_dir / "progress.json").write_text(json.dumps(progress))
    monkeypatch.setattr(module, "read_curve", lambda run_dir, tag: curve if run_dir == job.run_dir else {})


def finish(monkeypatch: pytest.MonkeyPatch, sweep: Sweep, job: TrialJob, value: float) -> None:
    train(monkeypatch, job, dict.fromkeys(range(1, 5), value))
    report = {"best": {"val/accuracy": value}, "fit_seconds": 1.0}
    monkeypatch.setattr(module, "read_results", lambda run_dir: SimpleNamespace(fit=report))
    assert sweep.end(job) is not None


def test_pruning_goes_by_each_epoch_in_its_order_whenever_it_is_looked_at(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        finish(monkeypatch, sweep, take(sweep), 0.9)
    often, rarely = take(sweep), take(sweep)
    curve = {1: 0.5, 2: 0.5, 3: 0.5, 4: 0.99}  # better in the end, but too late
    ends = []
    for job, looks in ((often, (1, 2, 3, 4)), (rarely, (4,))):
        for epoch in looks:
            train(monkeypatch, job, {number: curve[number] for number in range(1, epoch + 1)})
            sweep.follow(job)
        ends.append((job.given_up, job.curve))
        line = sweep.end(job)
        assert line is not None
        assert "pruned after epoch 2: validation accuracy 50.00 %" in line
    assert ends == [("pruned", {1: 0.5, 2: 0.5})] * 2
    assert [trial.state for trial in sweep.study.trials()] == ["complete"] * 6 + ["pruned"] * 2


def test_a_trial_that_was_to_be_given_up_when_its_worker_was_killed_is_given_up_by_the_next(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        finish(monkeypatch, sweep, take(sweep), 0.9)
    job = take(sweep)
    assert job.attempt is not None
    for epoch in (1, 2):
        sweep.study.report(job.attempt, epoch, 0.5)  # and killed before it asked
    sweep.study.give_back(job.attempt)
    other = another_worker()
    again = other.take(lambda line: None)
    assert again is not None
    assert (again.number, again.values) == (job.number, job.values)
    assert other.next_command(again) is None
    assert again.given_up == "pruned"


def test_a_worker_whose_trial_was_given_to_another_ends_its_fit_and_lets_go(sweep: Sweep) -> None:
    job = take(sweep)
    assert job.attempt is not None
    sweep.study.give_back(job.attempt)  # as others do with one that was suspended for long
    other = take(another_worker())
    assert other.number == job.number
    sweep.follow(job)
    assert job.process is not None
    assert job.process.returncode is None  # it has just given a sign of life, and has not looked yet
    job.sign_of_life -= HEARTBEAT_SECONDS
    sweep.follow(job)
    assert job.process.returncode == 143
    assert "was given to another worker" in (sweep.end(job) or "")
    assert not job.done
    assert sweep.study.trials()[job.number].state == "running"


def test_a_worker_that_reports_a_trial_which_it_has_lost_lets_go(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    job = take(sweep)
    assert job.attempt is not None
    assert job.process is not None
    sweep.study.give_back(job.attempt)
    train(monkeypatch, job, {1: 0.5})
    sweep.follow(job)
    assert job.process.returncode == 143
    assert "was given to another worker" in (sweep.end(job) or "")


def test_a_trial_without_the_metric_that_it_is_judged_by_has_failed(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = take(sweep)
    train(monkeypatch, job, {})
    monkeypatch.setattr(module, "read_results", lambda run_dir: SimpleNamespace(fit={"best": {}}))
    assert sweep.end(job) == "trial 0: tiny_sweep/version_0: fit.json lacks val/accuracy"
    assert sweep.study.trials()[0].state == "failed"


def test_a_trial_is_as_far_as_all_its_seeds_are(sweep: Sweep) -> None:
    sweep.definition = replace(sweep.definition, seeds=2)
    job = take(sweep)
    assert [run.name for run in sweep.runs_of(3)] == ["version_6", "version_7"]
    assert sweep.way(job, 0.5) == 0.25
    job.run_dir = sweep.runs_of(job.number)[1]
    assert sweep.way(job, 0.5) == 0.75


def test_a_fit_goes_on_while_the_database_is_away_and_its_end_is_told_later(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = take(sweep)

    def away(_: object) -> None:
        raise Away

    with monkeypatch.context() as outage:
        outage.setattr(sweep.patience, "ask", away)
        train(outage, job, {1: 0.5})
        sweep.follow(job)
        assert job.process is not None
        assert job.process.returncode is None
        assert sweep.end(job) is None
        sweep.next_look = 0.0
        assert sweep.take(lambda line: None) is None
        assert not sweep.is_empty()
    finish(monkeypatch, sweep, job, 0.9)
    assert sweep.study.trials()[0].state == "complete"


def test_a_worker_that_was_killed_on_this_machine_is_known_to_be_gone_at_once(sweep: Sweep) -> None:
    begun = take(sweep)
    assert begun.attempt is not None
    killed = FOLDER / ".worker-0123abcd.lock"
    killed.touch()
    gone = {**sweep.worker.record, "lock": killed.name}
    sweep.study.storage.set_trial_user_attr(begun.attempt._trial_id, "worker", gone)
    other = another_worker()
    assert take(other).number == begun.number
    assert not other.worker.knows_gone(other.worker.record)
    assert not other.worker.knows_gone({**gone, "machine": "another"})
    assert not other.worker.knows_gone({**gone, "lock": "../../somewhere"})
    killed.unlink()
    assert not other.worker.knows_gone(gone)
    killed.touch()
    sweep_up(FOLDER)
    assert not killed.exists()


def test_a_worker_that_lives_holds_its_file(sweep: Sweep) -> None:
    look = (
        "import sys; from fashion_lightning.files.lock import is_locked; from pathlib import Path;"
        "sys.exit(not is_locked(Path(sys.argv[1])))"
    )
    subprocess.run(["python", "-c", look, str(sweep.worker.path)], check=True)


def test_interrupted_trials_go_to_whoever_comes_next(sweep: Sweep) -> None:
    job = take(sweep)
    sweep.release([job])
    assert sweep.mine == set()
    again = take(another_worker())
    assert (again.number, again.values) == (job.number, job.values)


def test_workers_that_reach_for_trials_at_the_same_instant_share_them(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Worker, "knows_gone", lambda *_: False)  # locks are between processes; these are threads

    def take_all(_: int) -> list[int]:
        worker, taken = another_worker(), []
        while (job := worker.take(lambda line: None)) is not None:
            taken.append(job.number)
        return taken

    with ThreadPoolExecutor(3) as workers:
        taken = [number for numbers in workers.map(take_all, range(3)) for number in numbers]
    assert sorted(taken) == list(range(8))
    assert len(sweep.study.study.get_trials()) == 8


def test_a_run_that_somebody_typed_is_not_taken_for_a_trial(sweep: Sweep) -> None:
    job = take(sweep)
    assert job.run_dir is not None
    (job.run_dir / "checkpoints").mkdir(parents=True)
    (job.run_dir / "checkpoints/last.ckpt").touch()
    (job.run_dir / "config.yaml").write_text("{model: {}, seed_everything: 7}")
    with pytest.raises(UserError, match=r"version_0 is another run, not trial 0's \(seed_everything 0\): move it"):
        sweep.next_command(job)
