"""The verdict: what is proven, by which intervals, and how it is said."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from ktg.graph import parse
from ktg.graph.canonical import canonical_key, with_seed
from ktg.intervals import paired_interval
from ktg.searching.confirm.finalists import CONTROL, Finalist, Finalists
from ktg.searching.confirm.recorder import describe_confirmation
from ktg.searching.confirm.verdict import join_words, judge
from ktg.searching.seed_queue import SeedQueue, SeedRun

IMAGES = 200
LABELS = (np.arange(IMAGES) >= 160).astype(np.int64)  # 160 images of a class, 40 of another
GRAPHS = {}


def graph(name):
    """Return a graph of its own for each name."""
    lr = GRAPHS.setdefault(name, 0.01 * (len(GRAPHS) + 1))
    raw = {"data": {"name": "digits"}, "train": {"lr": lr}, "nodes": {"n0": {"model": "resnet8"}}}
    return parse({**raw, "edges": {"label -> n0": {}}})


def finalist(number, rank=None, baseline=None):
    trial = f"trial-{number:04d}"
    return Finalist(trial=trial, rank=rank, baseline=baseline, val_accuracy=0.5, graph=graph(trial))


def done_queue(*accuracies, seeds=(1000, 1001, 1002), failed=(), metric="accuracy", rare=0.0):
    """Return a queue that is done, and its finalists.

    accuracies: of finalists; failed: (finalist, seed) whose training failed. metric: that of the
    search; rare: by how much less each finalist but the first is right on the rare class.
    """
    random, done, failures = np.random.default_rng(0), {}, []
    hard = random.uniform(size=IMAGES)  # the same images are hard for all
    for place, (one, accuracy) in enumerate(accuracies):
        levels = accuracy - LABELS * (rare if place else 0.0)
        for seed in seeds:
            right = hard + random.normal(scale=0.02, size=IMAGES) < levels
            text = "".join("01"[int(each)] for each in right)
            run = SeedRun(seed, float(right.mean()), 0.1, 1.0, text)
            done[canonical_key(with_seed(one.graph, seed))] = run
    for one, seed in failed:
        failures.append(done.pop(canonical_key(with_seed(one.graph, seed))))
    finalists = tuple(one for one, _ in accuracies)
    queue = SeedQueue({one.what: one.graph for one in finalists}, list(seeds), done)
    for _ in failures:
        queue.close(queue.propose(), "out of memory")
    stored = SimpleNamespace(run=SimpleNamespace(id="run"), metric=metric)
    return queue, Finalists(stored, finalists, frozenset())


BEST, SECOND = finalist(9, rank=1), finalist(8, rank=2)
ALONE, DISTILLATION = finalist(1, baseline="alone"), finalist(2, baseline="distillation")


def judged(*accuracies, **how):
    queue, finalists = done_queue(*accuracies, **how)
    return judge("mine", finalists, queue, LABELS)


def test_better_worse_and_not_proven_in_one_sentence():
    mutual = finalist(3, baseline="mutual learning")
    found = judged((BEST, 0.7), (ALONE, 0.5), (DISTILLATION, 0.701), (mutual, 0.9))
    assert [each.verdict for each in found.differences] == ["better", "not proven", "worse"]
    better, _, worse = (100 * abs(each.difference) for each in found.differences)
    assert found.sentence == (
        f"The best graph, trial-0009, is better than alone by {better:.2f} points; it is "
        f"worse than mutual learning by {worse:.2f} points; it is not proven to be better "
        "than distillation."
    )
    assert found.basis == (
        "3 seeds that the search has not used, 200 test images. "
        "All 3 intervals hold at once with 95 %, for other seeds and other images."
    )


def test_two_baselines_share_their_points_in_the_sentence():
    found = judged((BEST, 0.9), (ALONE, 0.5), (DISTILLATION, 0.6))
    a, b = (100 * each.difference for each in found.differences)
    better = f"better than alone by {a:.2f} and distillation by {b:.2f} points"
    assert found.sentence == f"The best graph, trial-0009, is {better}."


def test_differences_are_paired_by_seed_and_image_and_corrected_for_their_number():
    queue, finalists = done_queue((BEST, 0.7), (SECOND, 0.69), (ALONE, 0.68), (DISTILLATION, 0.6))
    found = judge("mine", finalists, queue, LABELS)
    assert [(each.of, each.against) for each in found.differences] == [
        ("best graph", "alone"),
        ("best graph", "distillation"),
        ("2nd best", "alone"),
        ("2nd best", "distillation"),
    ]
    best, alone = (
        np.array([[int(each) for each in run.right] for run in queue.results(one.what)])
        for one in (BEST, ALONE)
    )
    table = (best - alone).astype(float)
    first = found.differences[0]
    assert first.difference == pytest.approx(table.mean())
    assert first.difference == pytest.approx(found.rows[0].mean - found.rows[2].mean)
    assert first.interval == pytest.approx(paired_interval(table, 4))


def test_a_best_graph_that_is_a_baseline_is_not_compared_with_itself():
    best = finalist(2, rank=1, baseline="distillation")
    found = judged((best, 0.9), (ALONE, 0.5))
    assert [each.against for each in found.differences] == ["alone"]
    assert found.sentence.startswith(
        "The best graph, trial-0002 (distillation), is better than alone by "
    )
    assert "The interval holds with 95 %" in found.basis
    lonely = judged((best, 0.9))
    assert lonely.sentence.endswith(" % right; there is no other baseline to compare it with.")


def test_the_control_is_held_against_the_best_alone():
    control = replace(finalist(0, baseline=CONTROL), val_accuracy=None)  # the search had no such
    found = judged((BEST, 0.9), (SECOND, 0.8), (control, 0.5), (ALONE, 0.6))
    assert [(each.of, each.against) for each in found.differences] == [
        ("best graph", "alone"),
        ("best graph", "tuned alone"),
        ("2nd best", "alone"),
    ]
    assert found.basis.endswith(
        "Tuned alone: the target by itself, with all the settings of the best graph."
    )


def test_a_control_that_the_search_has_tuned_is_held_against_all():
    tuned = finalist(7, baseline=CONTROL)
    found = judged((BEST, 0.9), (SECOND, 0.8), (tuned, 0.5))
    pairs = [(each.of, each.against) for each in found.differences]
    assert pairs == [("best graph", "tuned alone"), ("2nd best", "tuned alone")]
    said = "the target by itself, with the best settings that the search has found for it."
    assert found.basis.endswith(f"Tuned alone: {said}")


def test_a_training_that_failed_leaves_nothing_proven():
    for one in (BEST, ALONE):
        found = judged((BEST, 0.9), (ALONE, 0.2), failed=[(one, 1001)])
        assert found.differences[0].difference > 0.5
        assert (found.differences[0].interval, found.differences[0].verdict) == (None, "not proven")
        assert (
            found.sentence == "The best graph, trial-0009, is not proven to be better than alone."
        )
        (row,) = (row for row in found.rows if row.failures)
        assert (row.trial, row.failures, len(row.runs)) == (one.trial, {1001: "out of memory"}, 2)
    none = judged((BEST, 0.9), (ALONE, 0.2), seeds=(1000,), failed=[(BEST, 1000)])
    assert (none.rows[0].mean, none.differences[0].difference) == (None, None)
    assert "cannot be judged: none of its trainings ended (out of memory)" in none.sentence


def test_json_has_all_but_the_images():
    found = judged((BEST, 0.9), (ALONE, 0.5), failed=[(ALONE, 1002)])
    plain = json.loads(json.dumps(found.to_json()))
    assert plain == found.to_json()
    assert plain["rows"][0]["runs"][0].keys() == {"seed", "accuracy", "loss", "train_s", "score"}
    assert plain["rows"][1]["failures"] == [{"seed": 1002, "reason": "out of memory"}]
    assert plain["differences"][0]["interval"] is None
    assert (plain["sentence"], plain["version"]) == (found.sentence, 1)


def test_a_search_by_balanced_accuracy_is_judged_by_that():
    queue, finalists = done_queue((BEST, 0.6), (ALONE, 0.75), metric="balanced_accuracy", rare=0.6)
    found = judge("mine", finalists, queue, LABELS)
    bits = {
        one.what: np.array([[int(each) for each in run.right] for run in queue.results(one.what)])
        for one in (BEST, ALONE)
    }
    own = [
        balanced_accuracy_score(LABELS, np.where(row, LABELS, 1 - LABELS))
        for row in bits[BEST.what]
    ]
    best, alone = found.rows
    assert best.scores == pytest.approx(own)
    assert best.score == pytest.approx(np.mean(own))
    assert best.mean < alone.mean  # by accuracy the baseline is no worse
    (difference,) = found.differences
    weights = np.where(LABELS, IMAGES / 80, IMAGES / 320)
    table = (bits[BEST.what] - bits["alone"]) * weights
    assert difference.difference == pytest.approx(best.score - alone.score)
    assert difference.interval == pytest.approx(paired_interval(table))
    assert difference.verdict == "better"
    assert found.sentence.endswith(
        f"is better than alone by {100 * difference.difference:.2f} points of balanced accuracy."
    )
    assert found.basis.endswith(
        "Scores and differences are of balanced accuracy, as in the search."
    )
    assert found.ship.what == "best graph"
    plain = found.to_json()
    assert (plain["metric"], plain["searched_by"]) == ("balanced_accuracy", "balanced_accuracy")
    assert plain["rows"][0]["test_accuracy"] == best.mean
    assert plain["rows"][0]["test_score"] == best.score
    assert "| graph | test balanced accuracy | std | seeds |" in describe_confirmation(found)
    lonely = judged((BEST, 0.9), metric="balanced_accuracy")
    assert " % balanced accuracy; there is no other baseline" in lonely.sentence


@pytest.mark.parametrize(
    ("metric", "words"), [("macro_f1", "macro F1"), ("auroc", "AUROC"), ("loss", "loss")]
)
def test_a_search_by_what_single_images_do_not_tell_says_that_its_verdict_goes_by_accuracy(
    metric, words
):
    plain, found = (judged((BEST, 0.9), (ALONE, 0.5), metric=each) for each in ("accuracy", metric))
    assert found.differences == plain.differences
    assert f"are of accuracy, and not of {words}, which the search chose by" in found.basis
    assert found.sentence.endswith(" points of accuracy.")


@pytest.mark.parametrize(
    ("words", "said"), [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")]
)
def test_lists_as_a_sentence_has_them(words, said):
    assert join_words(words, "or") == said


def test_the_advice_is_the_simplest_not_proven_worse_by_paired_intervals():
    two = {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}}
    edges = {"label -> n0": {}, "label -> n1": {}, "n1 -> n0": {}}
    larger = replace(BEST, graph=parse({"data": {"name": "digits"}, "nodes": two, "edges": edges}))
    found = judged((larger, 0.7), (ALONE, 0.5), (DISTILLATION, 0.69))
    assert found.ship.what == "distillation"
    assert found.to_json()["ship"]["sentence"].startswith("Ship distillation (trial-0002): ")
    assert judged((larger, 0.9), (ALONE, 0.5), (DISTILLATION, 0.6)).ship.what == "best graph"
    failed = judged((BEST, 0.7), (DISTILLATION, 0.9), failed=[(DISTILLATION, 1001)])
    assert failed.ship is None  # what failed is no candidate, and one alone is no choice


def test_the_best_graph_is_held_against_its_teacher_on_the_test_images():
    plain = {
        "data": {"name": "digits"},
        "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet20"}},
        "edges": {"label -> n0": {}, "n1 -> n0": {}},
    }
    taught = replace(BEST, graph=parse(plain))
    random, seeds = np.random.default_rng(1), (1000, 1001, 1002)
    rows = random.uniform(size=(2, 3, IMAGES)) < np.array([0.8, 0.7])[:, None, None]
    text = [["".join("01"[int(each)] for each in row) for row in one] for one in rows]
    done = {
        canonical_key(with_seed(taught.graph, seed)): SeedRun(
            seed, 0.8, 0.1, 1.0, text[0][place], {"n1": text[1][place]}
        )
        for place, seed in enumerate(seeds)
    }
    queue = SeedQueue({taught.what: taught.graph}, list(seeds), done)
    run = SimpleNamespace(id="run", tags={"data.classes": "10"})
    search = SimpleNamespace(run=run, metric="accuracy")
    chosen = Finalists(search, (taught,), frozenset())
    found = judge("mine", chosen, queue, LABELS).teacher
    table = rows[0].astype(float) - rows[1]
    assert found.minus_teacher.difference == pytest.approx(table.mean())
    assert found.minus_teacher.interval == pytest.approx(paired_interval(table))
    assert found.basis == f"{IMAGES:,} test images, 3 trainings each"
    assert "n1 (resnet20)" in found.sentence
    known = {key: replace(one, taught_by={}) for key, one in done.items()}
    older = SeedQueue({taught.what: taught.graph}, list(seeds), known)
    assert judge("mine", chosen, older, LABELS).teacher is None
