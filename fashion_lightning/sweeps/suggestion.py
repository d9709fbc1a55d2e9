"""What Optuna proposes and prunes, as functions of the trials so far and nothing else.

A sampler of Optuna's draws from one stream of random numbers, and goes by the order in which trials were stored. Here
each trial has a sampler of its own, seeded by the trial's number, which is shown the others in the order of their
numbers: a sweep that was killed and goes on proposes what an undisturbed one does.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from fashion_lightning.sweeps.space import Space, readable

Sampler = Literal["tpe", "random"]
Pruner = Literal["median", "none"]

SAMPLERS, PRUNERS = get_args(Sampler), get_args(Pruner)

Direction = Literal["minimize", "maximize"]


def suggest(
    sampler: Sampler, space: Space, direction: Direction, number: int, others: Sequence[FrozenTrial]
) -> dict[str, Any]:
    """The settings of a trial.

    Args:
        sampler: by its name.
        space: what is searched.
        direction: of the objective.
        number: of the trial.
        others: that are finished or are being trained, in the order of their numbers.
    """
    study = history(direction, others, _sampler(sampler, number))
    asked = study.ask(space)
    return {key: readable(asked.params[key], distribution) for key, distribution in space.items()}


def is_worse(
    pruner: Pruner, epochs: int, direction: Direction, curve: dict[int, float], finished: Sequence[FrozenTrial]
) -> bool:
    """Whether a trial is to be given up, by its objective after each epoch up to now.

    Args:
        pruner: by its name.
        epochs: that a trial has; ``median`` leaves it the first quarter of them.
        direction: of the objective.
        curve: values by epoch, counted from 1.
        finished: trials that were trained to their end, in the order of their numbers.
    """
    study = history(direction, [trial for trial in finished if trial.state == TrialState.COMPLETE])
    trial = optuna.create_trial(state=TrialState.RUNNING, intermediate_values=curve)
    return _pruner(pruner, epochs).prune(study, trial)


def history(direction: Direction, trials: Sequence[FrozenTrial], sampler: BaseSampler | None = None) -> optuna.Study:
    """A study in memory that holds these trials, numbered in this order."""
    study = optuna.create_study(direction=direction, sampler=sampler)
    for trial in trials:
        study.add_trial(
            optuna.create_trial(
                state=trial.state,
                value=trial.value if trial.state == TrialState.COMPLETE else None,
                params=trial.params,
                distributions=trial.distributions,
                intermediate_values=trial.intermediate_values,
            )
        )
    return study


def _sampler(name: Sampler, seed: int) -> BaseSampler:
    if name == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, constant_liar=True)  # keeps away from what others are just trying


def _pruner(name: Pruner, epochs: int) -> BasePruner:
    return NopPruner() if name == "none" else MedianPruner(n_warmup_steps=epochs // 4 + 1)
