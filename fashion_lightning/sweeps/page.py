"""The page of a sweep: its trials, and Optuna's own plots of them."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna import visualization
from plotly.offline import get_plotlyjs

from fashion_lightning.report.page import render
from fashion_lightning.sweeps.space import short

MARGIN = {"l": 8, "r": 8, "t": 40, "b": 8}

PLOTS: Mapping[str, tuple[Any, dict[str, Any]]] = {
    "History": (
        visualization.plot_optimization_history,
        {"xaxis_title": "trial", "legend": {"orientation": "h", "y": 1.12}},
    ),
    "Importance": (
        visualization.plot_param_importances,
        {"xaxis": {"title": "importance", "range": [0, 1.2]}, "yaxis_title": None},
    ),
    "Parallel coordinates": (
        visualization.plot_parallel_coordinate,
        {"margin": {"l": 60, "r": 30, "t": 60, "b": 30}},
    ),
    "Curves": (visualization.plot_intermediate_values, {"xaxis_title": "epoch"}),
}
"""Function and layout of each plot."""


def sweep_page(
    study: optuna.Study,
    name: str,
    objective: str,
    space: Mapping[str, str],
    complete: int,
    heading: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> bytes:
    """Make the page; with its plots it is about 5 MB, most of it plotly's own code, and needs no network.

    Args:
        study: whose trials are plotted.
        name: of the sweep.
        objective: what the trials are judged by, in words.
        space: what was searched, in words.
        complete: how many trials were trained to their end.
        heading: of the table of trials.
        rows: of that table.
    """
    plots = []
    for words, (draw, layout) in PLOTS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # the importances of equal trials are equal
                figure = draw(study) if words == "Curves" else draw(study, target_name=objective)
        except (RuntimeError, ValueError):  # too few trials, or all alike
            continue
        figure.update_layout(**{"title": None, "template": "plotly_white", "margin": MARGIN, **layout})
        figure.update_xaxes(automargin=True)
        figure.update_yaxes(automargin=True)
        text = figure.to_json().replace("<", "\\u003c").replace("Intermediate Value", objective)
        for key in space:
            text = text.replace(key, short(key))
        plots.append((words, text))
    content = {"objective": objective, "space": space, "complete": complete, "heading": heading, "rows": rows}
    return render("sweep.html", title=f"Sweep {name}", plots=plots, plotly=get_plotlyjs(), **content)
