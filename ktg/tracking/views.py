"""Defines the views of an experiment that MLflow's pages offer: which runs, columns and charts.

MLflow keeps a view that a user saves in its pages as a tag of the experiment. Ours are written in
the same form when an experiment is created, so that a search shows its accuracies at once.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

TRIALS, CURVES, SEARCHES = "ktg-trials", "ktg-curves", "ktg-searches"
_TAG = "mlflow.sharedViewState."
_MOST_COLUMNS, _MOST_LETTERS = 24, 1500  # of holes; a tag of MLflow has at most 5,000 characters
_NOTE = (
    "Views, at the top right, has the trials from the best to the worst, their curves, "
    "and a line for each search."
)
_SPENT = (
    "metrics.epochs",
    "metrics.epochs_saved",
    "params.search.sampler",
    "params.search.scheduler",
)
_LOSS = "loss"  # the one metric of which less is better, and that is no share


def experiment_tags() -> dict[str, str]:
    """Return the tags of a new experiment: its kind, its description and its views."""
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": _NOTE,
        **describe_views((), "accuracy"),
    }


def describe_views(holes: Sequence[str], metric: str) -> dict[str, str]:
    """Return the views of the trials (the best first), their curves and the searches, as tags.

    holes: a column for each. metric: what the trials are compared by, as a space says it.
    """
    key, metrics = f"val_{metric}", dict.fromkeys((metric, "accuracy"))
    # In percent they are rounded: MLflow shows all digits that a number has.
    shown = tuple(
        f"metrics.{one}_percent" if one != _LOSS else "metrics.val_loss" for one in metrics
    )
    columns = (*shown, "tags.state", "tags.epoch")
    own = (*columns, *(f"params.{hole}" for hole in _fit(holes)))
    trials, bare = (
        _describe_runs("tags.kind = 'trial'", f"metrics.`{key}`", each, metric == _LOSS)
        for each in (own, columns)
    )
    scales = {f"val_{one}": "linear" for one in metrics if one != _LOSS} | {"val_loss": "log"}
    best = tuple(f"metrics.best_val_{one}" for one in metrics)
    about = (*best, "tags.best_trial", "tags.state", *_SPENT)
    searches = _describe_runs("tags.kind = 'search'", "attributes.start_time", about)
    return {
        _TAG + TRIALS: _name_view("Trials, the best first", trials),
        _TAG + CURVES: _name_view("Learning curves", bare | _describe_charts(scales)),
        _TAG + SEARCHES: _name_view("Searches", searches),
    }


def is_own_view(tag: str | None) -> bool:
    """Return whether a view in a tag is ours, and no user's."""
    try:
        view = json.loads(tag or "")
        return (view["createdAt"], view["updatedAt"]) == (0, 0)
    except (ValueError, TypeError, KeyError):
        return False


def _fit(holes: Sequence[str]) -> Sequence[str]:
    """Return the first of the holes, as many as a tag of MLflow has room for."""
    lengths = itertools.accumulate(map(len, holes))
    fitting = sum(length <= _MOST_LETTERS for length in lengths)
    return holes[: min(fitting, _MOST_COLUMNS)]


def view_path(experiment_id: str, view: str) -> str:
    """Return where MLflow's pages show a view of an experiment, from the server's address on."""
    mode = "&compareRunsMode=CHART" if view == CURVES else ""
    return f"/#/experiments/{experiment_id}/runs?viewStateShareKey={view}{mode}"


def _name_view(name: str, state: Mapping[str, Any]) -> str:
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})


def _describe_runs(
    query: str, order: str, columns: Sequence[str], ascending: bool = False
) -> dict[str, Any]:
    """Return the state of a page with these runs and columns (MLflow wants names in backticks)."""
    parts = [column.partition(".") for column in columns]
    return {
        "searchFilter": query,
        "orderByKey": order,
        "orderByAsc": ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [f"{kind}.`{name}`" for kind, _, name in parts],
        "runsHiddenMode": "FIRST_20_RUNS",
    }


def _describe_charts(scales: Mapping[str, str]) -> dict[str, Any]:
    """Return the state of charts that draw metrics by epoch, all runs in one, on these scales."""
    section = {"uuid": "target", "name": "Target on the validation split", "display": True}
    lines = [
        {
            "type": "LINE",
            "uuid": metric,
            "metricKey": metric,
            "selectedMetricKeys": [metric],
            "metricSectionId": "target",
            "runsCountToCompare": 20,
            "xAxisKey": "step",
            "xAxisScaleType": "linear",
            "scaleType": scale,
            "selectedXAxisMetricKey": "",
            "lineSmoothness": 0,
            "useGlobalLineSmoothing": True,
            "useGlobalXaxisKey": True,
            "yAxisKey": "metric",
            "yAxisExpressions": [],
            "range": {},
            "deleted": False,
            "isGenerated": False,
        }
        for metric, scale in scales.items()
    ]
    return {
        "compareRunSections": [
            section | {"isReordered": False, "deleted": False, "isGenerated": False}
        ],
        "compareRunCharts": lines,
    }
