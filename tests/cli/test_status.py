"""`ktg status` and `ktg stop`, of a search that is over and of one that runs; `ktg ui` refusing."""

import dataclasses
import io
import json

import pytest
from command import ktg
from rich.console import Console

from ktg.cli.status import draw_status, list_statuses
from ktg.reporting.levels import Level
from ktg.reporting.status import ConfirmationStatus, Status
from ktg.tracking import MlflowTracker, find_experiment


@pytest.mark.slow
def test_the_status_of_a_search_that_is_over(searched):
    done = ktg("status", "a search", "--tracking-uri", searched.uri, folder=searched.folder)
    assert done.code == 0
    assert "a search: finished, " in done.out
    told = json.loads(
        ktg(
            "status", "a search", "--tracking-uri", searched.uri, "--json", folder=searched.folder
        ).out
    )
    for state in ("finished", "stopped", "failed"):
        assert told["counts"][state] == searched.result[state]
    assert told["counts"]["duplicate"] == searched.result["duplicates"]
    assert told["best"] == searched.result["rows"][0]["trial"]
    assert told["best_accuracy"] == searched.result["rows"][0]["accuracy"]
    assert (told["level"]["metric"], told["level"]["basis"]) == ("accuracy", "one training")
    assert f"{told['best']}: accuracy 100.00 % (one training)" in done.out
    assert (told["planned"], told["running"]) == (8, [])
    everything = json.loads(
        ktg("status", "--tracking-uri", searched.uri, "--json", folder=searched.folder).out
    )
    assert told in everything
    assert "a search" in ktg("status", "--tracking-uri", searched.uri, folder=searched.folder).out
    refused = ktg("stop", "a search", "--tracking-uri", searched.uri, folder=searched.folder)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == "ktg: no search of 'a search' is running; its last one is finished\n"


@pytest.mark.slow
def test_a_running_search_is_shown_and_stopped(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with MlflowTracker("space", uri) as tracker:
        parent = tracker.start("space", params={"search.trials": 5}, tags={"kind": "search"})
        trial = tracker.start("trial-0001", parent=parent, tags={"kind": "trial"})
        tracker.log(trial, {"val_accuracy": 0.25}, 3)
        tracker.start("trial-0002", parent=parent, tags={"kind": "trial"})
        assert tracker.flush()
        shown = ktg("status", "space", "--tracking-uri", uri, folder=tmp_path).out
        assert "trial-0001: 3 epochs done, validation accuracy 25.00 %" in shown
        assert (
            "trial-0002: 0 epochs done\n"
            in "\n".join(line.rstrip() for line in shown.splitlines()) + "\n"
        )
        asked = ktg("stop", "space", "--tracking-uri", uri, "--json", folder=tmp_path)
        assert (asked.code, asked.err, json.loads(asked.out)) == (
            0,
            "",
            {"experiment": "space", "asked": True},
        )
        assert find_experiment("space", uri).tags(parent)["ktg.stop"].startswith("asked ")


@pytest.mark.slow
def test_a_running_confirmation_is_shown(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with MlflowTracker("space", uri) as tracker:
        search = tracker.start("space", params={"search.trials": 5}, tags={"kind": "search"})
        tracker.end(search, "finished")
        assert tracker.flush()
        before = json.loads(
            ktg("status", "space", "--tracking-uri", uri, "--json", folder=tmp_path).out
        )
        assert before["confirmation"] is None
        found = find_experiment("space", uri).searches()[0].id
        parent = tracker.start(
            "confirm", tags={"kind": "confirm", "search": found, "trainings": "15"}
        )
        for seed, state in enumerate(("finished", "finished", "failed")):
            tracker.end(tracker.start(f"alone, seed {seed}", parent=parent), state)
        training = tracker.start("alone, seed 3", parent=parent)
        for epoch in (1, 2):
            tracker.log(training, {"epoch_s": 0.1}, epoch)
        assert tracker.flush()
        shown = ktg("status", "space", "--tracking-uri", uri, folder=tmp_path).out
        told = json.loads(
            ktg("status", "space", "--tracking-uri", uri, "--json", folder=tmp_path).out
        )["confirmation"]
    assert "running, 2 trainings finished, 1 failed, 15 asked for" in shown
    assert "alone, seed 3: 2 epochs done" in shown
    assert told == {
        "state": "running",
        "trainings": 15,
        "finished": 2,
        "failed": 1,
        "running": [{"name": "alone, seed 3", "epoch": 2, "accuracy": None}],
        "sentence": None,
    }


STATUS = Status(
    name="birds",
    state="finished",
    planned=5,
    counts={"finished": 3},
    best="trial-0002",
    best_accuracy=0.9,
    level=Level("balanced_accuracy", 0.6, 3),
    note="no network teaches another here",
    collapsed=2,
    running=(),
    start_s=0.0,
    wall_s=1.0,
    confirmation=None,
    search={"number": 1, "of": 1, "started": "today"},
)


def test_the_best_is_shown_by_the_metric_of_its_search_with_what_is_wrong():
    page = Console(file=io.StringIO(), width=200)
    page.print(draw_status(STATUS))
    shown = page.file.getvalue()
    level = "balanced accuracy 60.00 % (mean of 3 trainings with new seeds)"
    assert f"trial-0002: {level}; no network teaches another here" in shown
    assert "collapsed  2 trainings: the network says the same of all images" in shown
    page.print(list_statuses([STATUS]))
    assert level in page.file.getvalue().removeprefix(shown)
    plain = json.loads(json.dumps(STATUS.to_json()))
    assert (plain["level"]["value"], plain["level"]["n"], plain["collapsed"]) == (0.6, 3, 2)


@pytest.mark.parametrize(
    ("state", "sentence", "going", "proven"),
    [
        ("finished", "It is better.", False, True),
        ("interrupted", "It is better.", True, True),  # when more seeds were asked for
        ("running", None, True, False),
    ],
)
def test_what_was_proven_is_shown_and_what_was_asked_for_since(state, sentence, going, proven):
    page = Console(file=io.StringIO(), width=200)
    confirmation = ConfirmationStatus(state, 15, 9, 0, (), sentence)
    page.print(draw_status(dataclasses.replace(STATUS, confirmation=confirmation)))
    shown = page.file.getvalue()
    assert (f"{state}, 9 trainings finished, 15 asked for" in shown) == going
    assert ("It is better." in shown) == proven


def test_no_search_is_a_mistake(new_store, tmp_path):
    uri = new_store()
    with MlflowTracker("space", uri) as tracker:
        tracker.start("something else")
        assert tracker.flush()
    done = ktg("status", "space", "--tracking-uri", uri, folder=tmp_path)
    said = "experiment 'space' holds no search; run `ktg search SPACE --name space`"
    assert (done.code, done.err) == (2, f"ktg: {said}\n")


def test_a_store_without_searches_is_said_to_have_none(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    refused = ktg("status", "--tracking-uri", uri, folder=tmp_path)
    assert (refused.code, refused.out) == (2, "")
    with MlflowTracker("space", uri) as tracker:
        tracker.start("something else")
    done = ktg("status", "--tracking-uri", uri, folder=tmp_path)
    assert (done.code, done.out) == (0, "No searches yet; `ktg search SPACE` begins one.\n")


def test_no_pages_of_a_folder_without_a_store(refused):
    assert "run `ktg search` there first, or give --tracking-uri" in refused("ui")


def test_no_pages_of_a_server_which_has_an_interface_of_its_own(refused):
    assert "open it in a browser" in refused("ui", "--tracking-uri", "http://127.0.0.1:1")


@pytest.mark.slow
def test_the_experiment_of_the_pages_is_looked_for_first(refused, searched):
    assert "Did you mean 'a search'" in refused("ui", "a serch", "--tracking-uri", searched.uri)
