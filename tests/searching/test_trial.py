"""What is known of a trial: its name, what a sampler learns of it, what is wrong with it."""

import pytest

from ktg.graph import parse
from ktg.graph.canonical import with_seed
from ktg.searching.baselines import distilled_ensemble
from ktg.searching.trial import Outcome, Trial, count_copies, teaches_nothing

PLAIN = {
    "data": {"name": "digits"},
    "train": {"epochs": 5, "seed": 3},
    "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
    "edges": {"label -> any": {}, "n1 -> n0": {}},
}
GRAPH = parse(PLAIN)


def trial(**known) -> Trial:
    return Trial(7, GRAPH, "key", **known)


@pytest.mark.parametrize(
    ("known", "name"),
    [
        ({}, "trial-0007"),
        ({"baseline": "alone"}, "trial-0007 (alone)"),
        ({"arm": "tuned alone"}, "trial-0007 (tuned alone)"),
        ({"race_of": 2}, "trial-0007 (trial-0002, seed 3)"),
        ({"finalist": "best graph"}, "best graph, seed 3"),
    ],
)
def test_names(known, name):
    assert trial(**known).name == name


def test_a_sampler_is_told_the_mean_of_the_last_three_epochs():
    scores = {1: 0.9, 2: 0.9, 3: 0.1, 4: 0.2, 5: 0.6}
    known = {"scores": scores, "metrics": {"val_accuracy": 0.6}}
    done = trial(state="finished", epoch=5, **known)
    assert done.outcome == Outcome("finished", pytest.approx(0.3), 5)
    assert done.score == 0.6  # which is what the network that is exported has
    assert trial(state="failed", epoch=5, **known).outcome == Outcome("failed", 0.0, 5)
    early = trial(state="stopped", epoch=2, scores={1: 0.5, 2: 0.9})
    assert early.outcome == Outcome("stopped", pytest.approx(0.7), 2)


def test_a_failed_trial_is_the_worst_by_every_metric():
    assert trial(state="failed", metric="loss").outcome.score < -5


def test_without_epochs_another_seed_changes_nothing():
    still = parse(PLAIN | {"train": {"epochs": 0}})
    assert Trial(1, still, "key").is_exact
    assert not trial().is_exact
    assert trial().epoch_s is None
    assert trial(epoch=4, train_s=10.0).epoch_s == 2.5


def test_as_long_as_there_is_one_epoch_what_came_before_it_does_not_count():
    known = {"metrics": {"val_accuracy": 0.5, "epoch_s": 5.0}, "state": "running"}
    first = trial(epoch=1, train_s=105.0, epoch_times=[105.0], **known)
    assert (first.epoch_s, first.repeat_s, first.making_s) == (5.0, 5.0, 100.0)
    several = trial(epoch=3, train_s=117.0, epoch_times=[105.0, 6.0, 6.0], **known)
    assert (several.epoch_s, several.making_s) == (6.0, 99.0)


def taught_by(**teacher) -> Trial:
    nodes = {"n0": {"model": "resnet8"}, "n1": {"model": "resnet20", **teacher}}
    edges = {"label -> n0": {}, "n1 -> n0": {}}
    return Trial(7, parse(PLAIN | {"nodes": nodes, "edges": edges}), "key")


def test_a_new_seed_makes_the_teachers_that_are_trained():
    one, other = taught_by(), taught_by(lr=0.02)
    assert len(one.seeded_teachers) == 1
    assert not one.seeded_teachers & other.seeded_teachers
    again = Trial(8, with_seed(one.graph, 9), "other")
    assert (again.seeded_teachers, again.seedless_key) == (one.seeded_teachers, one.seedless_key)
    assert one.seedless_key != other.seedless_key
    assert not taught_by(source="zoo/fractals", epochs=0, head="probe").seeded_teachers
    assert not trial().seeded_teachers  # whoever learns is no teacher


def test_copies_of_a_teacher_are_counted_and_other_teachers_are_not():
    one = taught_by().graph
    assert (count_copies(GRAPH), count_copies(one)) == (0, 1)
    ensemble = Trial(7, distilled_ensemble(one), "key")
    assert (ensemble.copies, len(ensemble.seeded_teachers)) == (3, 3)
    nodes = {f"n{i}": {"model": model} for i, model in enumerate(("resnet8", "resnet14"))}
    edges = {"label -> n0": {}, "n1 -> n0": {}, "n2 -> n0": {}}
    two = parse(PLAIN | {"nodes": {**nodes, "n2": {"model": "resnet20"}}, "edges": edges})
    assert count_copies(two) == 1


def test_a_graph_whose_helpers_reach_nobody_teaches_nothing():
    assert not teaches_nothing(GRAPH)
    cut = {"label -> any": {}, "n1 -> n0": {"gate": "cutoff"}, "n0 -> n1": {}}
    assert teaches_nothing(parse(PLAIN | {"edges": cut}))
    alone = {"nodes": {"n0": {"model": "resnet8"}}, "edges": {"label -> n0": {}}}
    assert not teaches_nothing(parse(PLAIN | alone))  # nobody was meant to
