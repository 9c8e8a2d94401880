"""A search read back is the search that was written, and goes on as if nothing had happened."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ktg.errors import UserError
from ktg.graph import parse_space
from ktg.searching.baselines import FEWEST_TRIALS
from ktg.searching.contestants import explain_choice
from ktg.searching.expectation import JUDGES
from ktg.searching.pool import pack
from ktg.searching.recorder import SearchRecorder
from ktg.searching.result import summarize_search
from ktg.searching.resume import read_search_to_resume
from ktg.searching.search_queue import SearchQueue
from ktg.searching.trial import SAID
from ktg.tracking import MlflowTracker, find_experiment

CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos.py"
ENDS = {"stopped": 2, "failed": 1, "finished": 4}


PLAIN = {"alone_share": 0, "race_share": 0}


def space(trials: int = 6, search=None):
    return parse_space(
        {
            "data": {"name": "digits"},
            "train": {
                "epochs": 4,
                "lr": {"log": [0.01, 0.1]},
                "milestones": {"choice": [[], [1, 2]]},
            },
            "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
            "edges": {
                "label -> any": {},
                "n1 -> n0": {"gate": {"choice": ["through", "cutoff", "linear"]}},
            },
            "search": {
                "trials": trials,
                "sampler": "random",
                **(PLAIN if search is None else search),
            },
        }
    )


def play(journal: SearchRecorder, queue: SearchQueue, ends) -> None:
    """Propose a trial for each end; one that is "running" reports an epoch and never ends."""
    for number, end in enumerate(ends):
        entry = queue.propose()
        journal.on_start(entry)
        for epoch in range(1, ENDS.get(end, 1) + 1):
            queue.record_epoch(
                entry, epoch, {"val_accuracy": 0.1 * epoch + 0.01 * number, "val_loss": 1.0}, 1.0
            )
            journal.on_epoch(entry)
        if end != "running":
            queue.close(entry, "broken" if end == "failed" else None)
            journal.on_end(entry)


@pytest.fixture
def uri(new_store) -> str:
    return new_store()


def written(uri: str, ends) -> SearchQueue:
    """Write a search that its driver left in the middle, as far as it came."""
    queue = SearchQueue(space())
    tracker = MlflowTracker("space", uri)
    play(SearchRecorder(tracker, queue, "space", {"data.fingerprint": "abc"}), queue, ends)
    assert tracker.flush()
    tracker._running.clear()  # killed: nothing is ended
    tracker.close()
    return queue


@pytest.mark.slow
def test_what_was_done_is_read_back_and_what_was_running_comes_first(uri):
    before = written(
        uri, ["finished", "stopped", "failed", "finished", "stopped", "failed", "running"]
    )
    past = read_search_to_resume(find_experiment("space", uri))
    for was, now in zip(before.trials, past.trials, strict=True):
        for field in (
            "number",
            "key",
            "graph",
            "baseline",
            "values",
            "state",
            "reason",
            "epoch",
            "accuracy",
        ):
            assert getattr(now, field) == getattr(was, field), field
        assert now.scores == was.scores
    assert [duplicate.of.number for duplicate in past.duplicates] == [
        d.of.number for d in before.duplicates
    ]
    assert past.space.holes == before.space.holes

    queue = SearchQueue(past.space, past.trials, past.duplicates)
    tracker = MlflowTracker("space", uri)
    journal = SearchRecorder(tracker, queue, "space", {}, past)
    assert journal.parent == past.run
    again = queue.propose()
    assert again is past.trials[-1]
    journal.on_start(again)
    for epoch in (1, 2, 3, 4):
        if queue.record_epoch(again, epoch, {"val_accuracy": 0.5, "val_loss": 1.0}, 1.0):
            journal.on_epoch(again)
    queue.close(again)
    journal.on_end(again)
    play(journal, queue, ["finished", "stopped"])
    assert queue.propose() is None  # six trials and three baselines, as planned from the first
    tracker.close()

    experiment = find_experiment("space", uri)
    (search,) = experiment.searches()
    trials = [run for run in experiment.trials(search) if run.tags["kind"] == "trial"]
    assert [run.name for run in trials] == [entry.name for entry in queue.trials]
    assert len({entry.key for entry in queue.trials}) == 9
    assert not [run for run in trials if run.status == "RUNNING"]
    for run, entry in zip(trials, queue.trials, strict=True):
        assert run.state == entry.state
        assert [step for step, _ in experiment.history(run, "val_accuracy")] == list(
            range(1, entry.epoch + 1)
        )


@pytest.mark.slow
def test_the_sampler_knows_of_what_was_done_and_does_not_begin_again(uri):
    before = written(uri, ["finished"] * 5 + ["stopped"] * 2)
    past = read_search_to_resume(find_experiment("space", uri))
    queue = SearchQueue(past.space, past.trials)
    told = queue.sampler._study.trials
    assert len(told) == sum(entry.values is not None for entry in before.trials)
    assert sum(trial.state.name == "PRUNED" for trial in told) == 2
    fresh = queue.propose()
    assert fresh.number == 8
    assert fresh.values not in [entry.values for entry in before.trials]


@pytest.mark.slow
def test_a_trial_whose_end_was_not_written_is_not_trained_again(uri):
    written(uri, ["finished", "finished"])
    experiment = find_experiment("space", uri)
    (search,) = experiment.searches()
    experiment._client.set_terminated(experiment.trials(search)[0].id, "RUNNING")
    experiment._client.update_run(experiment.trials(search)[0].id, "RUNNING")
    past = read_search_to_resume(experiment)
    assert [entry.number for entry in past.unended] == [1]
    with MlflowTracker("space", uri) as tracker:
        SearchRecorder(tracker, SearchQueue(past.space, past.trials), "space", {}, past)
    assert experiment.trials(search)[0].state == "finished"


@pytest.mark.slow
def test_trials_that_this_version_would_not_make_are_refused(uri):
    written(uri, ["finished"] * 4)
    experiment = find_experiment("space", uri)
    (search,) = experiment.searches()
    experiment.tag(experiment.trials(search)[3], {"key": "another"})
    with pytest.raises(
        UserError, match=r"trial-0004 of 'space' is not what this version of ktg makes of it"
    ):
        read_search_to_resume(experiment)


@pytest.mark.slow
def test_without_a_search_there_is_nothing_to_go_on_with(uri):
    with MlflowTracker("space", uri) as tracker:
        tracker.start("something else")
    with pytest.raises(UserError, match="holds no search; run `ktg search SPACE --name space`"):
        read_search_to_resume(find_experiment("space", uri))


@pytest.mark.slow
def test_a_search_whose_driver_is_killed_loses_and_repeats_nothing():
    command = [sys.executable, CHAOS, "--kills", "1", "--trials", "3", "--json"]
    command += ["--parts", "driver", "--resumes", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result.pop("kills"), result.pop("searches")) == ({"driver": 1}, 1)
    assert (result.pop("starts"), result.pop("trials")) == (2, 0)
    assert result.pop("finished") >= 3  # the baselines
    assert result.pop("epochs_in_store_at_kills")[0] > 0
    assert not any(result.values()), result


@pytest.mark.slow
def test_arm_and_race_are_read_back_and_gone_on_with(uri):
    settings = {"alone_share": 0.5, "race_share": 0.4}
    queue = SearchQueue(space(4, search=settings))
    with MlflowTracker("space", uri) as tracker:
        journal = SearchRecorder(tracker, queue, "space", {"data.fingerprint": "abc"})
        while not any(trial.race_of for trial in queue.trials):
            play(journal, queue, ["finished"])
        play(journal, queue, ["running"])
        assert tracker.flush()
        tracker._running.clear()  # killed: nothing is ended
    past = read_search_to_resume(find_experiment("space", uri))
    known = [(one.number, one.key, one.arm, one.race_of) for one in queue.trials]
    assert [(one.number, one.key, one.arm, one.race_of) for one in past.trials] == known
    assert {one.arm for one in past.trials} == {None, "tuned alone"}
    assert past.elapsed_s == queue.now_s
    stored = past.stored
    assert [one.number for one in stored.trials] == [n for n, _, _, race in known if race is None]
    assert [one.number for one in stored.repeats] == [n for n, _, _, race in known if race]
    assert stored.best.number == queue.best.number
    assert stored.tuned_alone.number == queue.tuned_alone.number
    again = SearchQueue(past.space, past.trials, past.duplicates)
    assert again.propose().number == known[-1][0]
    assert again.best.number == queue.best.number


def test_folds_come_back_and_go_on(uri):
    queue = SearchQueue(space(6, {"alone_share": 0, "race_share": 0.3, "folds": 3}))
    with MlflowTracker("folds", uri) as tracker:
        journal = SearchRecorder(tracker, queue, "folds", {})
        play(journal, queue, ["finished"] * 8 + ["running"])
        journal._end_interrupted()
        tracker.end(journal.parent, "interrupted")
    past = read_search_to_resume(find_experiment("folds", uri))
    assert [one.trained for one in past.trials] == [one.trained for one in queue.trials]
    assert [one.fold for one in past.trials] == [0, 0, 0, 0, 1, 2, 1, 2, 0]
    again = SearchQueue(past.space, past.trials, past.duplicates)
    assert again.propose().fold == 0
    assert again.propose().fold == 10 % 3
    stored = past.stored
    assert [one.score for one in stored.contestants] == [
        pytest.approx(one.score) for one in queue.contestants
    ]
    assert stored.trials[-2].graph.data.folds is None  # what is exported knows no fold


def test_a_choice_by_few_images_is_the_same_for_queue_store_and_who_goes_on(uri):
    """Alone is best by these images; what teachers were worth elsewhere makes one of them win."""
    images = 20.0
    nodes = {"n0": {"model": "resnet18"}, "n1": {"model": "resnet50"}}
    plain = {
        "version": 2,
        "data": {"path": "photos", "size": 64, "unlabelled": "auto"},
        "train": {"epochs": 8},
        "nodes": {name: {**node, "source": "imagenet"} for name, node in nodes.items()},
        "edges": {
            "label -> n0": {"gate": {"choice": ["through", "cutoff", "linear"]}},
            "n1 -> n0": {"gate": {"choice": ["through", "linear"]}},
        },
        "search": {"trials": 2, "sampler": "random", **PLAIN},
    }
    queue = SearchQueue(parse_space(plain), images=images)
    with MlflowTracker("few", uri) as tracker:
        journal = SearchRecorder(tracker, queue, "few", {JUDGES: f"{images:g}"})
        while (trial := queue.propose()) is not None:
            journal.on_start(trial)
            right = 0.65 if trial.baseline == "alone" else 0.6
            metrics = {"val_accuracy": right + 0.001 * trial.number, "val_loss": 1.0}
            queue.record_epoch(trial, trial.graph.train.epochs, metrics, 1.0)
            journal.on_epoch(trial)
            queue.close(trial)
            journal.on_end(trial)
        tracker.end(journal.parent, "interrupted")
    assert queue.best.kind == "taught, unlabelled"
    assert max(queue.trials, key=lambda one: one.score).baseline == "alone"
    past = read_search_to_resume(find_experiment("few", uri))
    again = SearchQueue(past.space, past.trials, past.duplicates, images=past.stored.images)
    assert past.stored.best.number == again.best.number == queue.best.number
    expected = [one.expected for one in queue.contestants]
    for contestants in (past.stored.contestants, again.contestants):
        assert [one.expected for one in contestants] == pytest.approx(expected)
    said = explain_choice(queue.contestants, "accuracy")
    assert said == explain_choice(past.stored.contestants, "accuracy")
    assert said in summarize_search(queue, "few", 1.0, 20).warnings
    # A search of a version that did not record this goes on as it began: the best score wins.
    old = SearchQueue(past.space, past.trials, past.duplicates)
    assert old.best.baseline == "alone"


def go_on(uri: str, change, ends) -> list[str]:
    """Go on with the search `space` in a space that is changed; return the names of its trials."""
    past = read_search_to_resume(find_experiment("space", uri))
    with MlflowTracker("space", uri) as tracker:
        queue = SearchQueue(change(past.space), past.trials, past.duplicates)
        journal = SearchRecorder(tracker, queue, "space", {}, past)
        play(journal, queue, ends)
        journal.end(summarize_search(queue, "space", 1.0))
    return [one.name for one in queue.trials]


def test_a_search_whose_trials_become_few_keeps_its_distilled_ensemble(uri):
    queue = SearchQueue(space(FEWEST_TRIALS))
    with MlflowTracker("space", uri) as tracker:
        journal = SearchRecorder(tracker, queue, "space", {"data.fingerprint": "abc"})
        play(journal, queue, ["finished"] * 5)
        journal.end(summarize_search(queue, "space", 1.0))
    assert queue.trials[3].baseline == "distilled ensemble"
    few = lambda own: replace(own, search=replace(own.search, trials=6))  # noqa: E731
    names = go_on(uri, few, ["finished"])
    past = read_search_to_resume(find_experiment("space", uri))
    assert [one.name for one in past.trials] == names
    assert past.trials[3].graph == queue.trials[3].graph
    assert past.space.search.trials == 6


def test_what_was_trained_with_weights_that_have_gone_stays_a_part_of_the_search(uri):
    source = {"choice": ["imagenet", "none"]}
    plain = {
        "data": {"name": "digits"},
        "train": {"epochs": 4, "lr": {"log": [0.01, 0.1]}},
        "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet18", "source": source}},
        "edges": {"label -> any": {}, "n1 -> n0": {}},
        "search": {"trials": 12, "sampler": "random", **PLAIN},
    }
    queue = SearchQueue(parse_space(plain))
    with MlflowTracker("space", uri) as tracker:
        journal = SearchRecorder(tracker, queue, "space", {"data.fingerprint": "abc"})
        play(journal, queue, ["finished"] * 8 + ["running"])
        journal.end(summarize_search(queue, "space", 1.0))
    hole = "nodes.n1.source"
    assert {one.values[hole] for one in queue.searched} == {"imagenet", "none"}
    names = go_on(uri, lambda own: own.narrow({hole: ["none"]}, ()), ["finished"] * 4)
    past = read_search_to_resume(find_experiment("space", uri))
    assert [one.name for one in past.trials] == names
    # What it compares with is trained with what is left.
    later = [one for one in past.trials[len(queue.trials) :] if one.baseline == "distillation"]
    assert [one.graph.nodes["n1"].source for one in later] == ["none"]
    assert past.space.holes == queue.space.holes
    again = SearchQueue(past.space, past.trials, past.duplicates)
    told = [one.params[hole] for one in again.sampler._study.trials]
    assert "imagenet" in told


def budgeted(budget: str):
    """Return a space whose search has so much time."""
    return space(None, {**PLAIN, "budget": budget})


def write_cut_off(uri: str) -> SearchQueue:
    """Write a search of 12 s: two trainings to their end, one cut off, one stopped at a rung."""
    queue = SearchQueue(budgeted("12s"))
    with MlflowTracker("cut", uri) as tracker:
        journal = SearchRecorder(tracker, queue, "cut", {"data.fingerprint": "abc"})
        for epochs, rung in ((4, None), (2, None), (4, None), (1, 1)):
            trial = queue.propose()
            journal.on_start(trial)
            for epoch in range(1, epochs + 1):
                # What is recorded of an epoch lacks the teacher that was made before the first.
                made_s = 3.0 if (trial.number, epoch) == (2, 1) else 0.0
                metrics = {"val_accuracy": 0.5, "val_loss": 1.0, "epoch_s": 1.0}
                queue.record_epoch(trial, epoch, metrics, 1.0 + made_s)
                journal.on_epoch(trial)
            trial.rung = rung
            queue.close(trial)
            journal.on_end(trial)
        queue.advance(12.0)
        journal.end(summarize_search(queue, "cut", 12.0))
    return queue


def test_what_the_budget_cut_off_is_trained_again_with_more_of_it(uri):
    before = write_cut_off(uri)
    assert [one.state for one in before.trials] == ["finished", "stopped", "finished", "stopped"]
    past = read_search_to_resume(find_experiment("cut", uri))
    assert past.is_over  # with no more time nothing is to be done
    assert [one.state for one in past.trials] == [one.state for one in before.trials]

    short = SearchQueue(past.space, past.trials)
    short.advance(past.elapsed_s)
    assert short.propose() is None
    assert short.late_baselines == ["distillation"]

    past = read_search_to_resume(find_experiment("cut", uri))
    long = SearchQueue(budgeted("1h"), past.trials)
    long.advance(past.elapsed_s)
    again = long.propose()
    assert (again.baseline, again.state, again.epoch) == ("distillation", "running", 2)
    assert long.late_baselines == []
    assert long.propose().number == 5  # what a scheduler stopped stays so
    assert [one.state for one in long.trials[:4]] == ["finished", "running", "finished", "stopped"]


def test_what_was_spent_on_trials_that_were_cut_off_is_known_after_a_kill(uri):
    write_cut_off(uri)
    past = read_search_to_resume(find_experiment("cut", uri))
    assert past.elapsed_s == 12.0
    queue = SearchQueue(budgeted("1h"), past.trials)
    with MlflowTracker("cut", uri) as tracker:
        journal = SearchRecorder(tracker, queue, "cut", {}, past)
        trial = queue.propose()
        assert len(queue.closed) < len(past.trials)
        journal.on_start(trial)
        queue.advance(100.0)
        queue.record_epoch(trial, 3, {"val_accuracy": 0.5, "val_loss": 1.0, "epoch_s": 1.0}, 1.0)
        journal.on_epoch(trial)
        assert tracker.flush()
        tracker._running.clear()  # killed: nothing is ended
    assert read_search_to_resume(find_experiment("cut", uri)).elapsed_s == 100.0


def test_a_sampler_is_told_once_of_a_trial_that_was_cut_off(uri):
    write_cut_off(uri)
    past = read_search_to_resume(find_experiment("cut", uri))
    cut = past.trials[3]
    cut.rung = None
    queue = SearchQueue(budgeted("1h"), past.trials)
    told = len(queue.sampler._study.trials)
    taken = [queue.propose() for _ in range(2)][1]
    assert taken is cut
    for epoch in range(1, 5):
        queue.record_epoch(taken, epoch, {"val_accuracy": 0.5, "val_loss": 1.0}, 1.0)
    queue.close(taken)
    assert [one.state.name for one in queue.sampler._study.trials[told:]] == ["COMPLETE"]


def test_what_a_teacher_took_is_known_after_a_resume(uri):
    before = write_cut_off(uri)
    after = SearchQueue(budgeted("1h"), read_search_to_resume(find_experiment("cut", uri)).trials)
    for was, now in zip(before.trials, after.trials, strict=True):
        assert (now.train_s, now.epoch_s) == (was.train_s, was.epoch_s)
        assert (now.repeat_s, now.making_s) == (was.repeat_s, was.making_s)
    taught = after.trials[1]
    assert (taught.repeat_s, taught.making_s) == (2.0, 3.0)
    assert after.time.measure_repeat(taught) == 5.0


@pytest.mark.parametrize(("recorded", "epoch_s"), [({"epoch_s": 1.5}, 1.5), ({}, None)])
def test_a_trial_without_an_end_has_the_seconds_of_its_epochs_or_none(uri, recorded, epoch_s):
    queue, tracker = SearchQueue(space()), MlflowTracker("open", uri)
    journal = SearchRecorder(tracker, queue, "open", {})
    trial = queue.propose()
    journal.on_start(trial)
    for epoch in (1, 2):
        metrics = {"val_accuracy": 0.5, "val_loss": 1.0, **recorded}
        queue.record_epoch(trial, epoch, metrics, 1.5)
        journal.on_epoch(trial)
    assert tracker.flush()
    tracker._running.clear()  # killed: nothing is ended
    tracker.close()
    (now,) = read_search_to_resume(find_experiment("open", uri)).trials
    assert (now.state, now.epoch_s) == ("running", epoch_s)
    assert now.train_s == 2 * (epoch_s or 0.0)


@pytest.mark.slow
def test_what_was_said_of_the_images_is_not_lost(uri):
    queue, tracker = SearchQueue(space()), MlflowTracker("space", uri)
    recorder = SearchRecorder(tracker, queue, "space", {"data.fingerprint": "abc"})
    labels = np.arange(40) % 4
    for number in range(3):
        trial = queue.propose()
        recorder.on_start(trial)
        logits = torch.randn(40, 4, generator=torch.Generator().manual_seed(number))
        metrics = {"val_accuracy": 0.5 + number / 10, "val_loss": 1.0}
        queue.record_epoch(trial, 4, metrics | {SAID: pack(labels, logits, {})}, 1.0)
        recorder.on_epoch(trial)
        queue.close(trial)
        recorder.on_end(trial)
    tracker.close()
    past = read_search_to_resume(find_experiment("space", uri))
    assert [one.said for one in past.trials] == [one.said for one in queue.trials]
    again = SearchQueue(past.space, past.trials, past.duplicates)
    now, before = (summarize_search(one, "space", 1.0).pool for one in (again, queue))
    assert now == before
    assert now.pooled == 3
    stored = past.stored.pooled
    assert [one.trial for one in stored] == ["trial-0003", "trial-0002", "trial-0001"]
