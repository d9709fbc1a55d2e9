"""Workers that share a study in a real PostgreSQL server."""

from pathlib import Path

import pytest

from fashion_lightning.errors import UserError
from fashion_lightning.sweeps.storage import open_storage, storage_url
from fashion_lightning.sweeps.study import retry
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
        open_storage(storage_url(server.url("postgres"), tmp_path), retry).engine.dispose()


def test_two_workers_of_which_one_is_killed_share_a_study_whose_server_starts_anew() -> None:
    killed, started, differences = sweep_kills.run(
        trials=2, workers=2, kill_count=1, restarts=1, sampler="random", pruner="none", seed=0
    )
    assert (killed, started >= 3) == (1, True)
    assert differences == []
