"""Target, sources and teacher among ranked weights."""

from ktg.proposing.networks import SMALL, choose_sources, choose_targets, choose_teacher
from ktg.proposing.ranking import Ranking
from ktg.proposing.weights_here import WeightsHere

SMALL_NET, BIG_NET = "mobilenetv2_035", "resnet50"


def ranking(**scores: float) -> Ranking:
    """Return a ranking of `small_a=0.7`, `big_a=0.8` and so on, from 400 images."""
    found = {}
    for name, score in scores.items():
        kind, _, source = name.partition("_")
        model, parameters = (SMALL_NET, 10**6) if kind == "small" else (BIG_NET, 5 * SMALL)
        found[WeightsHere(model, f"zoo/{source}", parameters)] = score
    ordered = sorted(found, key=lambda one: -found[one])
    return Ranking({one: found[one] for one in ordered}, {}, 400)


def test_targets_are_small_if_any_network_is():
    assert [one.model for one in choose_targets(ranking(small_a=0.7, big_a=0.9))] == [SMALL_NET]
    assert [one.model for one in choose_targets(ranking(big_a=0.9, big_b=0.8))] == [BIG_NET]


def test_each_small_network_within_chance_of_the_best_may_be_the_target_with_its_best_weights():
    names = {
        WeightsHere(name, f"zoo/{name}", 10**6): 0.9 - place / 100
        for place, name in enumerate(("resnet20", "resnet32", "resnet44", "resnet56"))
    }
    best = ranking(small_a=0.7, small_b=0.8)
    assert [one.source for one in choose_targets(best)] == ["zoo/b"]
    several = Ranking({**names, WeightsHere("resnet8", "zoo/worse", 10**6): 0.7}, {}, 400)
    assert [one.model for one in choose_targets(several)] == ["resnet20", "resnet32", "resnet44"]
    apart = {one: score - place / 10 for place, (one, score) in enumerate(names.items())}
    few = Ranking(apart, {}, 400)
    assert [one.model for one in choose_targets(few)] == ["resnet20"]


def test_sources_within_chance_of_the_best_are_kept_best_first():
    ranked = ranking(small_a=0.60, small_b=0.70, small_c=0.69, small_d=0.66, small_e=0.68)
    assert [one.source for one in choose_sources(ranked, SMALL_NET)] == ["zoo/b", "zoo/c", "zoo/e"]
    assert choose_sources(ranked, BIG_NET) == []


def test_a_teacher_is_clearly_better_than_the_target():
    for big, taught in ((0.72, True), (0.705, False), (0.6, False)):
        ranked = ranking(small_a=0.7, big_a=big)
        teacher = choose_teacher(ranked, choose_sources(ranked, SMALL_NET))
        assert (teacher is not None) == taught


def test_with_images_without_labels_a_larger_network_teaches_unless_it_is_worse():
    for big, taught in ((0.72, True), (0.66, True), (0.64, False)):  # the error is 0.025
        ranked = ranking(small_a=0.7, big_a=big)
        teacher = choose_teacher(ranked, choose_sources(ranked, SMALL_NET), leniently=True)
        assert (teacher is not None) == taught


def test_a_target_from_nothing_is_taught_by_the_best():
    teacher = choose_teacher(ranking(big_a=0.6, big_b=0.7), [])
    assert teacher is not None
    assert teacher.source == "zoo/b"
    assert choose_teacher(Ranking({}, {}, 0), []) is None
