"""The page of a sweep: its trials, and Optuna's own plots of them."""

import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna import visualization
from optuna.trial import FrozenTrial, TrialState
from plotly.offline import get_plotlyjs

from fashion_lightning.report.page import render
from fashion_lightning.sweeps.objective import title
from fashion_lightning.sweeps.results import Results, heading, rows
from fashion_lightning.sweeps.space import in_words, short_names
from fashion_lightning.sweeps.suggestion import history

LEAST = 2
"""Trials that were trained to their end, from which there is something to plot."""


def sweep_page(results: Results) -> bytes:
    """Make the page; with its plots it is about 5 MB, most of it plotly's own code, and needs no network."""
    definition = results.definition
    names = short_names(list(definition.space))
    trials = sorted((t for t in results.trials if t.state in ("complete", "pruned")), key=lambda t: t.number)
    study = history(definition.direction, [_with_short_names(trial.attempt, names) for trial in trials])
    complete = sum(trial.state == "complete" for trial in trials)
    return render(
        "sweep.html",
        title=f"Sweep {results.name}",
        heading=heading(results),
        rows=rows(results),
        space=[(key, in_words(distribution)) for key, distribution in definition.space.items()],
        definition=definition,
        objective=title(definition.monitor),
        complete=complete,
        plots=_plots(study, title(definition.monitor)) if complete >= LEAST else [],
        plotly=get_plotlyjs(),
    )


def _with_short_names(trial: FrozenTrial, names: dict[str, str]) -> FrozenTrial:
    """A copy of a trial whose settings have the names that fit on an axis."""
    return optuna.create_trial(
        state=trial.state,
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        params={names[key]: value for key, value in trial.params.items()},
        distributions={names[key]: distribution for key, distribution in trial.distributions.items()},
        intermediate_values=trial.intermediate_values,
    )


def _plots(study: optuna.Study, objective: str) -> list[tuple[str, str, str]]:
    """Name, heading and figure, as JSON, of each plot that these trials allow."""
    wanted: list[tuple[str, str, Callable[[], Any]]] = [
        ("history", "History", lambda: visualization.plot_optimization_history(study, target_name=objective)),
        ("importance", "Importance", lambda: visualization.plot_param_importances(study, target_name=objective)),
        (
            "parallel",
            "Parallel coordinates",
            lambda: visualization.plot_parallel_coordinate(study, target_name=objective),
        ),
        ("curves", "Curves", lambda: visualization.plot_intermediate_values(study)),
    ]
    found = []
    for name, words, draw in wanted:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that importances are equal, of trials that are
                figure = draw()
        except (RuntimeError, ValueError):  # all trials alike, say: Optuna cannot tell what matters
            continue
        figure.update_layout(title=None, template="plotly_white", margin={"l": 8, "r": 8, "t": 40, "b": 8})
        figure.update_xaxes(automargin=True)
        figure.update_yaxes(automargin=True)
        found.append((name, words, figure.to_json().replace("<", "\\u003c")))
    return found
