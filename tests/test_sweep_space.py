"""The YAML that says what a sweep searches."""

from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from fashion_lightning.cli.flags import LONG
from fashion_lightning.errors import UserError
from fashion_lightning.sweeps.space import as_flags, corners, holds, in_words, read_space, readable, short_names

LR = "model.optimizer.init_args.lr"


def space(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return path


def test_ranges_scales_steps_and_choices_are_read_by_short_and_by_dotted_names(tmp_path: Path) -> None:
    path = space(
        tmp_path,
        """
        lr: {low: 3e-4, high: 0.03, log: true}
        data.batch_size: {choices: [32, 64]}
        model.optimizer.init_args.weight_decay: {choices: [0, 1e-4]}
        data.shift: {low: 0, high: 4, step: 2}
        model.network.init_args.hidden: {choices: [[64], [128, 64]]}
        """,
    )
    assert read_space(path, LONG) == {
        LR: FloatDistribution(0.0003, 0.03, log=True),
        "data.batch_size": CategoricalDistribution([32, 64]),
        "model.optimizer.init_args.weight_decay": CategoricalDistribution([0, 0.0001]),
        "data.shift": IntDistribution(0, 4, step=2),
        "model.network.init_args.hidden": CategoricalDistribution(["[64]", "[128, 64]"]),
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "is not a space"),
        ("- lr", "is not a space"),
        ("lr: 0.1", "lr needs a range or choices"),
        ("lr: {low: 0.1, high: 0.1}", "lr is an empty range: low is 0.1, high is 0.1"),
        ("lr: {low: 0.2, high: 0.1}", "lr is an empty range"),
        ("lr: {low: 0.1}", "lr lacks high"),
        ("lr: {low: little, high: 0.1}", "low must be a finite number, not 'little'"),
        ("lr: {low: 0, high: 0.1, log: true}", "must begin above 0"),
        ("lr: {low: 0.1, high: 0.2, log: 1}", "log must be true or false"),
        ("lr: {low: 0.1, high: 0.2, logg: true}", "does not take 'logg' (did you mean log?)"),
        ("lr: {low: 0.1, high: 0.2, choices: [1, 2]}", "belong to a range"),
        ("lr: {low: 1, high: 8, log: true, step: 2}", "a logarithmic range has no step"),
        ("data.shift: {low: 0, high: 3, step: 2}", "steps of 2 from 0 do not reach 3"),
        ("data.shift: {low: 0, high: 3, step: 0}", "step must be above 0"),
        ("data.flip: {choices: [none]}", "choices must be a list of two or more"),
        ("data.flip: {choices: [{a: 1}, {b: 1}]}", "choices must be numbers, words or lists of them"),
        ("data.flip: {choices: [none, none]}", "two of the choices are the same"),
        ("batch_sise: {choices: [1, 2]}", "did you mean batch_size?"),
        ("seed: {choices: [1, 2]}", "--seeds says with how many"),
        ("data.root: {choices: [a, b]}", "data.root is no part of a recipe"),
        ("trainer.devices: {choices: [1, 2]}", "trainer.devices is no part of a recipe"),
        ("trainer.callbacks: {choices: [a, b]}", "trainer.callbacks is no part of a recipe"),
        ("best_checkpoint.monitor: {choices: [a, b]}", "is no setting that can be searched"),
        (f"lr: {{low: 1, high: 2}}\n{LR}: {{low: 1, high: 2}}", f"names {LR} twice"),
        ("lr: {low: 1, high: 2}\nlr: {low: 1, high: 2}", "names 'lr' twice"),
    ],
)
def test_what_cannot_be_searched_is_said_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(UserError) as refused:
        read_space(space(tmp_path, text), LONG)
    assert line in str(refused.value)
    assert "space.yaml" in str(refused.value)


def test_the_corners_hold_both_ends_and_every_choice() -> None:
    searched = {LR: FloatDistribution(0.1, 0.2), "data.batch_size": CategoricalDistribution([1, 2, 3])}
    assert corners(searched) == [
        {LR: 0.1, "data.batch_size": 1},
        {LR: 0.2, "data.batch_size": 2},
        {LR: 0.2, "data.batch_size": 3},
    ]


def test_numbers_are_short_unless_the_range_is_narrow() -> None:
    assert readable(0.0123456789, FloatDistribution(0.001, 0.1, log=True)) == 0.01235
    assert readable(0.09999999, FloatDistribution(0.001, 0.1)) == 0.1
    assert readable(0.99991234, FloatDistribution(0.9999, 0.99999)) == 0.99991234
    assert readable(7, IntDistribution(1, 10)) == 7


def test_only_settings_out_of_the_space_are_taken_from_a_database() -> None:
    space = {LR: FloatDistribution(0.1, 0.2), "data.flip": CategoricalDistribution(["none", 1])}
    assert holds(space, {LR: 0.15, "data.flip": "none"})
    for values in (
        {LR: 0.15},
        {LR: 0.15, "data.flip": "none", "trainer.callbacks": "some.Code"},
        {LR: 0.3, "data.flip": "none"},
        {LR: "0.15", "data.flip": "none"},
        {LR: float("nan"), "data.flip": "none"},
        {LR: 0.15, "data.flip": True},
        [LR],
    ):
        assert not holds(space, values)


def test_settings_are_typed_as_a_person_would() -> None:
    assert as_flags({LR: 1e-05, "data.flip": "none", "a.b": None, "c.d": True}) == [
        f"--{LR}=1e-05",
        "--data.flip=none",
        "--a.b=null",
        "--c.d=true",
    ]
    assert in_words(FloatDistribution(0.001, 0.1, log=True)) == "0.001 to 0.1, log"
    assert in_words(CategoricalDistribution([1, 2, 3])) == "1, 2 or 3"
    keys = [LR, "model.network.init_args.dropout", "model.other.init_args.dropout"]
    assert list(short_names(keys).values()) == ["lr", "network.dropout", "other.dropout"]
