"""A function of the user's that is told of each trial, in a real search."""

import traceback

import pytest

import ktg
from ktg.graph import Graph, parse
from ktg.searching.callback import EndedTrial, TrialCallback
from ktg.searching.trial import Trial

SPACE = {
    "name": "told",
    "data": {"name": "digits", "per_class": 3, "batch_size": 16},
    "train": {"epochs": 1},
    "nodes": {"n0": {"model": "resnet8", "lr": {"choice": [0.1, 0.05, 0.02, 0.01]}}},
    "edges": {"label -> n0": {}},
    "search": {"trials": 2, "race_share": 0, "concurrent": 1},
}


GRAPH = {key: value for key, value in SPACE.items() if key not in ("name", "search", "nodes")}
GRAPH["nodes"] = {"n0": {"model": "resnet8"}}


@pytest.mark.slow
def test_a_function_is_told_of_each_trial_and_its_mistake_ends_the_search(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    told: list[EndedTrial] = []

    def fail(trial: EndedTrial) -> None:
        told.append(trial)
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        ktg.search(SPACE, tracking_uri=uri, on_trial=fail)
    assert [one.number for one in told] == [1]
    assert "in fail" in "".join(traceback.format_exception(caught.value))
    assert ktg.status("told", tracking_uri=uri).state == "interrupted"
    result = ktg.search("told", resume=True, tracking_uri=uri, on_trial=told.append)
    table = result.trials
    assert sorted(one.name.split()[0] for one in told) == sorted(table.index)
    for one in told:
        row = table.loc[one.name.split()[0]]
        assert (one.state, one.what) == ("finished", row["what"])
        assert one.score == one.metrics["val_accuracy"] == pytest.approx(row["score"])
        assert isinstance(one.graph, Graph)
        assert one.values == {"nodes.n0.lr": one.graph.nodes["n0"].lr}


def test_a_function_that_failed_is_not_called_again():
    trial = Trial(1, parse(GRAPH), "key")
    calls: list[int] = []

    def fail(ended: EndedTrial) -> None:
        calls.append(ended.number)
        raise ValueError("mine")

    callback = TrialCallback(fail)
    for _ in range(2):
        callback.on_start(trial)
        callback.on_epoch(trial)
        callback.on_end(trial)
    assert calls == [1]
    assert isinstance(callback.error, ValueError)
