"""``compare`` and ``list`` read run folders that anybody may have made."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run

Damage = Callable[[Path], Any]


def report(**values: Any) -> Damage:
    """Changes a finished run's fit.json."""

    def change(run: Path) -> None:
        path = run / "fit.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def text(name: str, content: str) -> Damage:
    return lambda run: (run / name).write_text(content)


def pipe(name: str) -> Damage:
    """A named pipe, which whoever opens it waits for."""

    def make(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)

    return make


EVENTS = "events.out.tfevents.1.somebody.1.0"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (text("fit.json", "[" * 5000 + "]" * 5000), "not finished"),
        (text("fit.json", '{"seed": 0}'), "not finished"),
        (report(seed="0"), "not finished"),
        (report(best={"epoch": 1, "steps": 2}), "no validation metrics"),
        (pipe("fit.json"), "not finished"),
        (pipe("config.yaml"), "config.yaml is damaged"),
        (text("config.yaml", "a: &a [*a]"), "config.yaml is damaged"),
    ],
)
def test_a_report_or_config_that_cannot_be_is_named_in_the_table(
    cli: Run, trained: Path, damage: Damage, reason: str
) -> None:
    damage(trained)
    assert reason in cli("compare", trained, "--output", "comparison", exits=2)
    assert not Path("comparison").exists()


@pytest.mark.parametrize(
    "damage",
    [
        pipe(EVENTS),
        lambda run: (run / EVENTS).mkdir(),
        lambda run: (run / EVENTS).symlink_to("/dev/zero"),
        lambda run: (run / EVENTS).write_bytes(os.urandom(1000)),
        pipe("progress.json"),
        pipe("run.json"),
        text("progress.json", "[" * 4000),
    ],
)
def test_what_else_lies_in_the_folder_is_passed_over(cli: Run, trained: Path, damage: Damage) -> None:
    damage(trained)
    assert "lack" not in cli("compare", trained, "--output", "comparison")
    assert "tiny/version_0" in cli("list")


def test_names_in_a_config_do_not_reach_the_terminal_as_they_are(cli: Run, trained: Path) -> None:
    other = trained.with_name("version_1")
    other.mkdir()
    for name in ("fit.json", "config.yaml"):
        (other / name).write_bytes((trained / name).read_bytes())
    text("config.yaml", 'seed_everything: 0\nmodel: {"\\e[31mred": "\\e]0;title\\a"}\n')(other)
    printed = cli("compare", "tiny")
    assert "\x1b" not in printed
    assert "\\x1b[31mred" in printed
