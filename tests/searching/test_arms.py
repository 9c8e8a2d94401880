"""The arm of the target by itself: what it has of the space, and that it comes in its turn."""

import itertools
from dataclasses import replace

import pytest

from ktg.graph import parse_space
from ktg.graph.canonical import live_nodes
from ktg.searching.arms import Arm, Arms, find_alone_space
from ktg.searching.baselines import baselines
from ktg.searching.trial import TUNED_ALONE, Outcome, Trial


def space(nodes: int = 3, label: object = None, search: object = None, **sections):
    raw = {
        "data": {"name": "digits"},
        "train": {"epochs": 4, "lr": {"log": [0.01, 0.1]}},
        "nodes": {f"n{i}": {"model": {"choice": ["resnet8", "resnet14"]}} for i in range(nodes)},
        "edges": {
            "label -> any": label or {"gate": {"choice": ["through", "cutoff"]}},
            "any -> any": {"gate": {"choice": ["through", "cutoff"]}},
        },
        "search": search or {},
    }
    return parse_space(raw | sections)


def test_it_has_the_holes_of_the_target_and_as_many_times_the_epochs_as_there_are_nodes():
    found = find_alone_space(space())
    own = {"train.lr", "nodes.n0.model", "edges.label.n0.gate", "train.epochs"}
    assert found.holes.keys() == own
    assert found.holes["train.epochs"].options == (4, 12)
    graph = found.bind(found.default() | {"train.epochs": 12})
    assert (list(graph.nodes), list(graph.edges)) == (["n0"], [("label", "n0")])
    assert graph.train.epochs == 12


def test_epochs_that_are_a_hole_already_stay_as_they_are():
    found = find_alone_space(space(train={"epochs": {"choice": [4, 8]}}))
    assert found.holes["train.epochs"].options == (4, 8)


def test_where_steps_are_the_length_they_are_its_hole():
    found = find_alone_space(space(train={"epochs": 4, "steps": 100}))
    assert found.holes["train.steps"].options == (100, 300)
    assert "train.epochs" not in found.holes
    graph = found.bind(found.default() | {"train.steps": 300})
    assert (graph.train.steps, graph.train.epochs) == (300, 4)
    stored = space(train={"epochs": 4, "steps": 100})  # by a ktg that had no such hole
    old = replace(stored, template={**stored.template, "version": 2})
    assert "train.steps" not in find_alone_space(old).holes
    own = find_alone_space(space(train={"epochs": 4, "steps": {"choice": [50, 100]}}))
    assert own.holes["train.steps"].options == (50, 100)


def test_a_hole_for_all_of_train_keeps_its_options():
    options = [{"epochs": 2, "lr": 0.1}, {"epochs": 3, "lr": 0.1}]
    whole = space(train={"choice": options})
    alone = find_alone_space(whole)
    graph = alone.bind(alone.default() | {"train.epochs": 6})
    assert graph.train.epochs == 6
    assert whole.holes["train"].options == tuple(options)
    assert whole.bind(whole.default()).train.epochs == 2


def test_a_label_that_is_shut_is_opened_for_it():
    found = find_alone_space(space(label={"gate": "cutoff"}, edges=EDGES))
    graph = found.bind(found.default())
    assert graph.edges["label", "n0"].gate == "through"


@pytest.mark.parametrize(
    ("gate", "kept"),
    [
        ("small_loss", "small_loss"),
        ("agree", "through"),
        ({"choice": ["agree", "small_loss", "through"]}, ("small_loss", "through")),
        ({"choice": ["agree", "disagree"]}, ("through",)),
    ],
)
def test_it_has_no_peer_to_ask(gate, kept):
    label = {"gate": gate, "peer": {"choice": ["n1", "n2"]}}
    edges = {"label -> n0": label, "label -> any": {}, "any -> any": {}}
    found = find_alone_space(space(edges=edges))
    graph = found.bind(found.default())
    assert graph.edges["label", "n0"].peer is None
    hole = found.holes.get("edges.label.n0.gate")
    assert graph.edges["label", "n0"].gate == kept if hole is None else hole.options == kept
    assert "edges.label.n0.peer" not in found.holes


def test_of_whole_edges_as_options_too():
    label = {"choice": [{"gate": "agree", "peer": "n1"}, {}, {"loss": "gce", "peer": "n1"}]}
    edges = {"label -> n0": label, "label -> any": {}, "any -> any": {}}
    found = find_alone_space(space(edges=edges))
    tried = found.holes["edges.label.n0"].options
    assert tried == ({"gate": "through"}, {}, {"loss": "gce"})
    for edge in tried:
        graph = found.bind(found.default() | {"edges.label.n0": edge})
        assert graph.edges["label", "n0"].peer is None


EDGES = {"label -> n1": {}, "label -> n0": {"gate": "cutoff"}, "n1 -> n0": {}}


@pytest.mark.parametrize(
    "lacking",
    [
        space(1),
        space(search={"alone_share": 0}),
        space(target="ensemble"),
        parse_space(
            {
                "data": {"name": "digits"},
                "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
                "edges": {"label -> any": {}, "n1 -> n0": {"gate": {"choice": ["through"]}}},
            }
        ),
    ],
    ids=["one node", "no share", "an ensemble", "nothing to tune"],
)
def test_there_is_none_where_it_would_tell_nothing(lacking):
    assert find_alone_space(lacking) is None


def test_every_point_trains_the_target_alone():
    arm = Arm(TUNED_ALONE, find_alone_space(space()), seed=0)
    for sample, _, graph in itertools.islice(arm.samples(), 20):
        assert live_nodes(graph) == ("n0",)
        arm.sampler.tell(sample, arm.useless)
    assert not arm.exhausted


@pytest.mark.parametrize(("length", "turns"), [({"budget": "1h"}, 3), ({"trials": 12}, 6)])
def test_an_exhausted_space_leaves_the_arm_its_share(length, turns):
    """Half of the trials so far where only time ends the search, else half of those planned."""
    arms = Arms(space(search={"alone_share": 0.5, **length}))
    arms.main.exhausted = True
    searched = [Trial(number, arms.main.default, str(number)) for number in range(3)]
    while arms.take_turns(searched) == [arms.alone]:
        searched.append(Trial(9, arms.main.default, "own", arm=TUNED_ALONE))
    assert sum(one.arm == TUNED_ALONE for one in searched) == turns
    assert arms.take_turns(searched) == []


def test_it_learns_of_its_own_trials_and_of_the_baseline_alone():
    own = find_alone_space(space())
    arm = Arm(TUNED_ALONE, own, seed=0)
    told = lambda: len(arm.sampler._study.trials)  # noqa: E731
    graphs = baselines(space())
    outcome = Outcome("finished", 0.5, 4)
    alone = Trial(1, graphs["alone"], "a", baseline="alone", state="finished", epoch=4)
    arm.learn(alone, outcome)
    assert told() == 1
    mutual = Trial(2, graphs["mutual learning"], "b", baseline="mutual learning", state="finished")
    arm.learn(mutual, outcome)
    arm.learn(Trial(3, graphs["alone"], "c", values=own.default()), outcome)  # of the whole space
    assert told() == 1
    earlier = Trial(4, graphs["alone"], "d", values=own.default(), arm=TUNED_ALONE)
    arm.learn(earlier, outcome)
    assert told() == 2
