"""What a sweep searches, and its study in a database; mostly without training anything."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import MedianPruner
from optuna.trial import TrialState
from sqlalchemy import event

from fashion_lightning.cli.commands import SHORT_NAMES
from fashion_lightning.errors import UserError
from fashion_lightning.sweeps import search as module
from fashion_lightning.sweeps.search import Search
from fashion_lightning.sweeps.space import Space, read_space
from fashion_lightning.sweeps.study import Storage, errors_in_one_line, latest, open_storage, open_study, storage_url
from tests import postgresql, sweep_kills

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:The reported value is ignored"),
]

SPACE: Space = {"lr": FloatDistribution(0.001, 0.1, log=True), "flip": CategoricalDistribution(["none", "random"])}
DEFINITION = {"data.batch_size": "50", "monitor": "val/accuracy"}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with Optuna's tables, which take a while to make."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = tmp_path_factory.mktemp("empty")
    open_storage(storage_url(None, folder), threading.Event())
    return folder / "study.db"


@pytest.fixture
def storage(tmp_path: Path, empty: Path) -> Storage:
    shutil.copy(empty, tmp_path / "study.db")
    return open_storage(storage_url(None, tmp_path), threading.Event())


def opened(storage: Storage, **changes: str) -> optuna.Study:
    return open_study(storage, "study", {**DEFINITION, **changes}, False, MedianPruner(), False)


class FakeFits:
    """Replays given curves instead of training in processes."""

    def __init__(self, curves: dict[str, dict[int, float]]) -> None:
        self.curves, self.lines, self.stopping = curves, list[str](), threading.Event()
        self.seen: dict[Path, dict[int, float]] = {}

    def wait_for_others(self, label: str, run_dir: Path) -> None:
        """Nobody else trains."""

    def run(self, command: list[str], run_dir: Path, each_epoch: Callable[[], None]) -> None:
        label = run_dir.name.replace("version_", "trial ")
        if label not in self.curves:
            raise UserError("the disk is full")
        for epoch, value in self.curves[label].items():
            self.seen.setdefault(run_dir, {})[epoch] = value
            each_epoch()

    def end(self, label: str, line: str) -> None:
        self.lines.append(f"{label}   {line}")


def search(
    study: optuna.Study, curves: dict[str, dict[int, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Search, FakeFits]:
    def read_results(run_dir: Path) -> SimpleNamespace:
        return SimpleNamespace(fit={"best": {"val/accuracy": max(fits.seen[run_dir].values())}, "fit_seconds": 1.0})

    fits: Any = FakeFits(curves)
    monkeypatch.setattr(module, "read_curve", lambda run_dir, _: fits.seen[run_dir])
    monkeypatch.setattr(module, "read_results", read_results)
    config: dict[str, Any] = {"trainer": {}}
    return Search(study, SPACE, "val/accuracy", tmp_path, config, fits), fits


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in latest(study).values()]


@pytest.mark.slow
def test_a_hopeless_trial_is_given_up_and_a_failing_one_is_named_and_tried_again_by_the_next_command(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = {1: 0.8, 2: 0.9}, {1: 0.1, 2: 0.2, 3: 0.99}  # better in the end, but too late
    curves = {f"trial {number}": good for number in range(6)} | {"trial 6": bad}
    study = opened(storage)
    first, fits = search(study, curves, tmp_path, monkeypatch)
    first.run(8, 1)
    assert states(study) == ["COMPLETE"] * 6 + ["PRUNED", "FAIL"]
    assert first.failures == ["trial 7: the disk is full"]
    assert fits.lines[6].startswith("trial 6   pruned after epoch 1: validation accuracy 10.00 %   lr ")
    settings = latest(study)[7].params

    study = opened(storage)
    assert states(study)[-1] == "WAITING"
    again, fits = search(study, {**curves, "trial 7": good}, tmp_path, monkeypatch)
    again.run(8, 1)
    assert [line.partition("   ")[0] for line in fits.lines] == ["trial 7"]
    assert (states(study)[-1], latest(study)[7].params) == ("COMPLETE", settings)


def test_a_trial_that_was_lost_goes_on_as_the_same_trial(storage: Storage) -> None:
    study = opened(storage)
    study.ask()
    lost = study.ask(dict(SPACE))
    lost.report(0.5, 1)
    lost.set_user_attr("run", "version_1")
    for _ in range(2):  # lost twice
        study = opened(storage)
        assert states(study) == ["WAITING"] * 2
        study.ask()
        found = latest(study)[1]
        study.ask(dict(SPACE))
    assert (found.params, found.intermediate_values, found.user_attrs) == (
        lost.params,
        {1: 0.5},
        {"run": "version_1"},
    )
    study.ask()
    assert list(latest(study)) == [0, 1, 2]


def test_two_threads_never_get_the_same_trial(storage: Storage) -> None:
    study = opened(storage)
    for _ in range(20):
        study.add_trial(optuna.create_trial(state=TrialState.WAITING))
    with ThreadPoolExecutor(4) as threads:
        numbers = [trial.number for trial in threads.map(lambda _: study.ask(), range(20))]
    assert sorted(numbers) == list(range(20))


def test_a_study_that_goes_on_does_not_propose_its_first_trials_again(storage: Storage) -> None:
    proposals = [opened(storage).ask(dict(SPACE)).params["lr"] for _ in range(2)]
    again = optuna.create_study(sampler=opened(storage).sampler)
    assert len({*proposals, again.ask(dict(SPACE)).params["lr"]}) == 2


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"data.batch_size": "25"}, "begun with data.batch_size 50; now it is 25"),
        ({"lr in the space": "0.1 to 1"}, "begun with lr in the space not there; now it is 0.1 to 1"),
        ({"monitor": "val/loss"}, "begun with monitor val/accuracy; now it is val/loss"),
    ],
)
def test_a_study_goes_on_with_what_it_was_begun_with(storage: Storage, change: dict[str, str], line: str) -> None:
    opened(storage)
    with pytest.raises(UserError, match=line):
        opened(storage, **change)


@pytest.mark.parametrize("given", ["nonsense", "sqlite://", "postgresql://me:secret@host:port/study"])
def test_an_address_that_is_none_is_refused_without_its_password(tmp_path: Path, given: str) -> None:
    with pytest.raises(UserError, match="--storage must be a database address such as") as refused:
        storage_url(given, tmp_path)
    assert "secret" not in str(refused.value)


@pytest.mark.slow
def test_a_server_that_is_not_there_is_said_in_one_line_without_the_password() -> None:
    url = storage_url("postgresql://me:secret@127.0.0.1:1/study", Path())
    with pytest.raises(UserError) as refused, errors_in_one_line(url):
        open_storage(url, threading.Event())
    assert "The storage postgresql+psycopg://me:***@127.0.0.1:1/study cannot be used" in str(refused.value)
    assert "refused" in str(refused.value)


def test_a_full_disk_is_said_in_one_line(tmp_path: Path, storage: Storage) -> None:
    study = opened(storage)
    event.listen(storage.engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 1"))
    match = r"study.db cannot be used: database or disk is full. Trained runs are kept"
    with pytest.raises(UserError, match=match), errors_in_one_line(storage_url(None, tmp_path)):
        study.set_user_attr("much", "x" * 100_000)


LR = "model.optimizer.init_args.lr"


def read(tmp_path: Path, text: str) -> Space:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return read_space(path, SHORT_NAMES)


def test_ranges_scales_steps_and_choices_are_read_by_short_and_by_dotted_names(tmp_path: Path) -> None:
    text = """
        lr: {low: 3e-4, high: 0.03, log: true}
        data.batch_size: {choices: [32, 64]}
        model.optimizer.init_args.weight_decay: {choices: [0, 1e-4]}
        data.shift: {low: 0, high: 4, step: 2}
        model.network.init_args.hidden: {choices: [[64], [128, 64]]}
        """
    assert read(tmp_path, text) == {
        LR: FloatDistribution(0.0003, 0.03, log=True),
        "data.batch_size": CategoricalDistribution([32, 64]),
        "model.optimizer.init_args.weight_decay": CategoricalDistribution([0, 0.0001]),
        "data.shift": IntDistribution(0, 4, step=2),
        "model.network.init_args.hidden": CategoricalDistribution(["[64]", "[128, 64]"]),
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "must hold settings with ranges"),
        ("lr: 0.1", "lr needs {low: 1, high: 9} or {choices: [1, 9]}"),
        ("lr: {low: 0.1, high: 0.1}", "the range is empty, or endless"),
        ("lr: {low: 0.2, high: 0.1}", "low=0.2, high=0.1"),
        ("lr: {low: 0.1}", "'high'"),
        ("lr: {low: little, high: 0.1}", "not supported between instances of"),
        ("lr: {low: 0, high: 0.1, log: true}", "low=0,"),
        ("lr: {low: 0.1, high: .inf}", "the range is empty, or endless"),
        ("lr: {low: 0.1, high: 0.2, logg: true}", "'logg'"),
        ("lr: {low: 0.1, high: 0.2, choices: [1, 2]}", "'low'"),
        ("lr: {low: 1, high: 8, log: true, step: 2}", "step"),
        ("data.shift: {low: 0, high: 3, step: 2}", "[0, 3]"),
        ("data.shift: {low: 0, high: 3, step: 0}", "step"),
        ("data.flip: {choices: []}", "choices"),
        ("data.flip: {choices: [{a: 1}, {b: 1}]}", "dict"),
        ("batch_sise: {choices: [1, 2]}", "batch_sise cannot be searched"),
        ("seed: {choices: [1, 2]}", "seed_everything cannot be searched"),
        ("data.root: {choices: [a, b]}", "data.root cannot be searched"),
        ("data.val_size: {choices: [100, 200]}", "data.val_size cannot be searched"),
        ("trainer.devices: {choices: [1, 2]}", "trainer.devices cannot be searched"),
        ("trainer.callbacks: {choices: [a, b]}", "trainer.callbacks cannot be searched"),
        (f"lr: {{low: 1, high: 2}}\n{LR}: {{low: 1, high: 2}}", f"names {LR} twice"),
        ("lr: {low: 1, high: 2}\nlr: {low: 1, high: 2}", "names 'lr' twice"),
    ],
)
def test_what_cannot_be_searched_is_said_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(UserError) as refused:
        read(tmp_path, text)
    assert line in str(refused.value)
    assert "space.yaml" in str(refused.value)


@pytest.mark.slow
@pytest.mark.skipif(postgresql.MISSING, reason=postgresql.REASON)
def test_two_workers_of_which_one_is_killed_share_a_study_whose_server_starts_anew() -> None:
    assert sweep_kills.run(trials=3, workers=2, kills=1, restarts=1, seed=0) == (3, [])


@pytest.mark.slow
@pytest.mark.skipif(postgresql.MISSING, reason=postgresql.REASON)
def test_a_question_is_repeated_when_its_connection_ends_within_the_transaction() -> None:
    with postgresql.server() as server:
        storage = open_storage(storage_url(server.url("postgres"), Path()), threading.Event())
        study = opened(storage)
        event.listen(
            storage.engine,
            "after_cursor_execute",
            lambda connection, *_: connection.connection.driver_connection.close(),
            once=True,
        )
        study.set_user_attr("answer", 42)
        assert study.user_attrs["answer"] == 42
