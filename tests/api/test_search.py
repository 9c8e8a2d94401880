"""Searches from Python."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import graph_file
from records import written

import ktg
from ktg.api.delivery import keep_page
from ktg.api.listener import Listener
from ktg.api.search import count_graphs, end_dead_and_count
from ktg.errors import UserError
from ktg.graph.yaml_files import load
from ktg.tracking import MemoryTracker, find_experiment

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def uri(new_store) -> str:
    return new_store()


@pytest.mark.slow
def test_a_search_by_plain_data_gives_a_result(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = load(
        graph_file(tmp_path / "space.yaml", tiny, search={"trials": 1, "baselines": False})
    )
    space["train"]["lr"] = {"choice": [0.05, 0.1]}
    result = ktg.search(space, name="mine", tracking_uri=None)
    assert (result.name, result.finished) == ("mine", 1)
    assert result.best is not None
    assert not list(tmp_path.glob("mlflow*"))


@pytest.mark.slow
def test_a_listener_hears_how_many_searches_an_experiment_has(tmp_path):
    uri, said = f"sqlite:///{tmp_path}/mlflow.db", []
    listener = Listener(say=said.append)
    end_dead_and_count("birds", uri, MemoryTracker(), listener)
    assert not said
    for _ in range(2):
        written(uri, "birds", ("finished", [0.1, 0.2, 0.3]))
    end_dead_and_count("birds", uri, MemoryTracker(), listener)
    end_dead_and_count("birds", uri, MemoryTracker(), None)
    assert said == [
        "a new search is added to experiment birds, which holds 2 searches; "
        "another --seed makes it differ"
    ]


def test_what_needs_a_store_is_refused_without_one(tiny, tmp_path):
    file = graph_file(tmp_path / "space.yaml", tiny, train={"lr": {"choice": [0.05, 0.1]}})
    for options in ({"confirm": 1}, {"resume": True}):
        with pytest.raises(UserError, match="needs a store to read the search from"):
            ktg.search(file, tracking_uri=None, **options)


def test_the_page_in_the_folder_of_a_search_gets_its_confirmation(uri, tmp_path):
    written(uri, "page", ("finished", [0.1, 0.2, 0.3]))
    (tmp_path / "report.html").write_text("from before the confirmation")
    said = []
    keep_page("page", tmp_path, uri, Listener(say=said.append))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h1>page</h1>" in page
    experiment = find_experiment("page", uri)
    assert experiment.read_artifact(experiment.searches()[0], "report.html") == page
    keep_page("page", None, uri, Listener(say=said.append))
    assert said[0] == f"Report: {tmp_path / 'report.html'}"
    assert "ktg report page" in said[1]


KTG = [str(Path(sys.executable).with_name("ktg"))]
RESUME = [*KTG, "search", "space.yaml", "--resume"]
# A driver that is killed after two of three trials, while its store takes nothing.
DIES = """
import os
from ktg.api.inputs import read_space
from ktg.searching.driver_lock import driver_tags
from ktg.searching.recorder import SearchRecorder
from ktg.searching.search_queue import SearchQueue
from ktg.tracking import MlflowTracker, writer

def fail(*_):
    raise OSError("the store is away")

writer.Writer.write = fail
queue = SearchQueue(read_space("space.yaml"))
recorder = SearchRecorder(MlflowTracker("space", warn=print), queue, "space", driver_tags())
for ends in (True, True, False):
    trial = queue.propose()
    recorder.on_start(trial)
    for epoch in range(1, 3 if ends else 2):
        queue.record_epoch(trial, epoch, {"val_accuracy": 0.5, "val_loss": 1.0}, 1.0)
        recorder.on_epoch(trial)
    if ends:
        queue.close(trial)
        recorder.on_end(trial)
os._exit(9)
"""
# Another process, such as `ktg status`, that delivers what the driver left, and takes its time.
DELIVERS = """
from ktg.tracking import delivery

def wait_and_send(*what, send=delivery._send):
    print("held", flush=True)
    input()
    return send(*what)

delivery._send = wait_and_send
delivery.recover()
"""


@pytest.mark.slow
def test_of_two_resumes_one_waits_for_the_records_and_the_other_says_who_goes_on(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))
    lrs = {"epochs": 2, "lr": {"choice": [0.05, 0.1, 0.02]}}
    plan = {"trials": 3, "sampler": "grid", "baselines": False}
    plan |= {"alone_share": 0, "race_share": 0}
    graph_file(tmp_path / "space.yaml", tiny, train=lrs, search=plan | {"cpus_per_trial": 1})

    def start(*words: str) -> "subprocess.Popen[str]":
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(words, cwd=tmp_path, text=True, **pipes)

    dies = start(sys.executable, "-c", DIES)
    assert (dies.communicate()[1], dies.returncode) == ("", 9)
    (left,) = (tmp_path / "cache" / "undelivered").glob("mlflow-undelivered-*")
    sender = start(sys.executable, "-c", DELIVERS)
    assert sender.stdout.readline() == "held\n"
    both = [start(*RESUME) for _ in range(2)]
    for one in both:
        assert one.stdout.readline() == (
            "waiting for another process that sends records to the store\n"
        )
    sender.communicate("\n")
    ends = [(*one.communicate(), one.returncode) for one in both]
    assert sorted(code for *_, code in ends) == [0, 2], ends
    (refusal,) = [error for _, error, code in ends if code == 2]
    who = r"(process \d+ on \S+|another process)"
    assert re.fullmatch(f"ktg: this search is still running, in {who}; see .*\n", refusal)

    experiment = find_experiment("space", f"sqlite:///{tmp_path}/mlflow.db")
    (search,) = experiment.searches()
    trials = experiment.trials(search)
    assert [trial.name for trial in trials] == ["trial-0001", "trial-0002", "trial-0003"]
    assert {run.state for run in (search, *trials)} == {"finished"}
    for trial in trials:
        assert [step for step, _ in experiment.history(trial, "val_accuracy")] == [1, 2]
    assert [trial.tags["train_s"] for trial in trials[:2]] == ["2.000"] * 2  # of the first driver
    assert not left.exists()
    assert not list((tmp_path / "cache" / "ray").iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trials": 0}, "trials: 0 is not allowed; allowed: 1 or more"),
        ({"trials": -3}, "trials: -3 is not allowed"),
        ({"confirm": 0}, "confirm: 0 is not allowed"),
        ({"confirm": 2, "seeds": 1}, "seeds: 1 is not allowed; allowed: 2 or more"),
    ],
)
def test_numbers_that_are_too_small_are_refused_before_anything_begins(options, said):
    with pytest.raises(UserError, match=said):
        ktg.search("gone.yaml", **options)


def test_a_distillation_without_seeds_is_refused():
    with pytest.raises(UserError, match="seeds: 0 is not allowed; allowed: 1 or more"):
        ktg.distill("gone", seeds=0)


def test_as_many_graphs_are_confirmed_as_there_are_different_ones(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    written(uri, "birds", *[("finished", [0.1, 0.2, 0.3])] * 2)
    assert count_graphs("birds", uri) == 1  # both have the same graph
    (search,) = find_experiment("birds", uri).searches()
    written(uri, "birds", ("failed", []))
    assert count_graphs("birds", uri, search.run) == 1
    newest = find_experiment("birds", uri).searches()[0]
    with pytest.raises(UserError, match="has no finished trial"):
        count_graphs("birds", uri, newest.run)
