"""A teacher with images without labels may see larger images than its target."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ktg.api.inputs import load_space_file
from ktg.graph import Data
from ktg.proposing.found_images import look_at_images
from ktg.proposing.hearing import Hearing
from ktg.proposing.ranking import Ranking
from ktg.proposing.space_text import make_space
from ktg.proposing.speed import Speed
from ktg.proposing.teacher import (
    ANSWERS_SHARE,
    LEAST_EPOCHS,
    TAUGHT_TRIALS,
    VIEWS,
    Means,
    Teacher,
    _plan_training,
    choose_views,
    plan_teacher,
)
from ktg.proposing.weights_here import WeightsHere, find_weights_here

SIDE, LARGEST = 32, 64
QUIET = Hearing(lambda _text: None, lambda _done, _total: None)


@pytest.fixture
def with_more(large_photos: Path, tmp_path: Path) -> Path:
    """Photographs of 64 pixels, with twelve more without labels."""
    root = Path(shutil.copytree(large_photos, tmp_path / "photos_and_more"))
    (root / "more").mkdir()
    for number in range(12):
        picture = Image.new("RGB", (LARGEST, LARGEST), (number * 9, 0, 0))
        picture.save(root / "more" / f"{number}.png")
    return root


@pytest.fixture
def choose(with_more, in_zoo):
    """Return the teacher for a target that sees 32 pixels, of two networks in the zoo."""
    in_zoo("small")
    in_zoo("large", "resnet14")

    def make(
        scores: dict[str, float], available_s: float = 60.0, trains: bool = True, more: int = 12
    ):
        here, _ = find_weights_here({}, SIDE)
        ranked = {one: scores[one.model] for one in here if one.model in scores}
        ranked = dict(sorted(ranked.items(), key=lambda item: -item[1]))
        own = [one for one in ranked if one.model == "resnet8"]
        images = dataclasses.replace(look_at_images(with_more), unlabelled=more)
        data = dataclasses.replace(images.spec, size=SIDE, batch_size=8)
        means = Means(available_s, trains, {}, QUIET)
        return plan_teacher(Ranking(ranked, {}, images.train), own, data, images, means)

    return make


def test_without_any_weights_nobody_teaches(tmp_path):
    means = Means(60.0, True, {}, QUIET)
    nothing = Ranking({}, {}, 10)
    assert plan_teacher(nothing, [], Data(), None, means) is None


@pytest.mark.slow
def test_what_a_larger_side_shows_decides_on_the_teacher(choose):
    taught = choose({"resnet8": 0.0, "resnet14": 0.0})  # any probe is better than these
    assert taught.weights.side == LARGEST
    assert taught.at_target_side == 0.0 < taught.score


@pytest.mark.slow
def test_a_larger_side_that_shows_less_is_left_alone(choose, monkeypatch):
    def rank(candidates, *_args, **_kwargs):
        return Ranking(dict.fromkeys(candidates, 0.2), {}, 100)

    monkeypatch.setattr("ktg.proposing.teacher.rank_weights", rank)
    stays = choose({"resnet8": 0.9, "resnet14": 0.9})
    assert (stays.weights.model, stays.weights.side) == ("resnet14", None)
    assert stays.at_target_side is None
    chance = choose({"resnet8": 0.21, "resnet14": 0.21})  # less, but not proven to be less
    assert (chance.weights.model, chance.weights.side) == ("resnet14", LARGEST)


@pytest.mark.slow
def test_the_targets_own_weights_may_teach_what_they_see_in_larger_images(choose):
    taught = choose({"resnet8": 0.0})
    assert (taught.weights.model, taught.weights.side) == ("resnet8", LARGEST)


@pytest.mark.slow
def test_a_larger_side_is_within_the_time_and_no_probe_of_the_same_images(choose, monkeypatch):
    labelled = choose({"resnet8": 0.0, "resnet14": 0.0}, more=0)
    assert labelled.weights.side == LARGEST
    assert labelled.epochs >= LEAST_EPOCHS
    assert choose({"resnet8": 0.0, "resnet14": 0.5}, more=0, trains=False).weights.side is None
    hurried = choose({"resnet8": 0.0, "resnet14": 0.5}, available_s=1e-6)
    assert (hurried.weights.side, hurried.epochs) == (None, 0)
    probe = choose({"resnet8": 0.0, "resnet14": 0.5}, trains=False)
    assert (probe.weights.side, probe.epochs) == (LARGEST, 0)
    assert choose({"resnet8": 0.0, "resnet14": 0.5}).epochs >= LEAST_EPOCHS
    # As if its images were large: of few labels the probe teaches.
    monkeypatch.setattr("ktg.proposing.teacher.PROBE_SIDE", LARGEST)
    few = choose({"resnet8": 0.0, "resnet14": 0.5})
    assert (few.weights.side, few.epochs) == (LARGEST, 0)
    assert choose({"resnet8": 0.0, "resnet14": 0.5}, more=0).epochs >= LEAST_EPOCHS


@pytest.mark.slow
def test_a_teacher_that_must_be_trained_sees_the_largest_side_at_which_that_fits(
    choose, monkeypatch
):
    def measure(_node, data, **_more):
        return Speed(0.1, 8).at_side(data.size, SIDE)

    monkeypatch.setattr("ktg.proposing.teacher.measure_speed", measure)
    # Seven images are one step: 0.4 s at 64 pixels, 0.225 s at 48. Three epochs, and the answers to
    # two views at a third of a step for eight images, are 1.43 and 0.81 s.
    probed = {"resnet8": 0.0}
    assert choose(probed, available_s=1.5, more=0).weights.side == LARGEST
    smaller = choose(probed, available_s=1.4, more=0)
    assert smaller.weights.side == 48
    assert smaller.epochs >= LEAST_EPOCHS
    assert choose(probed, available_s=0.8, more=0) is None
    assert choose(probed, available_s=1.4, more=12).weights.side == LARGEST  # its probe teaches


@pytest.mark.slow
def test_the_answers_of_a_teacher_leave_time_for_its_training(choose):
    for available_s in (60.0, 2.0):
        found = choose({"resnet8": 0.0}, available_s=available_s)
        views = choose_views(found, 30, 10_000, available_s)
        answers_s = (views or 0) * found.view_s
        assert answers_s <= ANSWERS_SHARE * available_s
        assert found.training_s <= available_s - min(2 * found.view_s, answers_s)


@given(st.integers(1, 10**5), st.integers(1, 10**6), st.floats(0.01, 1000), st.floats(0.01, 1000))
def test_views_are_as_many_as_time_and_use_allow(images, shown, view_s, available_s):
    asked = Teacher(WeightsHere("resnet8", "zoo/small", 78_000), 0.5, view_s=view_s)
    found = choose_views(asked, images, shown, available_s)
    assert found is None or found * view_s <= ANSWERS_SHARE * available_s
    assert found is None or found * images <= TAUGHT_TRIALS * shown
    more = choose_views(asked, images, 2 * shown, 2 * available_s)
    assert (found or 0) <= (more or 0)


@pytest.fixture(scope="module")
def labelled(photos):
    return look_at_images(photos)


@given(st.floats(0.001, 10), st.floats(0.1, 10_000), st.integers(0, 5000))
def test_training_and_views_are_within_the_time_and_two_views_always_are(
    labelled, step_s, available_s, more
):
    images = dataclasses.replace(labelled, unlabelled=more)
    asked = Teacher(WeightsHere("resnet8", "zoo/small", 78_000), 0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ktg.proposing.teacher.measure_speed", lambda *_, **__: Speed(step_s, 8))
        means = Means(available_s, True, {}, QUIET)
        planned = _plan_training(asked, Data(path="photos", size=SIDE), images, means)
    views = choose_views(planned, 1, 10_000, available_s)
    spent_s = planned.training_s + (views or 0) * planned.view_s
    assert spent_s <= available_s + 1e-6
    assert (views is None) == (VIEWS[-1] * planned.view_s > ANSWERS_SHARE * available_s)


@pytest.mark.slow
def test_the_space_says_what_each_of_them_sees(plan, with_more, in_zoo, tmp_path):
    in_zoo("small")
    found = plan(with_more, target="resnet8", size=SIDE)
    weights = WeightsHere("resnet8", "zoo/small", 78_000, "trained on pictures", side=LARGEST)
    teacher = Teacher(weights, 0.75, at_target_side=0.5, epochs=3, training_s=9.0)
    found = dataclasses.replace(found, teacher=teacher)
    proposed = make_space(found, "pets", "5m")
    file = tmp_path / "pets.yaml"
    file.write_text(proposed.to_yaml(tmp_path), encoding="utf-8")
    space = load_space_file(file)
    graph = space.bind(space.default())
    sizes = {name: node.input_size for name, node in graph.nodes.items()}
    assert (graph.data.size, sizes) == (LARGEST, {"n0": SIDE, "teacher": LARGEST})
    assert (
        "75.0 % at 64 pixels, the best at those of the target 50.0 %"
        in (proposed.reasons["nodes.teacher"])
    )
    assert proposed.reasons["data.size"].startswith("what the teacher sees")
