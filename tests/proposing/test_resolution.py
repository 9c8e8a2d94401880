"""The side of the images and the epochs that fit a budget."""

from hypothesis import given
from hypothesis import strategies as st

from ktg.proposing.resolution import (
    ENOUGH_EPOCHS,
    HURRIED_TIMES,
    LARGER,
    LEAST_EPOCHS,
    LEAST_STEPS,
    MOST_EPOCHS,
    TAUGHT_STEPS,
    Length,
    choose_length,
    choose_sides,
    count_passes,
    is_hurried,
    least_epochs,
    list_sides,
    order_sides,
    training_seconds,
    usual_epochs,
)
from ktg.proposing.speed import Speed

TIMES = st.floats(1, 1e5)


def speeds(step_s: float) -> dict[int, Speed]:
    return {side: Speed(step_s, 32).at_side(side, 96) for side in (96, 128, 160, 224)}


def takes_as_long_as_allowed(found: Length, usual: float, available_s: float) -> bool:
    """Return whether no more than half an epoch is beyond what a training may take."""
    times = HURRIED_TIMES if found.epochs <= usual else 1
    half_less_s = found.training_s * (found.epochs - 0.5) / found.epochs
    return half_less_s <= times * available_s * (1 + 1e-9)


@given(st.floats(0.001, 10), st.integers(32, 10_000), TIMES)
def test_a_training_fits_or_is_the_shortest_there_is(step_s, images, available_s):
    side, *_ = choose_sides(speeds(step_s), images, 0, 20, available_s, photographs=True)
    found = choose_length(side, speeds(step_s)[side], images, 0, 20, available_s)
    assert 1 <= found.epochs <= MOST_EPOCHS * 20
    assert takes_as_long_as_allowed(found, 20, available_s) or (found.side, found.epochs) == (96, 1)
    if found.side > 96:
        assert found.epochs > least_epochs(20, images, 32) - 1


@given(st.floats(15, 40), st.integers(16, 10_000), st.integers(1, 64))
def test_a_larger_side_needs_steps_or_half_of_the_usual_epochs(usual, images, batch):
    least = least_epochs(usual, images, batch)
    assert LEAST_EPOCHS * usual <= least <= ENOUGH_EPOCHS * usual
    assert least == ENOUGH_EPOCHS * usual or least * (images // batch) >= LEAST_STEPS - 1e-6


@given(st.integers(32, 10_000), TIMES, st.floats(1, 10), st.booleans())
def test_more_time_never_means_smaller_images(images, available_s, more, photographs):
    less, greater = (
        choose_sides(speeds(0.1), images, 0, 20, seconds, photographs=photographs)
        for seconds in (available_s, more * available_s)
    )
    assert less[0] <= greater[0]


@given(st.integers(16, 10_000), st.floats(15, 40), st.booleans())
def test_a_target_with_few_labels_is_taught_for_long_enough(images, epochs, beside):
    passes, least = count_passes(images, 16, epochs, beside), 1 + beside
    steps = images // 16
    assert passes >= least
    assert epochs * passes * steps >= TAUGHT_STEPS
    assert passes == least or epochs * (passes - 1) * steps < TAUGHT_STEPS


def test_who_has_fewer_than_the_most_epochs_is_in_a_hurry():
    lengths = [Length(96, epochs, 1.0) for epochs in (1, 59, 60, 90)]
    assert [is_hurried(one, 20.0) for one in lengths] == [True, True, False, False]


def test_passes_and_images_without_labels_take_their_time():
    one = choose_length(96, Speed(1.0, 16), 64, 0, 10, 1000.0)
    two = choose_length(96, Speed(1.0, 16), 64, 0, 10, 1000.0, passes=3)
    more = choose_length(96, Speed(1.0, 16), 64, 0, 10, 1000.0, passes=3, beside=True)
    assert (one.epochs, one.training_s, one.passes) == (30, 120.0, 1)
    assert (two.epochs, two.training_s, two.passes) == (30, 360.0, 3)
    assert (more.epochs, more.training_s, more.passes) == (30, 720.0, 3)


@given(st.floats(0.1, 10_000), st.integers(2, 30), st.booleans())
def test_short_time_first_costs_passes_then_epochs(available_s, passes, beside):
    found = choose_length(96, Speed(0.1, 16), 64, 20, 40, available_s, passes, beside=beside)
    assert 1 <= found.passes <= passes
    assert found.passes == 1 or found.epochs >= 40
    assert takes_as_long_as_allowed(found, 40, available_s) or found.passes == found.epochs == 1


def test_a_training_may_take_twice_as_long_up_to_its_usual_epochs():
    speed = Speed(1.0, 32)  # an epoch of 320 images takes 10 s
    found = [choose_length(96, speed, 320, 0, 15, seconds).epochs for seconds in (40, 100, 200)]
    assert found == [8, 15, 20]


@given(st.floats(1, 1000), st.floats(1, 1000))
def test_fewer_images_are_seen_more_often(one, other):
    few, many = sorted((one, other))
    assert 15 - 1e-9 <= usual_epochs(many) <= usual_epochs(few) <= 40


def test_small_images_are_enlarged_for_networks_that_need_it():
    assert list_sides(28, 224) == [128, 96]
    assert list_sides(4000, 224)[0] == 224
    assert max(list_sides(4000, 32)) == 64
    assert list_sides(8, 32) == [32]


def test_two_slots_share_the_work():
    assert training_seconds(360, 2) == 2 * training_seconds(360, 1)


@given(st.floats(60, 100_000), st.integers(1, 256))
def test_trainings_that_follow_one_another_fit_whatever_the_machine(budget_s, slots):
    # A baseline, a trial, a new seed of the best and the last training on a fifth more images.
    longest_s = HURRIED_TIMES * training_seconds(budget_s, slots)
    assert 1.25 * longest_s + longest_s <= budget_s


@given(st.floats(0.001, 10), st.integers(32, 10_000), TIMES, st.booleans())
def test_the_sides_to_look_at(step_s, images, available_s, photographs):
    known = speeds(step_s)
    first, *others = choose_sides(known, images, 0, 20, available_s, photographs=photographs)
    every = sorted(known)
    place = every.index(first)
    least = least_epochs(20, images, 32) if photographs else ENOUGH_EPOCHS * 20
    needed_s = [least * known[side].epoch_s(images) for side in every]
    given_s = (HURRIED_TIMES if photographs else 1) * available_s
    assert place == 0 or needed_s[place] <= given_s
    assert all(needed > given_s for needed in needed_s[place + 1 :])
    assert [side for side in others if side < first] == every[:place][-1:]
    larger = [side for side in others if side > first]
    if photographs:
        fitting = [side for side in every if known[side].forward_s(images) <= available_s]
        assert larger == [side for side in fitting if side > first]
    else:
        assert larger in ([], every[place + 1 : place + 2])
        assert all(needed_s[every.index(side)] <= LARGER * available_s for side in larger)


@given(
    st.permutations([96, 128, 160]),
    st.dictionaries(st.sampled_from([96, 128, 160]), st.floats(0, 1)),
    st.floats(0, 0.2),
)
def test_the_default_is_the_largest_side_with_time_that_no_probe_speaks_against(
    sides, scores, error
):
    first, *others = order_sides(sides, scores, error)
    measured = [side for side in sides if side <= sides[0] and side in scores]
    if not measured:
        assert [first, *others] == sides
        return
    assert first in measured
    best = max(scores[side] for side in measured)
    assert scores[first] >= best - error
    assert all(scores[side] < best - error for side in measured if side > first)
    assert others == sorted(others)
    for side in {*sides} - {first}:
        assert (side in others) == (side > first and scores.get(side, 0) >= scores[first])
