"""Puts the best graph beside the baselines, on validation images and, if read, test images."""

import math
from collections.abc import Mapping
from typing import Any

from ktg.errors import KtgError
from ktg.graph import Graph, parse
from ktg.graph.canonical import seedless_key
from ktg.graph.space import MetricName
from ktg.graph.yaml_files import loads
from ktg.intervals import binomial_interval, difference_interval, mean_interval
from ktg.searching.advice import BEST, advise_by_validation, list_candidates
from ktg.searching.baselines import ALONE
from ktg.searching.confirm.measure import explain_measure
from ktg.searching.confirm.store import find_confirmations, read_result
from ktg.searching.contestants import Contestant, measure_standing
from ktg.searching.score import (
    TEST_ACCURACY,
    TEST_ACCURACY_STD,
    TEST_IMAGES,
    WORDS,
    to_value,
)
from ktg.searching.stored_search import StoredSearch, StoredTrial
from ktg.searching.trial import TUNED_ALONE
from ktg.tracking import Experiment, RunRecord
from ktg.wording import format_utc

MOST_TRAININGS = 50  # runs of `ktg train` that are looked at; each costs a file
CONFIRMATION_VERSION = 1


def compare_with_baselines(search: StoredSearch, images: int | None) -> list[dict[str, Any]]:
    """Return a row for the best graph, then one for each baseline that was trained to its end.

    Each has the accuracy of the one training on the validation images, with its binomial interval
    where the number of `images` is known, its `value` by the metric of the search, what is wrong
    with it as its `note`, and under `test`, if `ktg train` has trained that graph since, the
    accuracy on the test images.
    """
    rivals = _name_rivals(search)
    contestants = {one.number: one for one in search.contestants}
    tests = find_trainings(search.experiment, {what: one.graph for what, one in rivals.items()})
    alone = tests.get(ALONE)
    return [
        {
            **_row(what, trial, search.best, images),
            "race": _race(search.metric, contestants, search.best.number, trial.number),
            "test": _test(tests.get(what), None if what == ALONE else alone),
        }
        for what, trial in rivals.items()
    ]


def advise_by_search(search: StoredSearch, images: int | None) -> dict[str, Any] | None:
    """Return which of the best graph and the baselines to ship, by the validation images.

    Returns None where there is nothing to choose from, or the number of images is not known.
    """
    rivals = _name_rivals(search).items()
    candidates = list_candidates(rivals, search.contestants, search.metric)
    advice = advise_by_validation(candidates, images, search.metric)
    return None if advice is None else advice.to_json()


def _name_rivals(search: StoredSearch) -> dict[str, StoredTrial]:
    """Return the best graph, the target tuned alone and the baselines, those trained to the end."""
    rivals = {BEST: search.best}
    if (tuned := search.tuned_alone) and tuned is not search.best:
        rivals[TUNED_ALONE] = tuned
    return rivals | {one.baseline: one for one in search.finished if one.baseline}


def read_confirmation(search: StoredSearch) -> dict[str, Any] | None:
    """Return the newest confirmation of a search, as `ktg confirm --json` prints it, and its end.

    The end is None while a later one with more seeds goes on in its place, or was interrupted.
    Returns None where no confirmation came to its end.
    """
    experiment = search.experiment
    for run in find_confirmations(experiment, search.run.id):
        try:
            found = read_result(experiment, run)
        except (KtgError, ValueError):  # a page without it is better than none
            continue
        if found.get("version") == CONFIRMATION_VERSION:
            ended = format_utc(run.end_s) if run.state == "finished" and run.end_s else None
            named = _name_metric(found, search.metric)
            words = WORDS[named["metric"]]
            return {**named, "measure_words": words, "run": run.id, "ended": ended}
    return None


def _name_metric(found: dict[str, Any], searched_by: MetricName) -> dict[str, Any]:
    """Return a confirmation with its metric; an older ktg named none, and went by accuracy."""
    if "metric" in found:
        return found
    rows = [
        {
            **row,
            "test_score": row["test_accuracy"],
            "score_std": row["test_std"],
            "runs": [{**run, "score": run["accuracy"]} for run in row["runs"]],
        }
        for row in found["rows"]
    ]
    basis = f"{found['basis']} {explain_measure(searched_by, 'accuracy')}".rstrip()
    named = {"metric": "accuracy", "searched_by": searched_by, "basis": basis}
    return {**found, **named, "rows": rows}


def count_validation_images(search: StoredSearch) -> int | None:
    """Return on how many images the search chose; None where an old version did not record it."""
    tag = search.run.tags.get("data.val")
    return None if tag is None else int(tag)


def find_trainings(experiment: Experiment, graphs: Mapping[str, Graph]) -> dict[str, RunRecord]:
    """Return for each graph the run of `ktg train` with the most seeds; of equals, the newest.

    All were tested on the same images: those of the newest, as accuracies on others say nothing of
    a difference. Runs of an older ktg, which did not record them, count as being of these.
    """
    wanted: dict[str, list[str]] = {}
    for what, graph in graphs.items():
        wanted.setdefault(seedless_key(graph), []).append(what)
    found: dict[str, RunRecord] = {}
    images: str | None = None
    trained = [
        run
        for run in experiment.trainings()
        if run.state == "finished" and TEST_ACCURACY in run.metrics
    ]
    for run in trained[:MOST_TRAININGS]:
        known = wanted.get(_key_of(experiment, run), [])
        own = run.tags.get(TEST_IMAGES)
        if known and images is None:
            images = own
        if own not in (None, images):
            continue
        for what in known:
            if what not in found or count_seeds(run) > count_seeds(found[what]):
                found[what] = run
    return found


def count_seeds(run: RunRecord) -> int:
    """Return with how many seeds a run of `ktg train` trained its graph."""
    return int(run.params.get("seeds", 1))


def _key_of(experiment: Experiment, run: RunRecord) -> str:
    try:
        return seedless_key(parse(loads(experiment.read_artifact(run, "graph.yaml"), "graph.yaml")))
    except KtgError:  # a training of another version, or without its file: not one of ours
        return ""


def _row(what: str, trial: StoredTrial, best: StoredTrial, images: int | None) -> dict[str, Any]:
    return {
        "what": what,
        "trial": trial.name,
        "is_best": trial is best,
        "value": to_value(best.search.metric, trial.score),
        "val_accuracy": trial.accuracy,
        "val_interval": binomial_interval(trial.accuracy, images) if images else None,
        "val_loss": trial.loss if math.isfinite(trial.loss) else None,
        "train_s": trial.train_s,
        "note": trial.fault,
    }


def _race(
    metric: MetricName, contestants: Mapping[int, Contestant], first: int, own: int
) -> dict[str, Any] | None:
    """Return what new seeds said of a graph, by the metric of the search; None without any."""
    best, one = contestants[first], contestants[own]
    if not one.runs:
        return None
    standing = measure_standing(one, best, contestants.values(), metric)
    return {
        "score": standing.score,
        "std": one.std,
        "n": one.runs,
        "expected": standing.expected,
        "behind": standing.ahead,
        "interval": standing.interval,
    }


def _test(run: RunRecord | None, alone: RunRecord | None) -> dict[str, Any] | None:
    if run is None:
        return None
    mean, std, n = _test_accuracies(run)
    several = n > 1
    compared = several and alone is not None and count_seeds(alone) > 1
    return {
        "accuracy": mean,
        "std": std if several else None,
        "n": n,
        "interval": mean_interval(mean, std, n) if several else None,
        "minus_alone": mean - alone.metrics[TEST_ACCURACY] if alone is not None else None,
        "minus_alone_interval": difference_interval((mean, std, n), _test_accuracies(alone))
        if compared and alone
        else None,
    }


def _test_accuracies(run: RunRecord) -> tuple[float, float, int]:
    """Return the mean, the standard deviation and the number of seeds."""
    return run.metrics[TEST_ACCURACY], run.metrics.get(TEST_ACCURACY_STD, 0.0), count_seeds(run)
