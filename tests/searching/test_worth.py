"""What a teacher was good for: paired on the same images, and worded as the interval allows."""

import base64
import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from ktg.graph import Graph, parse
from ktg.intervals import paired_interval, paired_proportion_interval
from ktg.searching.pool import count_parameters, pack
from ktg.searching.worth import Gap, TeacherWorth, describe_size, find_teachers, judge_teacher

LABELS = np.arange(200) % 4


@dataclass
class Finished:
    graph: Graph
    said: bytes
    name: str = "trial-0001"
    score: float = 0.5
    fold: int | None = None
    number: int = 1
    seed: int = 0
    race_of: int | None = None


def make_graph(**edges) -> Graph:
    names = {"n0": "resnet8", "n1": "resnet14", "n2": "resnet20", "n3": "resnet8"}
    plain = {
        "label -> n0": {},
        "n1 -> n0": {},
        "n2 -> n0": {},
        "n3 -> n0": {"gate": "cutoff"},
        "n3 -> n1": {},
    }
    nodes = {name: {"model": model} for name, model in names.items()}
    return parse({"data": {"name": "digits"}, "nodes": nodes, "edges": plain | edges})


def say(**right: int) -> bytes:
    """Return what was said by nodes of which each gets the first so many images right."""
    logits = {}
    for name, count in right.items():
        said = np.where(np.arange(200) < count, LABELS, (LABELS + 1) % 4)
        logits[name] = torch.from_numpy(np.eye(4, dtype=np.float32)[said])
    return base64.b64decode(pack(LABELS, logits["n0"], logits))


def test_the_best_of_those_that_teach_is_compared_on_the_same_images():
    best = Finished(make_graph(), say(n0=170, n1=150, n2=180, n3=200))
    alone = Finished(replace(best.graph, edges={}), say(n0=160))
    assert find_teachers(best.graph) == ["n1", "n2"]
    found = judge_teacher(best, alone)
    assert (found.teacher, found.model) == ("n2", "resnet20")
    assert found.basis == "200 validation images, one training each"
    assert found.minus_teacher.difference == pytest.approx(-0.05)
    assert found.minus_alone.difference == pytest.approx(0.05)
    right = [np.arange(200) < count for count in (170, 180)]
    assert found.minus_teacher.interval == paired_proportion_interval(*right)
    sizes = [
        count_parameters(replace(best.graph, nodes={"n0": best.graph.nodes[name]}), 4)
        for name in ("n2", "n0")
    ]
    assert found.times_parameters == sizes[0] / sizes[1]
    plain = json.loads(json.dumps(found.to_json()))
    assert plain["minus_alone_interval"] == list(found.minus_alone.interval)
    assert plain["sentence"] == found.sentence


def test_after_a_race_its_new_seeds_say_it():
    best = Finished(make_graph(), say(n0=190, n1=150, n2=180))
    alone = Finished(replace(best.graph, edges={}), say(n0=180), number=2)
    counts = {101: (170, 150), 102: (172, 158), 103: (168, 151)}
    raced = [
        *(
            Finished(best.graph, say(n0=own, n1=150, n2=180), seed=seed, race_of=1)
            for seed, (own, _) in counts.items()
        ),
        *(
            Finished(alone.graph, say(n0=other), seed=seed, race_of=2)
            for seed, (_, other) in list(counts.items())[:2]
        ),
    ]
    found = judge_teacher(best, alone, raced)
    assert found.basis == "200 validation images, 2 trainings each"  # of seeds that both have
    assert found.minus_alone.difference == pytest.approx((20 + 14) / 400)
    assert found.minus_teacher.difference == pytest.approx((-10 - 8) / 400)
    tables = [
        np.stack([np.arange(200) < counts[seed][which] for seed in (101, 102)]) for which in (0, 1)
    ]
    assert found.minus_alone.interval == paired_interval(tables[0].astype(float) - tables[1])
    # Without alone all new seeds count; of one new seed of it, the first training of both.
    assert judge_teacher(best, None, raced).basis.endswith("3 trainings each")
    assert judge_teacher(best, alone, raced[:4]).basis.endswith("one training each")
    assert judge_teacher(best, alone, raced[:4]).minus_alone.difference == pytest.approx(0.05)
    raced[3].said = b"damaged"
    assert judge_teacher(best, alone, raced).basis.endswith("one training each")


def test_where_nothing_is_known_nothing_is_said():
    best = Finished(make_graph(), say(n0=170, n1=150, n2=180))
    assert judge_teacher(replace(best, said=b""), None) is None
    assert judge_teacher(replace(best, graph=replace(best.graph, ensemble=True)), None) is None
    untaught = replace(best.graph, edges={("label", "n0"): best.graph.edges["label", "n0"]})
    assert judge_teacher(replace(best, graph=untaught), None) is None
    assert judge_teacher(best, None).minus_alone is None
    assert judge_teacher(best, best).minus_alone is None
    other = Finished(best.graph, say(n0=160), fold=2)
    assert judge_teacher(best, other).minus_alone is None


@pytest.mark.parametrize(
    ("difference", "interval", "begins"),
    [
        (0.03, (0.01, 0.05), "The target is better than its teacher n1 (big) at a seventh of its"),
        (-0.005, (-0.019, 0.01), "The target is as good as its teacher n1 (big) at a seventh of"),
        (-0.05, (-0.08, -0.02), "The target is worse than its teacher n1 (big) at a seventh of"),
        (-0.005, (-0.03, 0.02), "That the target is as good as its teacher n1 (big) is not proven"),
    ],
)
def test_the_sentence_says_no_more_than_the_interval_allows(difference, interval, begins):
    gap = Gap(difference, interval)
    sentence = TeacherWorth("n1", "big", "1,562 images", gap, None, 6.9).sentence
    assert sentence.startswith(begins)
    low, high = (f"{100 * end:+.2f}" for end in interval)
    assert f"{100 * difference:+.2f} points, 95 % {low} to {high}" in sentence
    assert sentence.endswith("(accuracy; 1,562 images).")
    both = TeacherWorth("n1", "big", "10 images", gap, Gap(0.1, (0.05, 0.15)), None).sentence
    assert "; minus the target alone +10.00 points, 95 % +5.00 to +15.00" in both


def test_sizes_are_words_as_far_as_these_go():
    assert describe_size(2.0) == " at half of its size"
    assert [describe_size(each) for each in (None, 0.5, 1.4)] == [""] * 3
    assert describe_size(10.4) == " at a tenth of its size"
    assert describe_size(11) == " at 1/11 of its size"
