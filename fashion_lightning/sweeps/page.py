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
from fashion_lightning.sweeps.study import SharedTrial
from fashion_lightning.sweeps.suggestion import history

LEAST = 2
"""Trials that were trained to their end, from which there is something to plot."""


def sweep_page(results: Results) -> bytes:
    """Make the page; with its plots it is about 5 MB, most of it plotly's own code, and needs no network."""
    definition = results.definition
    names = short_names(list(definition.space))
    in_order = sorted(results.trials, key=lambda trial: trial.number)
    study = history(definition.direction, [_as_plotted(trial, names) for trial in in_order])
    complete = sum(trial.state == "complete" for trial in in_order)
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


def _as_plotted(trial: SharedTrial, names: dict[str, str]) -> FrozenTrial:
    """A trial whose settings have the names that fit on an axis; one without an end only keeps its number."""
    if trial.state not in ("complete", "pruned"):
        return optuna.create_trial(state=TrialState.FAIL)
    attempt = trial.attempt
    return optuna.create_trial(
        state=attempt.state,
        value=attempt.value if trial.state == "complete" else None,
        params={names[key]: value for key, value in attempt.params.items()},
        distributions={names[key]: distribution for key, distribution in attempt.distributions.items()},
        intermediate_values=attempt.intermediate_values,
    )


def _plots(study: optuna.Study, objective: str) -> list[tuple[str, str, str]]:
    """Name, heading and figure, as JSON, of each plot that these trials allow."""
    wanted: list[tuple[str, str, Callable[[], Any], dict[str, Any]]] = [
        (
            "history",
            "History",
            lambda: visualization.plot_optimization_history(study, target_name=objective),
            {"xaxis_title": "trial", "legend": {"orientation": "h", "y": 1.12}},
        ),
        (
            "importance",
            "Importance",
            lambda: visualization.plot_param_importances(study, target_name=objective),
            {"xaxis": {"title": "importance", "range": [0, 1.2]}, "yaxis_title": None},
        ),
        (
            "parallel",
            "Parallel coordinates",
            lambda: visualization.plot_parallel_coordinate(study, target_name=objective),
            {"margin": {"l": 60, "r": 30, "t": 60, "b": 30}},
        ),
        (
            "curves",
            "Curves",
            lambda: visualization.plot_intermediate_values(study),
            {"xaxis_title": "epoch", "yaxis_title": objective},
        ),
    ]
    found = []
    for name, words, draw, layout in wanted:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that importances are equal, of trials that are
                figure = draw()
        except (RuntimeError, ValueError):  # all trials alike, say: Optuna cannot tell what matters
            continue
        margin = {"l": 8, "r": 8, "t": 40, "b": 8}
        figure.update_layout(**{"title": None, "template": "plotly_white", "margin": margin, **layout})
        figure.update_xaxes(automargin=True)
        figure.update_yaxes(automargin=True)
        found.append((name, words, figure.to_json().replace("<", "\\u003c")))
    return found
