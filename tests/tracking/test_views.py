"""Views that MLflow's pages offer; the filters in them are asked of a real store."""

import json

import pytest

from ktg.tracking import HOLES, METRIC, TITLE, MlflowTracker, find_experiment
from ktg.tracking.store import open_client
from ktg.tracking.views import CURVES, SEARCHES, TRIALS, experiment_tags, view_path

TAG = "mlflow.sharedViewState."


@pytest.fixture(scope="module")
def uri(new_store):
    uri = new_store()
    with MlflowTracker("space", uri) as tracker:
        parent = tracker.start("search", tags={"kind": "search"}, params={"search.sampler": "tpe"})
        for number, accuracy in enumerate((0.5, 0.9, 0.7)):
            params = {"edges.n1.n0.gate": "linear" if number else "through"}
            run = tracker.start(
                f"trial-{number}", parent=parent, tags={"kind": "trial"}, params=params
            )
            tracker.log(run, {"val_accuracy": accuracy}, 1)
            tracker.end(run, "finished" if number else "stopped", {"rung": "1"})
        tracker.end(parent, "finished")
    return uri


def names(uri: str, query: str, order: str = "attributes.start_time ASC") -> list[str]:
    client, experiment = open_client(uri), find_experiment("space", uri)
    return [
        run.info.run_name for run in client.search_runs([experiment.id], query, order_by=[order])
    ]


@pytest.mark.slow
def test_an_experiment_has_the_views_and_they_find_what_they_name(uri):
    tags = open_client(uri).get_experiment_by_name("space").tags
    assert experiment_tags().items() <= tags.items()
    found = {}
    for view in (TRIALS, CURVES, SEARCHES):
        state = json.loads(json.loads(tags[TAG + view])["state"])
        found[view] = names(uri, state["searchFilter"], state["orderByKey"] + " DESC")
    assert found == {
        TRIALS: ["trial-1", "trial-2", "trial-0"],
        CURVES: ["trial-1", "trial-2", "trial-0"],
        SEARCHES: ["search"],
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tags.state = 'finished' and tags.kind = 'trial'", ["trial-1", "trial-2"]),
        ("tags.rung = '1' and tags.state = 'stopped'", ["trial-0"]),
        ("metrics.val_accuracy > 0.6", ["trial-1", "trial-2"]),
        ("params.\"edges.n1.n0.gate\" = 'linear' and metrics.val_accuracy > 0.8", ["trial-1"]),
        ("params.\"search.sampler\" = 'tpe'", ["search"]),
    ],
)
def test_the_filters_of_the_documentation(uri, query, found):
    assert sorted(names(uri, query)) == found  # MLflow orders runs by milliseconds


def test_what_an_experiment_has_is_not_overwritten_and_what_it_lacks_is_added(uri):
    client, experiment = open_client(uri), find_experiment("space", uri)
    client.set_experiment_tag(experiment.id, TAG + TRIALS, "mine")
    client.delete_experiment_tag(experiment.id, TAG + CURVES)
    with MlflowTracker("space", uri) as tracker:
        tracker.end(tracker.start("another", tags={"kind": "search"}), "finished")
    tags = client.get_experiment(experiment.id).tags
    assert tags[TAG + TRIALS] == "mine"
    assert tags[TAG + CURVES] == experiment_tags()[TAG + CURVES]


def test_a_search_makes_its_holes_columns_but_in_a_view_of_a_user(uri):
    client, experiment = open_client(uri), find_experiment("space", uri)

    def search(*holes):
        with MlflowTracker("space", uri) as tracker:
            tags = {"kind": "search", HOLES: json.dumps(holes)}
            tracker.end(tracker.start("another", tags=tags), "finished")
        return client.get_experiment(experiment.id).tags[TAG + TRIALS]

    client.set_experiment_tag(experiment.id, TAG + TRIALS, experiment_tags()[TAG + TRIALS])
    state = json.loads(json.loads(search("edges.n1.n0.gate", "train.lr"))["state"])
    assert state["selectedColumns"][-2:] == ["params.`edges.n1.n0.gate`", "params.`train.lr`"]
    many = search(*(f"nodes.n{number}.source" for number in range(300)))
    assert len(many) < 5000
    assert "train.lr" not in many
    client.set_experiment_tag(experiment.id, TAG + TRIALS, "mine")
    assert search("train.lr") == "mine"


def test_views_go_by_the_metric_of_the_newest_search(uri):
    client, experiment = open_client(uri), find_experiment("space", uri)
    client.set_experiment_tag(experiment.id, TAG + TRIALS, experiment_tags()[TAG + TRIALS])
    for metric, ascending, first in (
        ("loss", True, "metrics.`val_loss`"),
        ("balanced_accuracy", False, "metrics.`balanced_accuracy_percent`"),
    ):
        with MlflowTracker("space", uri) as tracker:
            tags = {"kind": "search", HOLES: "[]", METRIC: metric}
            parent = tracker.start("another", tags=tags)
            for name, value in (("worse", 0.7), ("better", 0.8)):
                run = tracker.start(name, parent=parent, tags={"kind": "trial"})
                shown = {"val_loss": 1 - value, "val_balanced_accuracy": value}
                tracker.log(run, {"val_accuracy": 0.99 - value, **shown}, 1)
                tracker.end(run, "finished")
            tracker.end(parent, "finished")
        tags = client.get_experiment(experiment.id).tags
        states = {
            view: json.loads(json.loads(tags[TAG + view])["state"])
            for view in (TRIALS, CURVES, SEARCHES)
        }
        state = states[TRIALS]
        assert (state["orderByAsc"], state["selectedColumns"][0]) == (ascending, first)
        query = f"{state['searchFilter']} and tags.`mlflow.parentRunId` = '{find_parent(uri)}'"
        order = f"{state['orderByKey']} {'ASC' if ascending else 'DESC'}"
        assert names(uri, query, order) == ["better", "worse"]
        drawn = [chart["metricKey"] for chart in states[CURVES]["compareRunCharts"]]
        assert f"val_{metric}" in drawn
        assert f"metrics.`best_val_{metric}`" in states[SEARCHES]["selectedColumns"]


def find_parent(uri: str) -> str:
    """Return MLflow's id of the newest search."""
    client, experiment = open_client(uri), find_experiment("space", uri)
    query, order = "tags.kind = 'search'", ["attributes.start_time DESC"]
    return client.search_runs([experiment.id], query, order_by=order)[0].info.run_id


def test_a_run_has_a_title_in_the_pages_and_keeps_its_name_for_us(uri):
    with MlflowTracker("space", uri) as tracker:
        run = tracker.start("trial-9", tags={"kind": "trial", TITLE: "trial-9 (n1 -> n0)"})
        tracker.end(run, "stopped")
    assert names(uri, "tags.`ktg.name` = 'trial-9'") == ["trial-9 (n1 -> n0)"]
    (found,) = (one for one in find_experiment("space", uri).of_kind("trial") if one.run == run)
    # Green in the pages: a killed run looks like a failed one there.
    assert (found.name, found.state, found.status) == ("trial-9", "stopped", "FINISHED")


def test_addresses():
    assert view_path("7", TRIALS) == "/#/experiments/7/runs?viewStateShareKey=ktg-trials"
    assert view_path("7", CURVES).endswith("viewStateShareKey=ktg-curves&compareRunsMode=CHART")
