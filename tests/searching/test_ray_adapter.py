"""The adapters to Ray Tune: how many trials fit, whom ASHA stops, and what becomes of the dead."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from ktg.errors import SpecError
from ktg.graph import Search, parse_space
from ktg.searching.ray_adapter import (
    Asha,
    Deaths,
    Fifo,
    Proposals,
    check_resources,
    gpu_slots,
    scheduler,
    slots,
)
from ktg.searching.trials import Ledger

STOP, CONTINUE = TrialScheduler.STOP, TrialScheduler.CONTINUE


@pytest.mark.parametrize(
    ("total", "each", "fit"),
    [
        (1, 1, 1),
        (1, 0.25, 4),
        (8, 0.3, 24),
        (2, 0.4, 4),
        (8, 2, 4),
        (3, 2, 1),
        (1, 0.1, 10),
        (4, 0.7, 4),
    ],
)
def test_a_fraction_never_spans_two_gpus(total, each, fit):
    assert gpu_slots(total, each) == fit


@pytest.mark.parametrize(
    ("search", "cpus", "gpus", "total", "fit"),
    [
        ({}, 1, 0, {"CPU": 8}, 8),
        ({}, 3, 0, {"CPU": 8}, 2),
        ({}, 0.1, 0, {"CPU": 0.3}, 3),
        ({}, 1, 1, {"CPU": 16, "GPU": 2}, 2),
        ({}, 1, 0.25, {"CPU": 16, "GPU": 2}, 8),
        ({}, 4, 0.25, {"CPU": 16, "GPU": 2}, 4),
        ({"concurrent": 3}, 1, 0, {"CPU": 8}, 3),
        ({"concurrent": 30}, 1, 0, {"CPU": 8}, 8),
        ({}, 4, 0, {"CPU": 2}, 1),
    ],
)
def test_slots(search, cpus, gpus, total, fit):
    assert slots(Search(**search), cpus=cpus, gpus=gpus, total=total) == fit


@pytest.mark.parametrize(
    ("cpus", "gpus", "said"),
    [
        (3, 0, r"^search.cpus_per_trial: 3 is more than there are here; allowed: at most 2$"),
        (1, 1, r"^search.gpus_per_trial: 1 is more than there are here; allowed: at most 0$"),
        (1, 1.5, r"^search.gpus_per_trial: above 1 it must be a whole number of GPUs, got 1.5$"),
    ],
)
def test_a_trial_that_would_wait_for_ever_is_refused(cpus, gpus, said):
    with pytest.raises(SpecError, match=said):
        check_resources(Search(), cpus=cpus, gpus=gpus, total={"CPU": 2.0})


def test_a_trial_that_fits_is_not_refused():
    check_resources(Search(), cpus=2, gpus=0.5, total={"CPU": 2.0, "GPU": 1.0})


@pytest.mark.parametrize(
    ("settings", "epochs"), [({"scheduler": "none"}, 8), ({"grace_epochs": 8}, 8)]
)
def test_asha_is_off_where_it_could_stop_nothing(settings, epochs):
    assert type(scheduler(Search(**settings), epochs)) is Fifo


class Race:
    """Trials with a fixed accuracy each, that report in turn to ASHA with rungs at 1, 2 and 4 epochs."""

    def __init__(self) -> None:
        self.asha = scheduler(Search(grace_epochs=1, reduction_factor=2), 8)
        self.trials = 0

    def enter(self, baseline: str = "") -> SimpleNamespace:
        self.trials += 1
        trial = SimpleNamespace(trial_id=str(self.trials), config={"baseline": baseline})
        self.asha.on_trial_add(None, trial)
        return trial

    def report(self, trial: SimpleNamespace, epoch: int, accuracy: float, **more) -> str:
        result = {
            "epoch": epoch,
            "val_accuracy": accuracy,
            "training_iteration": epoch,
            "done": epoch == 8,
            **more,
        }
        return self.asha.on_trial_result(None, trial, result)


def test_asha_stops_the_poor_half_at_the_first_rung():
    race = Race()
    assert isinstance(race.asha, Asha)
    decisions = {
        accuracy: race.report(race.enter(), 1, accuracy) for accuracy in (0.9, 0.8, 0.7, 0.6, 0.95)
    }
    assert decisions == {0.9: CONTINUE, 0.8: STOP, 0.7: STOP, 0.6: STOP, 0.95: CONTINUE}


def test_between_rungs_nobody_is_stopped():
    race = Race()
    good, poor = race.enter(), race.enter()
    assert race.report(poor, 1, 0.1) == CONTINUE  # the first to arrive
    race.report(good, 1, 0.9)
    race.report(good, 2, 0.9)
    assert race.report(poor, 2, 0.1) == STOP
    fresh = race.enter()
    race.report(fresh, 1, 0.95)
    race.report(fresh, 2, 0.95)
    assert race.report(fresh, 3, 0.0) == CONTINUE


def test_a_trial_that_goes_on_after_a_rung_is_not_held_against_it():
    """Its epoch 3 would be compared with what others had at epoch 2, its epoch 4 enter the rung at 1."""
    race = Race()
    race.report(race.enter(), 2, 0.5)
    resumed = race.enter()
    assert race.report(resumed, 3, 0.1) == CONTINUE
    assert [len(recorded) for _, recorded in race.asha._brackets[0]._rungs] == [
        0,
        0,
        1,
        0,
    ]  # at 8, 4, 2 and 1
    race.report(resumed, 4, 0.9)
    race.report(resumed, 5, 0.9)
    race.asha.on_trial_complete(None, resumed, {"epoch": 8, "val_accuracy": 0.9})
    assert [len(recorded) for _, recorded in race.asha._brackets[0]._rungs] == [1, 1, 1, 0]


@pytest.mark.parametrize(("factor", "rungs"), [(2, [4, 2, 1]), (1.5, [8, 6, 4, 3, 2, 1])])
def test_results_of_an_earlier_process_count_in_the_rungs(factor, rungs):
    ended = SimpleNamespace(
        name="old", state="finished", accuracies={epoch: epoch / 10 for epoch in range(1, 9)}
    )
    asha = scheduler(Search(grace_epochs=1, reduction_factor=factor), 8, past=[ended])
    found = [
        recorded["old"] * 10 for milestone, recorded in asha._brackets[0]._rungs if milestone < 8
    ]
    assert found == pytest.approx(rungs)


def test_a_baseline_is_never_stopped_but_counts():
    race = Race()
    assert race.report(race.enter(), 1, 0.9) == CONTINUE
    baseline = race.enter("alone")
    assert [race.report(baseline, epoch, 0.5) for epoch in range(1, 8)] == 7 * [CONTINUE]
    assert race.report(baseline, 8, 0.5) == STOP
    for _ in range(3):  # were the baseline not counted, 0.6 would be the worst so far
        race.report(race.enter("mutual learning"), 1, 0.3)
    assert race.report(race.enter(), 1, 0.6) == CONTINUE


def test_a_failed_trial_is_stopped_and_does_not_count():
    race = Race()
    failed = race.enter()
    assert race.report(failed, 0, 0.0, failed="nan") == STOP
    race.asha.on_trial_complete(None, failed, {"failed": "nan", "epoch": 0, "val_accuracy": 0.0})
    assert race.report(race.enter(), 1, 0.2) == CONTINUE
    assert race.report(race.enter(), 1, 0.1) == STOP  # median of 0.2 and 0.1: 0.0 is not among them


class Witness:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def started(self, entry) -> None:
        self.seen.append(("started", entry.number))

    def reported(self, entry) -> None:
        self.seen.append(("reported", entry.number))

    def closed(self, entry) -> None:
        self.seen.append((entry.state, entry.number))


@pytest.fixture
def proposals(tmp_path) -> Proposals:
    space = parse_space(
        {
            "data": {"name": "digits"},
            "train": {"epochs": 2, "lr": {"log": [0.01, 0.1]}},
            "nodes": {"n0": {"model": "resnet8"}},
            "edges": {"label -> n0": {}},
            "search": {"trials": 2, "baselines": False, "sampler": "random"},
        }
    )
    return Proposals(Ledger(space), Witness(), cpus=1, gpus=0, checkpoints=tmp_path)


def result(epoch: int, accuracy: float) -> dict:
    metrics = json.dumps({"val_accuracy": accuracy, "val_loss": 1.0})
    return {"epoch": epoch, "val_accuracy": accuracy, "metrics": metrics, "time_this_iter_s": 1.0}


def test_a_trial_from_proposal_to_end(proposals):
    config = proposals.suggest("a")
    assert json.loads(config["graph"])["data"] == {"name": "digits"}
    assert (config["baseline"], config["cpus"], config["gpus"]) == ("", 1, 0)
    proposals.on_trial_result("a", result(1, 0.5))
    proposals.on_trial_complete("a", result(2, 0.75))  # Ray gives the last result here only
    entry = proposals.entries["a"]
    assert (entry.state, entry.epoch, entry.accuracy, entry.train_s) == ("finished", 2, 0.75, 2.0)
    assert proposals.observer.seen == [
        ("started", 1),
        ("reported", 1),
        ("reported", 1),
        ("finished", 1),
    ]
    proposals.suggest("b")
    proposals.on_trial_complete("b", result(1, 0.5))
    assert proposals.entries["b"].state == "stopped"
    assert proposals.suggest("c") == "FINISHED"


def test_a_failure_keeps_its_reason(proposals):
    proposals.suggest("a")
    proposals.on_trial_complete("a", {"failed": "out of memory", "epoch": 0, "val_accuracy": 0.0})
    assert (proposals.entries["a"].state, proposals.entries["a"].reason) == (
        "failed",
        "out of memory",
    )


KILLED = "Failure # 1 (occurred at noon)\nThe actor died unexpectedly.\n The node has died. Node Id: 1\nFailure # 2\n"


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
    proposals, tmp_path, written, reason
):
    proposals.suggest("a")
    told = []
    deaths = Deaths(proposals, told.append)
    if written:
        (tmp_path / "error.txt").write_text(written)
    trial = SimpleNamespace(
        trial_id="a", error_file=str(tmp_path / "error.txt") if written else None
    )
    deaths.on_trial_recover(1, [], trial)
    entry = proposals.entries["a"]
    assert entry.state == "running"
    assert told[0].startswith(f"trial-0001: {reason}")
    assert told[0].endswith("; it goes on in another worker")
    proposals.on_trial_complete("a", error=True)
    deaths.on_trial_error(1, [], trial)
    assert entry.state == "failed"
    assert entry.reason.startswith(reason)
    assert proposals.observer.seen[-1] == ("failed", 1)


def test_an_epoch_that_was_trained_again_is_no_news(proposals):
    proposals.suggest("a")
    for epoch, accuracy in (
        (1, 0.3),
        (2, 0.5),
        (1, 0.3),
        (2, 0.5),
    ):  # its worker died, and there was no checkpoint
        proposals.on_trial_result("a", result(epoch, accuracy))
    entry = proposals.entries["a"]
    assert (entry.epoch, entry.accuracy, entry.train_s) == (2, 0.5, 4.0)
    assert proposals.observer.seen.count(("reported", 1)) == 2


def test_the_state_of_a_trial_that_is_over_is_deleted(proposals):
    left = Path(proposals.suggest("a")["checkpoint"])
    left.touch()
    proposals.on_trial_complete("a", result(1, 0.5))
    assert not left.exists()
