"""Views of an experiment that MLflow's pages offer under "Views": which runs, which columns, which charts.

MLflow keeps a view that was saved in its pages as a tag of the experiment; ours are written in the
same form when an experiment is made, so that a search shows its accuracies without a click on each
column.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

TRIALS, CURVES, SEARCHES = "ktg-trials", "ktg-curves", "ktg-searches"
_TAG = "mlflow.sharedViewState."
_NOTE = "Views, at the top right, has the trials from the best to the worst, their curves, and a line for each search."
_SPENT = (
    "metrics.epochs",
    "metrics.epochs_saved",
    "params.search.sampler",
    "params.search.scheduler",
)
_SEARCHES = ("metrics.best_val_accuracy", "tags.best_trial", "tags.state", *_SPENT)
_TRIALS = ("metrics.val_accuracy", "metrics.val_loss", "tags.state", "tags.epoch", "tags.baseline")


def experiment_tags() -> dict[str, str]:
    """Return the tags of a new experiment: its pages are those for training, its description, its views."""
    trials = _runs("tags.kind = 'trial'", "metrics.`val_accuracy`", _TRIALS)
    searches = _runs("tags.kind = 'search'", "attributes.start_time", _SEARCHES)
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": _NOTE,
        _TAG + TRIALS: _named("Trials, the best first", trials),
        _TAG + CURVES: _named(
            "Learning curves", trials | _charts(val_accuracy="linear", val_loss="log")
        ),
        _TAG + SEARCHES: _named("Searches", searches),
    }


def view_path(experiment_id: str, view: str) -> str:
    """Return where MLflow's pages show a view of an experiment, from the server's address on."""
    mode = "&compareRunsMode=CHART" if view == CURVES else ""
    return f"/#/experiments/{experiment_id}/runs?viewStateShareKey={view}{mode}"


def _named(name: str, state: Mapping[str, Any]) -> str:
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)})


def _runs(query: str, order: str, columns: Sequence[str]) -> dict[str, Any]:
    """Return the state of a page that shows these runs and columns; MLflow wants the names of columns in backticks."""
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


def _charts(**scales: str) -> dict[str, Any]:
    """Return the part of a page's state that draws metrics by epoch, all runs in one chart, on the given scales."""
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
