"""Workers that share a study in a real PostgreSQL server."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution

from fashion_lightning.errors import UserError
from fashion_lightning.sweeps.storage import open_storage, storage_url
from fashion_lightning.sweeps.study import Definition, SharedStudy, retry
from tests import postgresql, sweep_kills

pytestmark = [pytest.mark.slow, pytest.mark.skipif(postgresql.MISSING, reason=postgresql.REASON)]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_wrong_password_and_a_missing_database_are_said_without_the_password(tmp_path: Path) -> None:
    with postgresql.server() as server:
        for url, line in (
            (server.url("postgres", "wr0ng"), "password authentication failed"),
            (server.url("nowhere"), 'database "nowhere" does not exist'),
        ):
            with pytest.raises(UserError) as refused:
                open_storage(storage_url(url, tmp_path), retry)
            assert line in str(refused.value)
            assert f"{postgresql.USER}:***@127.0.0.1" in str(refused.value)
            assert "wr0ng" not in str(refused.value)
            assert postgresql.PASSWORD not in str(refused.value)
        open_storage(storage_url(server.url("postgres"), tmp_path), retry)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_workers_that_begin_a_study_at_the_same_instant_make_one(tmp_path: Path) -> None:
    definition = Definition({}, {"lr": FloatDistribution(0.1, 1)}, 1, "val/loss", "minimize", "random", "none", 5)
    with postgresql.server() as server:
        url = storage_url(server.create("new"), tmp_path)

        def begin(number: int) -> tuple[list[int], list[int]]:
            storage = open_storage(url, retry)
            study = SharedStudy(storage, "study", definition, None)
            worker = {"machine": str(number), "lock": ""}
            taken = [trial.number for trial in study.trials() if study.claim(trial.attempt, worker)]
            return [trial.number for trial in study.trials()], taken

        with ThreadPoolExecutor(6) as workers:
            begun = list(workers.map(begin, range(6)))
    assert [trials for trials, _ in begun] == [list(range(5))] * 6
    assert sorted(number for _, taken in begun for number in taken) == list(range(5))


def test_two_workers_of_which_one_is_killed_share_a_study_whose_server_starts_anew() -> None:
    killed, started, differences = sweep_kills.run(
        trials=2, workers=2, kill_count=1, restarts=1, sampler="random", pruner="none", seed=0
    )
    assert (killed, started >= 3) == (1, True)
    assert differences == []
