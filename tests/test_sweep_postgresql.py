"""Workers that share a study in a real PostgreSQL server."""

import threading
from pathlib import Path

import pytest

from fashion_lightning.errors import UserError
from fashion_lightning.sweeps.study import errors_in_one_line, open_storage, storage_url
from tests import postgresql, sweep_kills

pytestmark = [pytest.mark.slow, pytest.mark.skipif(postgresql.MISSING, reason=postgresql.REASON)]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_wrong_password_and_a_missing_database_are_said_without_the_password() -> None:
    with postgresql.server() as server:
        for address, line in (
            (server.url("postgres", "wr0ng"), "password authentication failed"),
            (server.url("nowhere"), 'database "nowhere" does not exist'),
        ):
            url = storage_url(address, Path())
            with pytest.raises(UserError) as refused, errors_in_one_line(url):
                open_storage(url, threading.Event())
            assert line in str(refused.value)
            assert f"{postgresql.USER}:***@127.0.0.1" in str(refused.value)
            assert "wr0ng" not in str(refused.value)
            assert postgresql.PASSWORD not in str(refused.value)
        open_storage(storage_url(server.url("postgres"), Path()), threading.Event())


def test_two_workers_of_which_one_is_killed_share_a_study_whose_server_starts_anew() -> None:
    assert sweep_kills.run(trials=3, workers=2, kill_count=1, restarts=1, seed=0) == (3, [])
