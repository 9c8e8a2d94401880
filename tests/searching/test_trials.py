"""The queue of trials: what became of each, and which is the best."""

from ktg.graph import parse
from ktg.searching.trial import Trial
from ktg.searching.trials import TrialQueue


def queue_of(count: int, epochs: int = 4) -> TrialQueue:
    """Return a queue with so many running trials."""
    graph = parse(
        {
            "data": {"name": "digits"},
            "train": {"epochs": epochs},
            "nodes": {"n0": {"model": "resnet8"}},
            "edges": {"label -> n0": {}},
        }
    )
    queue = TrialQueue(planned=count)
    queue.trials.extend(Trial(number, graph, str(number)) for number in range(1, count + 1))
    return queue


def test_of_equal_accuracy_the_lower_loss_wins_and_a_stopped_trial_never_does():
    queue = queue_of(3)
    first, second, third = queue.trials
    queue.record_epoch(first, 4, {"val_accuracy": 0.5, "val_loss": 1.0}, 1.0)
    queue.record_epoch(second, 4, {"val_accuracy": 0.5, "val_loss": 0.9}, 1.0)
    queue.record_epoch(third, 2, {"val_accuracy": 0.9, "val_loss": 0.1}, 1.0)
    assert queue.is_interrupted
    for trial in queue.trials:
        queue.close(trial)
    assert queue.ranked == [second, first]
    assert queue.best is second
    assert third.state == "stopped"
    assert queue.closed == queue.trials and not queue.is_interrupted


def test_a_training_without_epochs_is_finished_by_its_one_validation():
    queue = queue_of(1, epochs=0)
    (trial,) = queue.trials
    assert queue.record_epoch(trial, 0, {"val_accuracy": 0.5}, 1.0)
    assert not queue.record_epoch(trial, 0, {"val_accuracy": 0.6}, 1.0)  # after a death
    queue.close(trial)
    assert (trial.state, trial.accuracy, trial.epoch) == ("finished", 0.5, 0)


def test_a_failed_trial_keeps_its_reason_and_is_never_the_best():
    queue = queue_of(2)
    good, bad = queue.trials
    for trial, accuracy in ((good, 0.2), (bad, 0.9)):
        queue.record_epoch(trial, 4, {"val_accuracy": accuracy, "val_loss": 1.0}, 1.0)
    queue.close(bad, "out of memory")
    assert queue.best is None  # the other one still runs
    queue.close(good)
    assert queue.best is good
    assert (bad.state, bad.reason) == ("failed", "out of memory")
    assert queue.in_state("failed") == [bad]
