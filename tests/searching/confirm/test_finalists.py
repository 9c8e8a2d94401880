"""What is worth confirming, and the mistakes that are told before anything is trained."""

import pytest
from records import GRAPH, PLAIN, going_on, written

from ktg.errors import UserError
from ktg.graph import parse
from ktg.graph.canonical import canonical_key, independent_graph
from ktg.searching.confirm.finalists import BEST, Finalist, ordinal, read_finalists, with_control
from ktg.searching.driver_lock import driver_tags
from ktg.tracking import MlflowTracker, find_experiment

ALONE = {"label -> n0": {}}


@pytest.fixture(scope="module")
def uri(new_store) -> str:
    return new_store()


@pytest.mark.slow
def test_the_best_come_first_and_all_baselines_after_them(searched):
    experiment = find_experiment("a search", searched.uri)
    rows = {row["what"]: row for row in searched.result["rows"]}
    found = read_finalists(experiment, 2)
    assert [candidate.rank for candidate in found.graphs[:3]] == [1, 2, None]
    best = found.graphs[0]
    assert (best.what, best.val_accuracy) == (BEST, rows[BEST]["accuracy"])
    assert best.trial == rows[BEST]["trial"].partition(" ")[0]
    assert {each.baseline for each in found.graphs} - {None} == set(rows) - {BEST}
    assert len({each.trial for each in found.graphs}) == len(found.graphs)
    values = [each.val_accuracy for each in found.graphs if each.rank]
    assert values == sorted(values, reverse=True)


def test_the_control_is_the_target_alone_with_the_settings_of_the_best():
    raw = {
        "data": {"name": "digits"},
        "train": {"lr": 0.3},
        "nodes": {"n0": {"model": "resnet14"}, "n1": {"model": "resnet8"}},
        "edges": {"label -> any": {}, "n1 -> n0": {"gate": "correct"}},
    }
    best, alone = (
        Finalist("trial-0001", 1, None, 0.9, parse(each)) for each in (raw, raw | {"edges": ALONE})
    )
    *_, control = with_control([best])
    assert (control.what, control.rank, control.val_accuracy) == ("tuned alone", None, None)
    assert (
        canonical_key(control.graph)
        == canonical_key(independent_graph(best.graph, "n0"))
        == canonical_key(alone.graph)
    )
    assert with_control([best, alone]) == (best, alone)  # nothing but the default is tuned
    assert with_control([alone]) == (alone,)
    ensemble = Finalist("trial-0001", 1, None, 0.9, parse(raw | {"target": "ensemble"}))
    assert with_control([ensemble]) == (ensemble,)


@pytest.mark.slow
def test_graphs_that_differ_in_their_seed_alone_count_once(uri):
    with MlflowTracker("seeds", uri) as tracker:
        search = tracker.start("seeds", tags={"kind": "search"})
        tracker.artifact(search, "space.yaml", PLAIN)
        for number, (seed, accuracy) in enumerate([(0, 0.7), (1, 0.9)], 1):
            run = tracker.start(
                f"trial-{number:04d}", parent=search, tags={"kind": "trial", "seed": str(seed)}
            )
            tracker.artifact(
                run, "graph.yaml", GRAPH.replace("epochs: 3", f"epochs: 3, seed: {seed}")
            )
            tracker.log(run, {"val_accuracy": accuracy, "val_loss": 0.1}, 3)
            tracker.end(run, "finished")
        tracker.end(search, "finished")
    experiment = find_experiment("seeds", uri)
    found = read_finalists(experiment, 1)
    assert [each.trial for each in found.graphs] == ["trial-0002"]
    assert found.used_seeds == {0, 1}
    with pytest.raises(
        UserError, match="--top: 2 graphs are asked for, and the search of 'seeds' trained 1 to the"
    ):
        read_finalists(experiment, 2)


def test_mistakes_are_one_sentence_each(uri):
    written(uri, "nothing finished", ("failed", []))
    with pytest.raises(
        UserError, match=r"experiment .nothing finished. has no finished trial; search again"
    ):
        read_finalists(find_experiment("nothing finished", uri), 1)
    written(uri, "fine", ("finished", [0.1, 0.2, 0.3]))
    with pytest.raises(UserError, match="--top: at least one graph is to be confirmed, got 0"):
        read_finalists(find_experiment("fine", uri), 0)
    still = pytest.raises(
        UserError, match="the search of 'running' is still running; wait for its end, or `ktg stop"
    )
    with going_on(uri, "running", ("finished", [0.1, 0.2, 0.3])), still:
        read_finalists(find_experiment("running", uri), 1)
    with MlflowTracker("no search", uri) as tracker:
        tracker.end(tracker.start("train", tags={"kind": "train", **driver_tags()}), "finished")
    with pytest.raises(
        UserError, match="holds no search; run `ktg search SPACE --name 'no search'`"
    ):
        read_finalists(find_experiment("no search", uri), 1)


@pytest.mark.parametrize(
    ("number", "word"),
    [(2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (112, "112th")],
)
def test_ordinals(number, word):
    assert ordinal(number) == word


@pytest.mark.parametrize("accuracies", [(0.5, 0.6), (0.9, 0.6)])
def test_of_two_baselines_with_one_name_the_later_one_counts(new_store, accuracies):
    uri = new_store()
    with MlflowTracker("resumed", uri) as tracker:
        search = tracker.start("resumed", tags={"kind": "search"})
        tracker.artifact(search, "space.yaml", PLAIN)
        trials = [(accuracies[0], "alone"), (0.7, None), (accuracies[1], "alone")]
        for number, (accuracy, baseline) in enumerate(trials, 1):
            tags = {"kind": "trial"} | ({"baseline": baseline} if baseline else {})
            run = tracker.start(f"trial-{number:04d}", parent=search, tags=tags)
            tracker.artifact(run, "graph.yaml", GRAPH.replace("epochs: 3", f"epochs: {number}"))
            tracker.log(run, {"val_accuracy": accuracy, "val_loss": 0.1}, number)
            tracker.end(run, "finished")
            assert tracker.flush()  # so that no two begin in one millisecond
        tracker.end(search, "finished")
    found = read_finalists(find_experiment("resumed", uri), 2)
    baselines = {each.trial: each.baseline for each in found.graphs if each.val_accuracy}
    assert {trial for trial, name in baselines.items() if name} == {"trial-0003"}
    assert len({each.what for each in found.graphs}) == len(found.graphs)
    best = "trial-0001" if accuracies[0] > 0.7 else "trial-0002"
    assert found.graphs[0].trial == best
    assert found.search.alone.name == "trial-0003"
