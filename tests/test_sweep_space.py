"""The YAML that says what a sweep searches."""

from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from fashion_lightning.cli.commands import SHORT_NAMES
from fashion_lightning.errors import UserError
from fashion_lightning.sweeps.fits import as_flags
from fashion_lightning.sweeps.space import Space, corners, in_words, read_space, short, shown

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
        ("batch_sise: {choices: [1, 2]}", "batch_sise is no part of a recipe"),
        ("seed: {choices: [1, 2]}", "seed_everything is no part of a recipe"),
        ("data.root: {choices: [a, b]}", "data.root is no part of a recipe"),
        ("trainer.devices: {choices: [1, 2]}", "trainer.devices is no part of a recipe"),
        ("trainer.callbacks: {choices: [a, b]}", "trainer.callbacks is no part of a recipe"),
        (f"lr: {{low: 1, high: 2}}\n{LR}: {{low: 1, high: 2}}", f"names {LR} twice"),
        ("lr: {low: 1, high: 2}\nlr: {low: 1, high: 2}", "names 'lr' twice"),
    ],
)
def test_what_cannot_be_searched_is_said_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(UserError) as refused:
        read(tmp_path, text)
    assert line in str(refused.value)
    assert "space.yaml" in str(refused.value)


def test_the_corners_hold_both_ends_and_every_choice() -> None:
    searched: Space = {LR: FloatDistribution(0.1, 0.2), "data.batch_size": CategoricalDistribution([1, 2, 3])}
    assert [tuple(corner.values()) for corner in corners(searched)] == [(0.1, 1), (0.2, 2), (0.2, 3)]


def test_settings_are_typed_as_a_person_would() -> None:
    typed = as_flags({LR: 1e-05, "data.flip": "none", "a.b": None, "c.d": True, "e": [1, 2]})
    assert typed == [f"--{LR}=1e-05", "--data.flip=none", "--a.b=null", "--c.d=true", "--e=[1, 2]"]
    assert in_words(FloatDistribution(0.001, 0.1, log=True)) == "0.001 to 0.1, log"
    assert in_words(IntDistribution(0, 4, step=2)) == "0 to 4 in steps of 2"
    assert in_words(CategoricalDistribution([1, 2, 3])) == "1, 2, 3"
    assert f"{short(LR)} {shown(0.0123456)}" == "optimizer.lr 0.01235"
