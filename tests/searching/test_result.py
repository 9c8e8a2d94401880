"""What a search comes to, counted from its queue."""

import json

from ktg.graph import parse, parse_space
from ktg.searching.result import summarize_search
from ktg.searching.trials import SearchQueue


def played() -> SearchQueue:
    """Play a search over 4 or 8 epochs: two baselines, one that fails, then all other graphs."""
    queue = SearchQueue(
        parse_space(
            {
                "data": {"name": "digits"},
                "train": {"epochs": {"choice": [4, 8]}},
                "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
                "edges": {
                    "label -> n0": {},
                    "n1 -> n0": {"gate": {"choice": ["through", "cutoff"]}},
                },
                "search": {"trials": 50, "sampler": "random"},
            }
        )
    )
    for accuracy, loss, epochs, reason in (
        (0.5, 1.0, 4, None),
        (0.75, 1.0, 4, None),
        (0.0, 9.0, 1, "nan"),
        (0.75, 0.5, 8, None),
        (0.25, 2.0, 2, None),
    ):
        trial = queue.propose()
        for epoch in range(1, epochs + 1):
            queue.record_epoch(trial, epoch, {"val_accuracy": accuracy, "val_loss": loss}, 2.0)
        queue.close(trial, reason)
    assert queue.propose() is None
    return queue


def test_the_rows_are_the_best_and_the_finished_baselines():
    result = summarize_search(played(), "mine", 60.0)
    assert [(row.what, row.accuracy, row.loss) for row in result.rows] == [
        ("best graph", 0.75, 0.5),
        ("alone", 0.5, 1.0),
        ("distillation", 0.75, 1.0),
    ]
    assert result.rows[0].trial == "trial-0004"
    assert result.rows[1].train_s == 8.0


def test_states_are_counted_and_savings_follow_each_graph_s_own_epochs():
    queue = played()
    result = summarize_search(queue, "mine", 60.0)
    assert (result.finished, result.stopped, result.failed, result.exhausted) == (3, 1, 1, True)
    assert result.epochs == 4 + 4 + 1 + 8 + 2
    # What training the graphs again would have cost.
    cost = [duplicate.of.epoch for duplicate in queue.duplicates]
    assert set(cost) == {2, 4, 8}
    assert result.epochs_saved == 6 + sum(cost)
    assert result.commonest_failure == "nan"


def test_nothing_at_all_is_a_result_too():
    queue = SearchQueue(played().space)
    queue.propose()  # and then it was interrupted
    result = summarize_search(queue, "mine", 0.0)
    assert (result.best, result.rows, result.commonest_failure) == (None, (), None)
    assert (result.epochs, result.interrupted) == (0, True)
    assert json.loads(json.dumps(result.to_json()))["best"] is None


def test_json_holds_the_graph():
    result = summarize_search(played(), "mine", 60.0)
    assert parse(json.loads(json.dumps(result.to_json()))["best"]) == result.best


def test_the_advice_counts_a_best_that_is_a_baseline_once_and_needs_the_images():
    queue = played()
    assert summarize_search(queue, "played", 1.0).ship is None
    found = summarize_search(queue, "played", 1.0, 20)
    # Half of 20 images against three quarters: not proven, and alone trains one network only.
    assert found.ship.what == "alone"
    assert found.to_json()["ship"]["sentence"] == found.ship.sentence
