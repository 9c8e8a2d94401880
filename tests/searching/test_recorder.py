"""A search written into a tracker: every trial a run, and every run ended."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch

from ktg.data import open_data
from ktg.graph import Data, parse, parse_space
from ktg.graph.canonical import canonical_key
from ktg.graph.yaml_files import loads
from ktg.searching import pool
from ktg.searching.pool import FILE, pack, unpack
from ktg.searching.recorder import (
    SearchRecorder,
    describe_data,
    environment_tags,
    size_tags,
    weight_tags,
)
from ktg.searching.result import summarize_search
from ktg.searching.search_queue import SearchQueue
from ktg.searching.trial import SAID
from ktg.tracking import NOTE, MemoryRun, MemoryTracker, UsedData


@pytest.fixture
def queue() -> SearchQueue:
    return SearchQueue(
        parse_space(
            {
                "data": {"name": "digits"},
                "train": {"epochs": 2},
                "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
                "edges": {
                    "label -> n0": {},
                    "n1 -> n0": {"gate": {"choice": ["through", "cutoff"]}},
                },
                "search": {"trials": 3, "sampler": "random", "race_share": 0},
            }
        )
    )


@pytest.fixture
def tracker() -> MemoryTracker:
    return MemoryTracker()


DATA = UsedData(
    name="digits",
    fingerprint="abc",
    source="digits",
    counts={"classes": 10, "training images": 1000},
)


@pytest.fixture
def recorder(queue, tracker) -> SearchRecorder:
    return SearchRecorder(tracker, queue, "mine", {"data.fingerprint": "abc"}, data=DATA)


def play(recorder: SearchRecorder, epochs: int, reason: str | None = None, rung: int | None = None):
    trial = recorder.queue.propose()
    recorder.on_start(trial)
    for epoch in range(1, epochs + 1):
        metrics = {"val_accuracy": 0.1 * epoch, "val_loss": 1.0}
        recorder.queue.record_epoch(trial, epoch, metrics, 1.0)
        recorder.on_epoch(trial)
    trial.rung = rung
    recorder.queue.close(trial, reason)
    recorder.on_end(trial)
    return trial


def run_of(tracker: MemoryTracker, name: str) -> MemoryRun:
    return next(run for run in tracker.runs.values() if run.name == name)


def test_the_parent_begins_with_the_space_and_the_settings(recorder, tracker, queue):
    parent = tracker.runs[recorder.parent]
    assert parent.params["search.trials"] == 3
    assert "search.concurrent" not in parent.params
    assert parent.tags["kind"] == "search"
    assert parent.tags["data.fingerprint"] == "abc"
    written = parse_space(loads(parent.artifacts["space.yaml"], "space.yaml"))
    assert (written.holes, written.search) == (queue.space.holes, queue.space.search)


def test_an_opening_is_counted_among_the_settings_and_kept_in_the_space(queue, tracker):
    point = {"edges.n1.n0.gate": "through"}
    search = dataclasses.replace(queue.space.search, opening=(point,))
    opened = SearchQueue(dataclasses.replace(queue.space, search=search))
    parent = tracker.runs[SearchRecorder(tracker, opened, "mine", {}).parent]
    assert parent.params["search.opening"] == "1 arrangement"
    written = parse_space(loads(parent.artifacts["space.yaml"], "space.yaml"))
    assert [dict(one) for one in written.search.opening] == [point]
    plain = tracker.runs[SearchRecorder(tracker, queue, "mine", {}).parent]
    assert "search.opening" not in plain.params


def test_a_trial_has_its_values_its_epochs_its_state_and_its_graph(recorder, tracker):
    trial = play(recorder, epochs=2)
    run = run_of(tracker, "trial-0001 (alone)")
    assert run.parent == recorder.parent
    assert run.params == {"edges.n1.n0.gate": "cutoff"}
    assert run.history("val_accuracy") == [(1, 0.1), (2, 0.2)]
    assert run.state == "finished"
    expected = {
        "kind": "trial",
        "baseline": "alone",
        "sampler": "random",
        "seed": "0",
        "epoch": "2",
        "key": trial.key,
    }
    assert expected.items() <= run.tags.items()
    assert run.tags[NOTE].startswith("**20.00 % accuracy** on the validation split: one training")
    assert canonical_key(parse(loads(run.artifacts["graph.yaml"], "graph.yaml"))) == trial.key
    assert run.artifacts["graph.svg"].startswith(("<svg", "<?xml"))
    assert tracker.runs[recorder.parent].history("best_val_accuracy") == [(1, 0.2)]


def test_a_failure_keeps_its_reason_and_a_stop_its_epoch(recorder, tracker):
    play(recorder, epochs=0, reason="out of memory")
    play(recorder, epochs=1, rung=1)
    play(recorder, epochs=1)  # its time was over
    failed, stopped, late = (
        run_of(tracker, f"trial-{number:04d} ({what})")
        for number, what in enumerate(("alone", "distillation", "mutual learning"), 1)
    )
    assert (failed.state, failed.tags["reason"]) == ("failed", "out of memory")
    assert failed.tags[NOTE].startswith("**Failed** after 0 epochs")
    assert (stopped.state, stopped.tags["epoch"], stopped.tags["rung"]) == ("stopped", "1", "1")
    assert "rung" not in failed.tags | late.tags
    assert late.state == "stopped"


def test_every_duplicate_is_a_run_that_is_over(recorder, tracker, queue):
    while len(queue.trials) < 3:
        play(recorder, epochs=2)
    assert queue.propose() is None  # both graphs of the space are known: all else are duplicates
    recorder.end(summarize_search(queue, "mine", 1.0))
    duplicates = [run for run in tracker.runs.values() if run.state == "duplicate"]
    assert len(duplicates) == len(queue.duplicates) > 0
    assert {run.tags["duplicate_of"] for run in duplicates} <= {
        trial.name for trial in queue.trials
    }
    assert all(run.name == f"duplicate of {run.tags['duplicate_of']}" for run in duplicates)


def test_the_end_leaves_no_run_open(recorder, tracker, queue):
    play(recorder, epochs=2)
    running = queue.propose()
    recorder.on_start(running)
    recorder.end(summarize_search(queue, "mine", 1.0))
    assert all(run.state is not None for run in tracker.runs.values())
    assert run_of(tracker, running.name).state == "interrupted"
    parent = tracker.runs[recorder.parent]
    assert parent.state == "interrupted"
    assert parent.tags["best_trial"] == "trial-0001 (alone)"
    assert "Cut short; to go on: `ktg search mine --resume`." in parent.tags[NOTE]
    assert parse(loads(parent.artifacts["best.yaml"], "best.yaml")) == queue.best.graph
    assert "best.svg" in parent.artifacts


def test_a_search_without_a_finished_trial_has_failed(recorder, tracker, queue):
    play(recorder, epochs=1, reason="nan")
    recorder.end(summarize_search(queue, "mine", 1.0))
    assert tracker.runs[recorder.parent].state == "failed"
    assert "best.yaml" not in tracker.runs[recorder.parent].artifacts


def test_the_versions_of_what_a_result_depends_on_are_kept():
    assert {
        "version.torch",
        "version.timm",
        "version.ray",
        "version.optuna",
        "python",
    } <= environment_tags().keys()


def test_every_run_says_on_which_images(recorder, tracker):
    play(recorder, epochs=2)
    assert [run.data for run in tracker.runs.values()] == [DATA, DATA]


def test_the_description_says_first_what_is_searched_and_then_what_came_of_it(
    recorder, tracker, queue
):
    parent = tracker.runs[recorder.parent]
    assert parent.tags[NOTE].startswith(
        "mine: 1 hole, 2 graphs; 3 trials, sampler random, scheduler none."
    )
    assert "Data: digits (10 classes, 1,000 training images)." in parent.tags[NOTE]
    assert "`ktg search mine --resume`" in parent.tags[NOTE]
    play(recorder, epochs=2)
    play(recorder, epochs=1, rung=1)
    recorder.end(summarize_search(queue, "mine", 61.0))
    lines = parent.tags[NOTE].splitlines()
    luck = "one training of many, so that luck is a part of it"
    said = f"**20.00 % on the validation split**: accuracy of trial-0001 (alone), {luck}."
    assert lines[0] == said
    assert "| alone | 20.00 % |  |  | 2 s | trial-0001 (alone) |" in lines
    none = "No graph of the space was trained to its end, so that only baselines are compared"
    assert f"{none}; the best of them is alone. More time may find a better graph." in lines
    assert any(
        line.startswith("1 finished, 1 stopped early, 0 failed; 3 epochs in 1 min 1 s. 1 epoch ")
        for line in lines
    )
    assert "`ktg export mine --register NAME`" in lines[-1]


def test_the_description_of_a_search_in_which_all_failed_says_why(recorder, tracker, queue):
    play(recorder, epochs=0, reason="out of memory")
    recorder.end(summarize_search(queue, "mine", 1.0))
    note = tracker.runs[recorder.parent].tags[NOTE]
    assert note.startswith("**No trial finished.** The most common reason: out of memory")


def test_a_trial_says_from_which_weights_its_live_nodes_begin(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"weights")
    plain = {
        "data": {"name": "digits"},
        "nodes": {
            "n0": {"model": "resnet8", "source": str(file)},
            "n1": {"model": "resnet8"},
            "n2": {"model": "resnet8", "source": str(file)},
            "n3": {"model": "resnet18", "source": "imagenet"},
        },
        "edges": {"label -> n0": {}, "n1 -> n0": {}, "n3 -> n0": {}, "n0 -> n2": {}},
    }
    graph = parse(plain)
    sha = hashlib.sha256(b"weights").hexdigest()
    published = "imagenet:timm/resnet18.a1_in1k/pytorch_model.bin"
    tags = {"nodes.n0.weights": f"{file}: {sha}", "nodes.n3.weights": published}
    assert weight_tags(graph) == tags
    file.unlink()
    assert weight_tags(graph)["nodes.n0.weights"] == f"{file}: unknown"


def test_images_in_a_folder_have_its_name(tiny):
    dataset = open_data(Data(path=str(tiny)))
    data = describe_data(Data(path=str(tiny)), dataset)
    assert (data.name, data.source, data.fingerprint) == (
        "tiny.npz",
        str(tiny),
        dataset.fingerprint,
    )
    assert data.counts["classes"] == 4
    assert data.counts["training images"] == len(dataset.train)


def test_files_that_were_left_out_are_recorded_and_part_of_the_result(queue):
    data = open_data(Data(name="digits"))
    assert "data.skipped" not in size_tags(data)
    without = dataclasses.replace(data, skipped=("a.jpg", "b.jpg"))
    assert size_tags(without)["data.skipped"] == "2: a.jpg, b.jpg"
    result = dataclasses.replace(summarize_search(queue, "x", 1.0), skipped=without.skipped)
    assert result.to_json()["skipped"] == ("a.jpg", "b.jpg")


def test_what_the_best_trials_said_of_the_images_is_kept_with_them(
    recorder, tracker, queue, monkeypatch
):
    monkeypatch.setattr(pool, "MOST_KEPT", 1)
    labels = np.arange(20) % 2
    for number, accuracy in enumerate((0.5, 0.8, 0.7)):
        trial = queue.propose()
        trial.baseline = None
        recorder.on_start(trial)
        logits = torch.randn(20, 2, generator=torch.Generator().manual_seed(number))
        said = {SAID: pack(labels, logits, {"n0": logits})}
        for epoch in (1, 2):
            metrics = {"val_accuracy": accuracy, "val_loss": 1.0, **(said if epoch == 2 else {})}
            queue.record_epoch(trial, epoch, metrics, 1.0)
            recorder.on_epoch(trial)
        queue.close(trial)
        recorder.on_end(trial)
        assert SAID not in trial.metrics
    kept = [FILE in run.artifacts for run in tracker.runs.values() if run.parent]
    assert kept == [True, True, False]  # the third was not among the best when it ended
    assert [bool(trial.said) for trial in queue.trials] == [False, True, False]
    assert np.array_equal(unpack(queue.best.said).labels, labels)


def test_the_time_that_is_spent_is_kept_while_the_first_training_still_runs(queue, tracker):
    recorder = SearchRecorder(tracker, queue, "slow", {})
    trial = queue.propose()
    recorder.on_start(trial)
    for epoch, now in ((1, 20.0), (2, 40.0)):
        queue.advance(now)
        queue.record_epoch(trial, epoch, {"val_accuracy": 0.5, "val_loss": 1.0}, 20.0)
        recorder.on_epoch(trial)
    queue.advance(55.0)
    recorder.end(summarize_search(queue, "slow", 55.0))
    assert tracker.runs[recorder.parent].history("elapsed_s") == [(1, 40.0), (1, 55.0)]
