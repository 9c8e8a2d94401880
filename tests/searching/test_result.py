"""What a search comes to, counted from its queue."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ktg.graph import parse, parse_space
from ktg.searching.pool import pack
from ktg.searching.result import summarize_search
from ktg.searching.search_queue import SearchQueue

SPACE = {
    "data": {"name": "digits"},
    "train": {"epochs": 2, "lr": {"log": [0.01, 0.1]}},
    "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
    "edges": {"label -> any": {}, "n1 -> n0": {"gate": {"choice": ["through", "cutoff"]}}},
}


def played(**search) -> SearchQueue:
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
                "search": {"trials": 20, "sampler": "random", **search},
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
        trial.rung = epochs  # as if a scheduler had stopped it
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


def test_a_short_search_says_that_it_has_left_out_the_distilled_ensemble():
    said = "The baseline distilled ensemble was left out: its 4 trainings need a search of 48 "
    assert summarize_search(played(), "mine", 60.0).warnings[-1].startswith(said)
    whole = raced(trials=48)
    assert any(row.what == "distilled ensemble" for row in summarize_search(whole, "x", 1.0).rows)
    assert not any("left out" in each for each in summarize_search(whole, "x", 1.0).warnings)


def test_where_distillation_failed_the_distilled_ensemble_is_not_said_to_take_too_long():
    search = {"budget": "10h", "sampler": "random", "alone_share": 0, "race_share": 0}
    queue = SearchQueue(parse_space({**SPACE, "search": search}))
    for _ in range(3):
        trial = queue.propose()
        queue.record_epoch(trial, 2, {"val_accuracy": 0.5, "val_loss": 1.0}, 2.0)
        queue.close(trial, "nan" if trial.baseline == "distillation" else None)
    assert queue.propose().baseline is None
    queue.close(queue.trials[-1])
    left_out = [one for one in summarize_search(queue, "x", 1.0).warnings if "left out" in one]
    assert left_out == [
        "The baseline distilled ensemble was left out, because distillation, by which its time is "
        "reckoned, failed."
    ]


def test_mutual_learning_that_took_too_long_is_named():
    space = {
        "data": {"name": "digits"},
        "train": {"epochs": 2},
        "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
        "edges": {"label -> any": {}, "n1 -> n0": {"gate": {"choice": ["through", "cutoff"]}}},
        "search": {"budget": "100s", "sampler": "random"},
    }
    queue = SearchQueue(parse_space(space))
    begun = {trial.baseline: trial for trial in (queue.propose() for _ in range(3))}
    for name, trial in begun.items():
        epochs = (1,) if name == "mutual learning" else (1, 2)
        for epoch in epochs:
            queue.record_epoch(trial, epoch, {"val_accuracy": 0.5, "val_loss": 1.0}, 8.0)
        queue.close(trial)
    assert begun["mutual learning"].state == "stopped"
    said = "The baseline mutual learning was ended early: it would have taken more than 1/8 of the"
    assert any(each.startswith(said) for each in summarize_search(queue, "x", 1.0).warnings)
    begun["mutual learning"].epoch_times[:] = [5.0]
    assert not any(each.startswith(said) for each in summarize_search(queue, "x", 1.0).warnings)


@pytest.mark.parametrize("cut", [False, True])
def test_baselines_without_time_are_named(cut):
    search = {"budget": "60s", "sampler": "random", "race_share": 0}
    queue = SearchQueue(parse_space({**SPACE, "search": search}))
    begun = [queue.propose() for _ in range(3 if cut else 1)]
    for trial in begun:
        for epoch in (1, 2) if trial.baseline == "alone" else (1,):
            queue.record_epoch(trial, epoch, {"val_accuracy": 0.5, "val_loss": 1.0}, 1.0)
        queue.close(trial)
    queue.advance(59)
    if not cut:
        assert queue.propose() is None
    said = "There was no time for the baselines distillation, mutual learning."
    warnings = summarize_search(queue, "x", 1.0).warnings
    assert warnings.count(said) == 1


def test_a_search_with_time_for_its_baselines_names_none():
    for queue in (raced(budget="10h"), played(budget="10h")):
        assert not any("no time" in each for each in summarize_search(queue, "x", 1.0).warnings)
        cut = next(one for one in queue.trials if one.baseline == "distillation")
        cut.state, cut.rung = "stopped", None  # as if the time had been over
        said = "There was no time for the baseline distillation."
        assert summarize_search(queue, "x", 1.0).warnings.count(said) == 1


def test_a_graph_of_which_a_new_seed_failed_does_not_win():
    queue = raced()
    first = queue.best
    assert first.race_of is None
    last = next(one for one in reversed(queue.trials) if one.race_of == first.number)
    assert first.score == max(one.score for one in queue.trials if one.race_of is None)
    queue.close(last, "nan")
    assert gather_anew(queue).best is not first
    assert summarize_search(queue, "x", 1.0).best == queue.best.graph != first.graph


def test_states_are_counted_and_savings_follow_each_graph_s_own_epochs():
    queue = played()
    result = summarize_search(queue, "mine", 60.0)
    assert (result.finished, result.stopped, result.failed, result.exhausted) == (3, 1, 1, True)
    said = "The space is exhausted: every graph in it that could be trained was."
    assert result.end_of_space == said
    dry = replace(result, exhausted=False, ran_dry=True).end_of_space
    assert dry == ("The whole space gave no more graphs: 500 draws in a row brought no new one.")
    assert replace(result, exhausted=False).end_of_space is None
    assert result.epochs == 4 + 4 + 1 + 8 + 2
    # What training the graphs again would have cost.
    cost = [duplicate.of.epoch for duplicate in queue.duplicates]
    assert set(cost) == {2, 4, 8}
    assert result.epochs_saved == 6 + sum(cost)
    assert result.commonest_failure == "nan"
    late = queue.in_state("stopped")[0]
    late.rung = None  # its time was over
    assert summarize_search(queue, "mine", 60.0).epochs_saved == sum(cost)


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


def raced(**search) -> SearchQueue:
    """Play a search of two nodes with a race, in which every graph has its own score by seed."""
    settings = {"trials": 9, "sampler": "random", "race_share": 0.4, **search}
    queue = SearchQueue(parse_space({**SPACE, "search": settings}))
    while trial := queue.propose():
        of = next(one for one in queue.trials if one.number == (trial.race_of or trial.number))
        own = of.number / 100 + (0.2 if of.arm is None and of.baseline is None else 0.0)
        luck = trial.graph.train.seed % 7 / 1000 if trial.race_of else 0.0
        for epoch in (1, 2) if trial.graph.train.epochs == 2 else range(1, 5):
            metrics = {"val_accuracy": 0.5 + own + luck, "val_loss": 1.0}
            queue.record_epoch(trial, epoch, metrics, 1.0)
        queue.close(trial)
    return queue


def test_a_raced_row_has_the_mean_of_new_seeds_and_how_far_the_best_is_ahead():
    queue = raced()
    result = summarize_search(queue, "mine", 60.0)
    best, tuned = result.rows[:2]
    assert tuned.what == "tuned alone" or best.trial == queue.tuned_alone.name
    own = [one.accuracy for one in queue.trials if one.race_of == queue.best.number]
    assert (best.n, best.score) == (len(own), pytest.approx(sum(own) / len(own)))
    assert best.n >= 2
    assert (best.difference, best.interval) == (None, None)
    behind = [row for row in result.rows[1:] if row.n >= 2]
    assert behind
    for row in behind:
        assert row.difference == pytest.approx(best.score - row.score, abs=0.02)
        assert row.interval[0] <= row.difference <= row.interval[1]
    assert result.repeats == sum(one.race_of is not None for one in queue.trials)
    assert result.finished == len(queue.trials)
    assert json.loads(json.dumps(result.to_json()))["rows"][0]["n"] == best.n


def test_without_a_race_luck_is_named():
    result = summarize_search(raced(race_share=0), "mine", 60.0)
    best = result.rows[0]
    assert (best.n, best.std, best.expected) == (0, None, None)
    assert best.basis == "one training of many, so that luck is a part of it"
    assert best.score == best.accuracy


def gather_anew(queue: SearchQueue) -> SearchQueue:
    """Return the queue without what it has gathered, for scores that were changed afterwards."""
    queue._gathered = (0, [])
    return queue


def test_a_search_that_found_nothing_better_than_a_baseline_says_so():
    queue = raced(race_share=0, trials=2)
    for trial in queue.trials:
        trial.metrics["val_accuracy"] = 0.9 if trial.baseline == "distillation" else 0.5
    result = summarize_search(gather_anew(queue), "mine", 60.0)
    assert result.best == next(one for one in queue.trials if one.baseline == "distillation").graph
    assert result.warnings[0] == (
        "No graph of the search is better than the baseline distillation, "
        "which is therefore the best graph."
    )


def say(right: int, *nodes: str) -> bytes:
    """Return what was said of 40 images by networks that have so many of them right."""
    labels = np.arange(40) % 4
    said = np.where(np.arange(40) < right, labels, (labels + 1) % 4)
    logits = torch.from_numpy(np.eye(4, dtype=np.float32)[said])
    return base64.b64decode(pack(labels, logits, dict.fromkeys(nodes, logits)))


def test_of_two_baselines_of_one_name_the_later_one_stands_beside_the_teacher_too():
    queue = raced(race_share=0, trials=2)
    named = {one.baseline: one for one in queue.trials}
    best, first = named["distillation"], named["alone"]
    later = replace(first, number=len(queue.trials) + 1, key="of other weights")
    for trial, right in ((best, 40), (first, 20), (later, 30)):
        trial.metrics = {"val_accuracy": right / 40, "val_loss": 1.0}
        trial.said = say(right, *trial.graph.nodes)
    queue.trials.append(later)
    result = summarize_search(gather_anew(queue), "mine", 60.0)
    assert result.best == best.graph
    assert [row.trial for row in result.rows if row.what == "alone"] == [later.name]
    assert result.teacher.minus_alone.difference == pytest.approx(0.25)


def test_a_search_whose_baselines_took_all_the_time_does_not_say_it_has_compared():
    queue = raced(race_share=0, trials=2)
    for trial in queue.searched:
        trial.state = "stopped"
    best = queue.best
    warning = summarize_search(gather_anew(queue), "mine", 60.0).warnings[0]
    assert warning.startswith(
        "No graph of the space was trained to its end, so that only baselines"
    )
    assert f"the best of them is {best.baseline}" in warning


def test_what_collapsed_is_named_wherever_it_is_shown():
    queue = raced(race_share=0)
    alone = next(one for one in queue.trials if one.baseline == "alone")
    alone.metrics |= {"collapsed": 1.0, "val_accuracy": 0.1}
    result = summarize_search(gather_anew(queue), "mine", 60.0)
    (row,) = (row for row in result.rows if row.what == "alone")
    assert row.note == "collapsed: it says the same of all images"
    assert row.describe_score("accuracy") == "10.00 % (collapsed)"
    assert "1 training collapsed: the network said the same of all images." in result.warnings


def test_a_best_graph_without_a_teacher_is_named():
    queue = raced(race_share=0, alone_share=0, trials=30)
    cut = next(one for one in queue.searched if one.graph.edges["n1", "n0"].gate == "cutoff")
    cut.metrics["val_accuracy"] = 0.99
    result = summarize_search(gather_anew(queue), "mine", 60.0)
    assert result.rows[0].note == "no network teaches another here"
    assert "The best graph: no network teaches another here." in result.warnings


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_a_score_without_the_effect_of_its_fold_is_never_more_than_all_images(seed):
    chance = np.random.default_rng(seed)
    hard, fold_of = chance.random(200) < 0.06, np.arange(200) % 5
    search = {"trials": 10, "folds": 5, "sampler": "random", "race_share": 0.25}
    queue = SearchQueue(parse_space({**SPACE, "search": search}), images=40.0)
    while trial := queue.propose():
        right = chance.random(40) < np.where(hard, 0.5, 0.999)[fold_of == trial.fold]
        metrics = {"val_accuracy": float(right.mean()), "val_loss": 0.1}
        for epoch in range(1, trial.graph.train.epochs + 1):
            queue.record_epoch(trial, epoch, metrics, 30.0)
        queue.close(trial)
    result = summarize_search(queue, "near all", 1.0, 40)
    assert max(one.score for one in queue.contestants) > 1
    assert all(0 <= row.score <= 1 for row in result.rows)
    assert all(row.expected is None or row.expected <= 1 for row in result.rows)
    assert result.ship is not None
