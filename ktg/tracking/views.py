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
TRIALS_TAG = _TAG + TRIALS
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
_SEARCHES = ("metrics.best_val_accuracy", "tags.best_trial", "tags.state", *_SPENT)
# The accuracy in percent is rounded: MLflow shows all digits that a number has.
_TRIALS = ("metrics.accuracy_percent", "tags.state", "tags.epoch")


def experiment_tags() -> dict[str, str]:
    """Return the tags of a new experiment: its kind, its description and its views."""
    trials = _list_trials(())
    searches = _describe_runs("tags.kind = 'search'", "attributes.start_time", _SEARCHES)
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": _NOTE,
        TRIALS_TAG: describe_trials(()),
        _TAG + CURVES: _name_view(
            "Learning curves", trials | _describe_charts(val_accuracy="linear", val_loss="log")
        ),
        _TAG + SEARCHES: _name_view("Searches", searches),
    }


def describe_trials(holes: Sequence[str]) -> str:
    """Return the view of trials, the best first, with a column for each hole, as a tag has it."""
    return _name_view("Trials, the best first", _list_trials(holes))


def is_own_view(tag: str | None) -> bool:
    """Return whether a view in a tag is ours, and no user's."""
    try:
        view = json.loads(tag or "")
        return (view["createdAt"], view["updatedAt"]) == (0, 0)
    except (ValueError, TypeError, KeyError):
        return False


def _list_trials(holes: Sequence[str]) -> dict[str, Any]:
    lengths = itertools.accumulate(map(len, holes))
    fitting = sum(length <= _MOST_LETTERS for length in lengths)
    shown = holes[: min(fitting, _MOST_COLUMNS)]
    columns = (*_TRIALS, *(f"params.{hole}" for hole in shown))
    return _describe_runs("tags.kind = 'trial'", "metrics.`val_accuracy`", columns)


def view_path(experiment_id: str, view: str) -> str:
    """Return where MLflow's pages show a view of an experiment, from the server's address on."""
    mode = "&compareRunsMode=CHART" if view == CURVES else ""
    return f"/#/experiments/{experiment_id}/runs?viewStateShareKey={view}{mode}"


def _name_view(name: str, state: Mapping[str, Any]) -> str:
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})


def _describe_runs(query: str, order: str, columns: Sequence[str]) -> dict[str, Any]:
    """Return the state of a page with these runs and columns (MLflow wants names in backticks)."""
    parts = [column.partition(".") for column in columns]
    return {
        "searchFilter": query,
        "orderByKey": order,
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [f"{kind}.`{name}`" for kind, _, name in parts],
        "runsHiddenMode": "FIRST_20_RUNS",
    }


def _describe_charts(**scales: str) -> dict[str, Any]:
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
