"""The adapters to Ray Tune: a trial from its proposal to its end, and what becomes of the dead."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ktg.graph import parse_space
from ktg.searching.asha import plan_brackets
from ktg.searching.callback import EndedTrial, TrialCallback
from ktg.searching.ray_adapter import EarlyStopper, FailureCallback, QueueSearcher
from ktg.searching.search_queue import SearchQueue
from ktg.searching.slots import Slots


class Witness:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def on_start(self, trial) -> None:
        self.seen.append(("started", trial.number))

    def on_epoch(self, trial) -> None:
        self.seen.append(("reported", trial.number))

    def on_end(self, trial) -> None:
        self.seen.append((trial.state, trial.number))


@pytest.fixture
def searcher(tmp_path) -> QueueSearcher:
    space = parse_space(
        {
            "data": {"name": "digits"},
            "train": {"epochs": 2, "lr": {"log": [0.01, 0.1]}},
            "nodes": {"n0": {"model": "resnet8"}},
            "edges": {"label -> n0": {}},
            "search": {"trials": 2, "baselines": False, "sampler": "random"},
        }
    )
    return QueueSearcher(SearchQueue(space), [Witness()], Slots(1, 0, 1), tmp_path)


def result(epoch: int, accuracy: float, **more: float) -> dict:
    metrics = json.dumps({"val_accuracy": accuracy, "val_loss": 1.0, **more})
    return {"epoch": epoch, "val_accuracy": accuracy, "metrics": metrics, "time_this_iter_s": 1.0}


def test_a_trial_from_proposal_to_end(searcher):
    config = searcher.suggest("a")
    assert json.loads(config["graph"])["data"] == {"name": "digits"}
    assert (config["final"], config["cpus"], config["gpus"]) == (False, 1, 0)
    searcher.on_trial_result("a", result(1, 0.5))
    searcher.on_trial_complete("a", result(2, 0.75))  # Ray gives the last result here only
    trial = searcher.trials["a"]
    assert (trial.state, trial.epoch, trial.accuracy, trial.train_s) == ("finished", 2, 0.75, 2.0)
    assert searcher.observers[0].seen == [
        ("started", 1),
        ("reported", 1),
        ("reported", 1),
        ("finished", 1),
    ]
    searcher.suggest("b")
    searcher.on_trial_complete("b", result(1, 0.5))
    assert searcher.trials["b"].state == "stopped"
    assert searcher.queue.is_interrupted  # as far as is known there may be more to train
    assert searcher.suggest("c") == "FINISHED"
    assert not searcher.queue.is_interrupted


def test_a_failure_keeps_its_reason(searcher):
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"failed": "out of memory", "epoch": 0, "val_accuracy": 0.0})
    assert (searcher.trials["a"].state, searcher.trials["a"].reason) == (
        "failed",
        "out of memory",
    )


KILLED = (
    "Failure # 1 (occurred at noon)\nThe actor died unexpectedly.\n"
    " The node has died. Node Id: 1\nFailure # 2\n"
)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (None, "the worker died: it was killed, or crashed"),
        (
            KILLED + "The actor died unexpectedly before finishing this task.",
            "the worker died: it was killed, or crashed",
        ),
        (
            KILLED + "The actor died because its node has died. Node Id: 1",
            "the worker died: its machine was lost",
        ),
        (
            KILLED + "killed due to the node running low on memory.\n More",
            "the worker died: its machine was out of memory",
        ),
        (
            KILLED + "lost.\nModuleNotFoundError: No module named 'x'",
            "the worker died: ModuleNotFoundError: No module",
        ),
        (
            KILLED + "Traceback\n  ...\nktg.errors.TrainingError: the GPU failed: CUDA\n",
            "the GPU failed: CUDA",
        ),
    ],
)
def test_a_worker_that_dies_takes_only_its_trial_with_it_and_only_when_it_dies_too_often(
    searcher, tmp_path, written, reason
):
    searcher.suggest("a")
    warnings = []
    callback = FailureCallback(searcher, warnings.append)
    if written:
        (tmp_path / "error.txt").write_text(written)
    file = str(tmp_path / "error.txt") if written else None
    of_ray, trial = SimpleNamespace(trial_id="a", error_file=file), searcher.trials["a"]
    callback.on_trial_recover(1, [], of_ray)
    assert trial.state == "running"
    assert warnings[0].startswith(f"trial-0001: {reason}")
    assert warnings[0].endswith("; it goes on in another worker")
    searcher.on_trial_complete("a", error=True)
    callback.on_trial_error(1, [], of_ray)
    assert trial.state == "failed"
    assert trial.reason.startswith(reason)
    assert searcher.observers[0].seen[-1] == ("failed", 1)


def test_an_epoch_that_was_trained_again_is_no_news(searcher):
    searcher.suggest("a")
    # Its worker died, and there was no checkpoint.
    for epoch, accuracy in ((1, 0.3), (2, 0.5), (1, 0.3), (2, 0.5)):
        searcher.on_trial_result("a", result(epoch, accuracy))
    trial = searcher.trials["a"]
    assert (trial.epoch, trial.accuracy, trial.train_s) == (2, 0.5, 4.0)
    assert searcher.observers[0].seen.count(("reported", 1)) == 2


def test_the_state_of_a_trial_that_is_over_is_deleted(searcher):
    left = Path(searcher.suggest("a")["checkpoint"])
    left.touch()
    searcher.on_trial_complete("a", result(1, 0.5))
    assert not left.exists()


def test_ray_is_told_whom_to_stop(tmp_path, searcher):
    space = searcher.queue.space
    brackets = plan_brackets(replace(space.search, scheduler="hyperband"), 4)
    racing = QueueSearcher(SearchQueue(space), [], Slots(1, 0, 1), tmp_path, brackets)
    racing.suggest("a")
    racing.suggest("b")
    assert [trial.bracket for trial in racing.trials.values()] == [0, 1]
    racing.trials["b"].bracket = 0
    stops = EarlyStopper(racing)
    assert not stops("a", result(1, 0.5))
    racing.on_trial_result("a", result(1, 0.5))
    assert stops("b", result(1, 0.4))
    assert not stops("b", result(1, 0.5))
    assert not stops("b", {"failed": "nan", "epoch": 0, "val_accuracy": 0.0})
    searcher.suggest("a")
    assert not EarlyStopper(searcher)("a", result(1, 0.0))  # without brackets
    assert not stops.stop_all()


@pytest.mark.parametrize(("epoch_s", "late"), [(4.0, False), (6.0, True)])
def test_a_second_epoch_for_which_there_is_no_time_is_not_begun(searcher, tmp_path, epoch_s, late):
    search = replace(searcher.queue.space.search, budget="10s")
    queue = SearchQueue(replace(searcher.queue.space, search=search))
    timed = QueueSearcher(queue, [], Slots(1, 0, 1), tmp_path, clock=lambda: queue.now_s)
    timed.suggest("a")
    queue.advance(5.0)
    assert EarlyStopper(timed)("a", result(1, 0.5, epoch_s=epoch_s)) is late


def test_all_ends_when_the_function_of_a_user_has_failed(searcher):
    def fail(trial: EndedTrial) -> None:
        raise ValueError(trial.name)

    callback = TrialCallback(fail)
    searcher.observers = [*searcher.observers, callback]
    stops = EarlyStopper(searcher, callback)
    searcher.suggest("a")
    assert not stops.stop_all()
    searcher.close("a", None)
    assert stops.stop_all()
    assert not pickle.loads(pickle.dumps(stops)).stop_all()  # Ray's snapshot holds no trials
