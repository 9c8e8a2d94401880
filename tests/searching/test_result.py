"""What a search comes to, counted from its ledger."""

import json

from ktg.graph import parse, parse_space
from ktg.searching.result import result_of
from ktg.searching.trials import Ledger


def played() -> Ledger:
    """A search over 4 or 8 epochs: two baselines done, one failed, then random graphs until the space is used up."""
    ledger = Ledger(
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
        entry = ledger.propose()
        for epoch in range(1, epochs + 1):
            ledger.report(entry, epoch, {"val_accuracy": accuracy, "val_loss": loss}, 2.0)
        ledger.close(entry, reason)
    assert ledger.propose() is None
    return ledger


def test_the_rows_are_the_best_and_the_finished_baselines():
    result = result_of(played(), "mine", 60.0, interrupted=False)
    assert [(row.what, row.accuracy, row.loss) for row in result.rows] == [
        ("best graph", 0.75, 0.5),
        ("alone", 0.5, 1.0),
        ("distillation", 0.75, 1.0),
    ]
    assert result.rows[0].trial == "trial-0004"
    assert result.rows[1].train_s == 8.0


def test_states_are_counted_and_savings_follow_each_graph_s_own_epochs():
    ledger = played()
    result = result_of(ledger, "mine", 60.0, interrupted=False)
    assert (result.finished, result.stopped, result.failed, result.exhausted) == (3, 1, 1, True)
    assert result.epochs == 4 + 4 + 1 + 8 + 2
    cost = [
        duplicate.of.epoch for duplicate in ledger.duplicates
    ]  # what training the graph again would have cost
    assert set(cost) == {2, 4, 8}
    assert result.epochs_saved == 6 + sum(cost)
    assert result.commonest_failure == "nan"


def test_nothing_at_all_is_a_result_too():
    ledger = played()
    ledger.entries.clear()
    result = result_of(ledger, "mine", 0.0, interrupted=True)
    assert (result.best, result.rows, result.commonest_failure, result.interrupted) == (
        None,
        (),
        None,
        True,
    )
    assert json.loads(json.dumps(result.to_json()))["best"] is None


def test_json_holds_the_graph():
    result = result_of(played(), "mine", 60.0, interrupted=False)
    assert parse(json.loads(json.dumps(result.to_json()))["best"]) == result.best
