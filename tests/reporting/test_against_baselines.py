"""Best graph and baselines: figures of the search, of `ktg train` and of `ktg confirm`."""

import dataclasses
import json

import pytest
from records import written
from webpage import look_up, read

import ktg
from ktg.graph import dump, parse
from ktg.graph.yaml_files import dumps
from ktg.intervals import binomial_interval, difference_interval, mean_interval
from ktg.reporting.against_baselines import (
    compare_with_baselines,
    count_validation_images,
    find_trainings,
    read_confirmation,
)
from ktg.reporting.page import render_report
from ktg.searching.history import read_last_search
from ktg.tracking import MlflowTracker, find_experiment


@pytest.mark.slow
def test_rows_are_those_of_the_search(record, searched):
    images = count_validation_images(record)
    rows = compare_with_baselines(record, images)
    told = {row["what"]: row for row in searched.result["rows"]}
    assert {row["what"] for row in rows} == set(told)
    for row in rows:
        assert row["val_accuracy"] == told[row["what"]]["accuracy"]
        assert row["val_interval"] == binomial_interval(row["val_accuracy"], images)
        assert row["is_best"] == (row["trial"] == record.best.name)


@pytest.mark.slow
def test_without_the_number_of_images_there_are_no_intervals(record):
    assert all(row["val_interval"] is None for row in compare_with_baselines(record, None))


class _Both:
    """The trials of one store, the trainings of another."""

    def __init__(self, search, trainings):
        self.read_artifact = lambda run, name: (
            search if "trial" in run.name else trainings
        ).read_artifact(run, name)
        self.trainings = trainings.trainings
        self.trials, self.history = search.trials, search.history


@pytest.mark.usefixtures("one_thread")
@pytest.mark.slow
def test_a_training_is_recognised_by_its_graph_whatever_its_seed(record, uri):
    def train(graph, seeds, first=0):
        return ktg.train(
            seeded(graph, first), seeds=seeds, name="best", device="cpu", tracking_uri=uri
        )

    best = record.best.graph
    alone = next(trial.graph for trial in record.finished if trial.baseline == "alone")
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
    found = find_trainings(experiment, {"best graph": best, "alone": alone})
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


ROW = {"trial": "trial-0002", "baseline": None, "val_accuracy": 0.75, "n": 2, "failures": []}
RUNS = [
    {"seed": 1000, "accuracy": 0.7, "loss": 0.5, "train_s": 2.0},
    {"seed": 1001, "accuracy": 0.8, "loss": 0.4},
]
FAILED = [{"seed": 1001, "reason": "out of <memory>"}]
FOUND = {
    "version": 1,
    "experiment": "confirmed",
    "search": "id",
    "seeds": [1000, 1001],
    "test_images": 1234,
    "rows": [
        ROW | {"what": "best graph", "test_accuracy": 0.75, "test_std": 0.07, "runs": RUNS},
        ROW
        | {
            "what": "2nd best",
            "baseline": "distillation",
            "test_accuracy": 0.7,
            "test_std": 0.1,
            "runs": RUNS,
        },
        ROW
        | {
            "what": "alone",
            "test_accuracy": None,
            "test_std": None,
            "n": 0,
            "runs": [],
            "failures": FAILED,
        },
    ],
    "differences": [
        {
            "of": "best graph",
            "against": "distillation",
            "difference": 0.05,
            "interval": [0.01, 0.09],
        }
        | {"verdict": "better"},
        {
            "of": "best graph",
            "against": "alone",
            "difference": None,
            "interval": None,
            "verdict": "not proven",
        },
        {
            "of": "2nd best",
            "against": "alone",
            "difference": -0.01,
            "interval": [-0.03, 0.01],
            "verdict": "not proven",
        },
    ],
    "sentence": "The best graph, trial-0002, is better than distillation by 5.00 points.",
    "basis": "2 seeds & 1,234 images.",
}


def add_scores(row):
    """Return a row of a confirmation by balanced accuracy."""
    scored = [run | {"score": run["accuracy"] - 0.2} for run in row["runs"]]
    score = row["test_accuracy"] and row["test_accuracy"] - 0.2
    return row | {"test_score": score, "score_std": row["test_std"], "runs": scored}


BALANCED = FOUND | {
    "metric": "balanced_accuracy",
    "searched_by": "balanced_accuracy",
    "rows": [add_scores(row) for row in FOUND["rows"]],
}


def write(uri: str, search: str, found: object, state: str = "finished") -> None:
    with MlflowTracker("confirmed", uri) as tracker:
        run = tracker.start("confirm", tags={"kind": "confirm", "search": search})
        if found is not None:
            tracker.artifact(run, "confirm.json", json.dumps(found))
        tracker.end(run, state)


def test_it_is_that_of_this_search_and_of_one_that_came_to_its_end(uri):
    written(uri, "confirmed", ("finished", [0.1, 0.2, 0.3]))
    experiment = find_experiment("confirmed", uri)
    record = read_last_search(experiment)
    assert read_confirmation(record) is None
    write(uri, record.run.id, FOUND | {"test_images": 2})
    write(uri, record.run.id, FOUND, "interrupted")  # when more seeds were asked for
    write(uri, "another search", FOUND | {"test_images": 1})
    write(uri, record.run.id, None, "interrupted")
    write(uri, record.run.id, {"version": 99})
    found = read_confirmation(record)
    assert {name: found[name] for name in FOUND if name != "rows"} == {
        name: FOUND[name] for name in FOUND if name != "rows"
    }
    assert found["ended"] is None  # which would be that of the interruption
    # An older ktg named no metric: all was accuracy.
    assert (found["metric"], found["measure_words"]) == ("accuracy", "accuracy")
    assert [row["test_score"] for row in found["rows"]] == [0.75, 0.7, None]
    assert found["rows"][0]["runs"][1]["score"] == 0.8


def test_one_by_a_metric_keeps_its_scores_and_an_older_one_says_that_it_has_none(uri):
    written(uri, "balanced", ("finished", [0.1, 0.2, 0.3]), metric="balanced_accuracy")
    record = read_last_search(find_experiment("balanced", uri))

    def read_one(found):
        with MlflowTracker("balanced", uri) as tracker:
            run = tracker.start("confirm", tags={"kind": "confirm", "search": record.run.id})
            tracker.artifact(run, "confirm.json", json.dumps(found))
            tracker.end(run, "finished")
        return read_confirmation(record)

    older = read_one(FOUND)
    assert older["ended"].endswith("UTC")
    assert older["basis"].endswith(
        "Scores and differences are of accuracy, and not of balanced accuracy, which the search "
        "chose by: the intervals are of images that were right or wrong."
    )
    found = read_one(BALANCED)
    assert {name: found[name] for name in BALANCED} == BALANCED
    assert found["measure_words"] == "balanced accuracy"


@pytest.fixture(scope="module")
def confirmed(reported):
    about = {"run": "id", "ended": "today", "measure_words": "balanced accuracy"}
    return reported | {"confirmation": BALANCED | about}


@pytest.mark.slow
def test_the_page_shows_every_graph_and_difference_with_the_numbers_of_the_data(confirmed, record):
    page = read(render_report(confirmed, record.space.holes))
    numbers = {
        path: value for path, value in page.numbers.items() if path.startswith("confirmation.")
    }
    for path, (value, _) in numbers.items():
        assert float(value) == look_up(confirmed, path), path
    for place in (0, 1):
        assert {
            f"confirmation.rows.{place}.{name}" for name in ("test_score", "score_std", "n")
        } <= numbers.keys()
    assert numbers["confirmation.differences.0.interval.1"][1] == "+9.00"
    assert numbers["confirmation.test_images"][1] == "1,234"
    assert page.text.count(FOUND["sentence"]) == 2  # at the top and in its section
    assert FOUND["basis"] in page.text
    assert page.text.count("test balanced accuracy") >= 3  # the tile, the table and the chart
    assert "points of balanced accuracy" in page.text
    assert "2nd best (distillation)" in page.text
    assert "alone: 1 of 2 trainings failed (out of <memory>)" in page.text
    assert "ktg confirm" not in page.text.split("What the best network")[0]


@pytest.mark.slow
def test_without_one_the_page_says_how_to_get_it(page):
    text = read(page).text
    assert "Confirmation on test images" not in text
    assert "ktg confirm 'a search'" in text


@pytest.mark.slow
def test_without_baselines_there_is_nothing_to_draw_of_differences(confirmed, record):
    alone = confirmed["confirmation"] | {"differences": [], "rows": BALANCED["rows"][:1]}
    text = read(render_report(confirmed | {"confirmation": alone}, record.space.holes)).text
    assert "more than the baseline" not in text
    assert "Confirmation on test images" in text


def test_trainings_are_compared_on_the_test_images_of_the_newest(uri):
    def graph(lr):
        nodes, edges = {"n0": {"model": "resnet8"}}, {"label -> n0": {}}
        return parse(
            {"data": {"name": "digits"}, "train": {"lr": lr}, "nodes": nodes, "edges": edges}
        )

    best, alone = graph(0.0123), graph(0.0456)

    def train(trained, seeds, images):
        tags = {"kind": "train"} | ({"data.test": images} if images else {})
        with MlflowTracker("mended", uri) as tracker:
            run = tracker.start("train", params={"seeds": seeds}, tags=tags)
            tracker.artifact(run, "graph.yaml", dumps(dump(trained)))
            tracker.log(run, {"test_accuracy": 0.5, "test_accuracy_std": 0.1}, 0)
            tracker.end(run, "finished")
        return run

    def find():
        experiment = find_experiment("mended", uri)
        found = find_trainings(experiment, {"best graph": best, "alone": alone})
        return {what: run.run for what, run in found.items()}

    many = train(best, 9, "wrong labels"), train(alone, 9, "wrong labels")
    assert find() == {"best graph": many[0], "alone": many[1]}
    few = train(best, 2, "right labels")
    assert find() == {"best graph": few}
    own = train(alone, 2, "right labels")
    assert find() == {"best graph": few, "alone": own}
    older = train(alone, 3, None)  # it did not record them, and counts as being of these
    assert find() == {"best graph": few, "alone": older}
