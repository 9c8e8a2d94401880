"""Best graph and baselines: the figures of the search, and those of `ktg train` where it trained the very graph."""

import dataclasses

import pytest
from ktg.reporting.comparison import compare_with_baselines, confirmations, validation_images

import ktg
from ktg.intervals import binomial_interval, difference_interval, mean_interval
from ktg.tracking import MlflowTracker, find_experiment


def test_rows_are_those_of_the_search(record, searched):
    images = validation_images(record)
    rows = compare_with_baselines(record, images)
    told = {row["what"]: row for row in searched.result["rows"]}
    assert {row["what"] for row in rows} == set(told)
    for row in rows:
        assert row["val_accuracy"] == told[row["what"]]["accuracy"]
        assert row["val_interval"] == binomial_interval(row["val_accuracy"], images)
        assert row["is_best"] == (row["trial"] == record.best.name)


def test_without_the_number_of_images_there_are_no_intervals(record):
    assert all(row["val_interval"] is None for row in compare_with_baselines(record, None))


class _Both:
    """The trials of one store, the trainings of another."""

    def __init__(self, search, trainings):
        self.read_artifact = lambda run, name: (
            search if "trial" in run.name else trainings
        ).read_artifact(run, name)
        self.trainings = trainings.trainings


@pytest.mark.usefixtures("one_thread")
def test_a_training_is_recognised_by_its_graph_whatever_its_seed(record, uri):
    def train(graph, seeds, first=0):
        return ktg.train(
            seeded(graph, first), seeds=seeds, name="best", device="cpu", tracking_uri=uri
        )

    best = record.graph(record.best)
    alone = next(record.graph(trial) for trial in record.finished if trial.baseline == "alone")
    train(
        dataclasses.replace(best, train=dataclasses.replace(best.train, weight_decay=0.123)), 1
    )  # another graph
    assert train(best, 1).std is None
    several, by_itself = train(best, 2, first=7), train(alone, 2)
    with MlflowTracker("bare", uri) as tracker:  # a training that does not say of what
        run = tracker.start("train", params={"seeds": 3}, tags={"kind": "train"})
        tracker.log(run, {"test_accuracy": 0.99}, 0)
        tracker.end(run, "finished")

    experiment = find_experiment("best", uri)
    found = confirmations(experiment, {"best graph": best, "alone": alone})
    assert {what: run.metrics["test_accuracy"] for what, run in found.items()} == {
        "best graph": several.mean,  # of two seeds rather than of one
        "alone": by_itself.mean,
    }
    both = dataclasses.replace(record, experiment=_Both(record.experiment, experiment))
    tests = {row["what"]: row["test"] for row in compare_with_baselines(both, 100)}
    a, b = (several.mean, several.std, 2), (by_itself.mean, by_itself.std, 2)
    assert tests["best graph"] == {
        "accuracy": several.mean,
        "std": several.std,
        "n": 2,
        "interval": mean_interval(*a),
        "minus_alone": several.mean - by_itself.mean,
        "minus_alone_interval": difference_interval(a, b),
    }
    assert tests["alone"]["minus_alone"] is None
    assert tests["mutual learning"] is None


def seeded(graph, seed):
    return dataclasses.replace(graph, train=dataclasses.replace(graph.train, seed=seed))
