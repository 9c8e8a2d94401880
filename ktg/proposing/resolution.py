"""Chooses the side of the images and how many epochs a training has, from what a step costs here.

The side counts more than the epochs. At equal time MobileNetV2-0.35 from ImageNet has 90 % of cats
and dogs after 12 epochs at 96 pixels, 95 after 7 at 128 and 96 after 4 at 160; a probe of
EfficientNet-lite0 at 160 pixels, one forward pass, has 99 (benchmarks/sides.py).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ktg.proposing.speed import Speed

SIDES = (32, 48, 64, 96, 128, 160, 192, 224)
LEAST_SIDE = 96
# As many whole trainings should fit: baselines, trials, new seeds of the best, and the last one.
TRAININGS = 12
# Slots from which on more of them bring more trainings and not longer ones. Those of a search come
# one after the other: baselines, trials, new seeds of the best, the last one. With two slots each
# may take a sixth of the budget; in proportion to eight slots it would take two thirds.
MOST_SLOTS = 2
OVERHEAD_S = 50.0  # of the budget: the look at the images and weights, Ray's start, the report
LEAST_SHARE = 0.25  # of a budget that is hardly more than that
LARGER = 2.0  # times as long may a training take that sees more, of what knows no photographs
# So many times as long may a training take that would have fewer than its usual epochs, though half
# as many fit then. Six minutes, single trainings: flowers 4 epochs 89.6 %, 7 epochs 91.5, aerial
# pictures 10 epochs 88.7 %, 15 epochs 90.0 (benchmarks/sides.py).
HURRIED_TIMES = 2
MOST_EPOCHS = 3.0  # times `usual_epochs`, however large the budget is
# What knows photographs gains by a larger side from this share of `usual_epochs` on, if these are
# so many steps, and from the second share on at any rate. Four epochs of 160 pixels were better
# than twelve of 96 with 1,120 to 2,248 images, and worse with 276, of which they are 36 steps
# (benchmarks/sides.py).
LEAST_EPOCHS, LEAST_STEPS, ENOUGH_EPOCHS = 0.2, 100, 0.5
LONGER_TIMES = 2  # the epochs of a training that is tried beside the usual one
# Of a target that is taught, where the budget has room. On images without labels, over 400 steps of
# 32 images: +1.5 points on flowers (three seeds, all above 0), -2.5 on cats and dogs (three) and
# +0.8 on CIFAR-10 (two), -0.2 in all (-2.8 to +2.5): neither is proven better. On labelled ones:
# `ktg.proposing.opening.LONG_LEAD` (benchmarks/teachers_study.py).
TAUGHT_STEPS = 1000


@dataclass(frozen=True)
class Length:
    """The side of images in pixels, and the epochs of a training that takes `training_s`.

    passes: over the labelled images in an epoch.
    """

    side: int
    epochs: int
    training_s: float
    passes: int = 1


def usual_epochs(per_class: float) -> float:
    """Return the epochs that suit fine-tuning with so many images of each class.

    They fall from 40 for ten images to 15 for two hundred and more, as benchmarks/recipes.py has
    them, on a line over the logarithm.

    >>> [round(usual_epochs(images)) for images in (10, 50, 200)]
    [40, 27, 15]
    """
    place = math.log(min(200.0, max(10.0, per_class)) / 10) / math.log(20)
    return 40 - 25 * place


def most_epochs(usual: float) -> int:
    """Return the most epochs of a training whose `usual_epochs` are so many.

    >>> most_epochs(15.2)
    46
    """
    return round(MOST_EPOCHS * usual)


def is_hurried(length: Length, usual: float) -> bool:
    """Return whether the target alone has no time for all the epochs that may be worth something.

    Where all images have labels, a teacher is worth nothing that is proven at equal time, and
    patience is; so a teacher would take the time from what is worth more. Of white blood cells in
    six minutes the teacher and its student took 178 of 255 s, and were six points worse.

    length: of the target alone. usual: its `usual_epochs`.
    """
    return length.epochs < most_epochs(usual)


def least_epochs(usual: float, train: int, batch: int) -> float:
    """Return the fewest epochs with which a larger side is worth its time.

    >>> least_epochs(15, 2248, 32), least_epochs(15, 1120, 32), least_epochs(24, 276, 32)
    (3.0, 3.0, 12.0)
    """
    steps = max(1, train // batch)
    return min(ENOUGH_EPOCHS * usual, max(LEAST_EPOCHS * usual, LEAST_STEPS / steps))


def count_passes(train: int, batch: int, epochs: float, beside: bool) -> int:
    """Return how often an epoch should show each labelled image to a target that is taught.

    beside: whether others without a label are shown with them. Then at least twice, so that the
    target is taught for twice as long as labels alone are worth it; and so often that `epochs` have
    TAUGHT_STEPS. Without it every other step of fifty labelled images would be followed by a
    validation.

    >>> count_passes(50, 16, 40, True), count_passes(1421, 32, 15, True)
    (9, 2)
    >>> count_passes(276, 32, 24, False), count_passes(6300, 32, 15, False)
    (6, 1)
    """
    steps = max(1, train // batch)
    return max(1 + beside, math.ceil(TAUGHT_STEPS / (epochs * steps)))


def training_seconds(budget_s: float, slots: int) -> float:
    """Return how long one training may take on one slot.

    >>> [round(training_seconds(budget_s, slots=2)) for budget_s in (60, 360, 1800)]
    [2, 52, 292]
    >>> [round(training_seconds(360, slots)) for slots in (1, 2, 64)]
    [26, 52, 52]
    """
    return min(slots, MOST_SLOTS) * _usable_seconds(budget_s) / TRAININGS


def count_trainings(budget_s: float, slots: int, training_s: float) -> int:
    """Return how many trainings of `training_s` seconds on one slot fit a budget, at least one.

    >>> count_trainings(360, slots=2, training_s=52), count_trainings(360, 8, 52)
    (12, 48)
    """
    return max(1, round(slots * _usable_seconds(budget_s) / max(training_s, 1e-9)))


def _usable_seconds(budget_s: float) -> float:
    return max(LEAST_SHARE * budget_s, budget_s - OVERHEAD_S)


def list_sides(own: int, usual: int) -> list[int]:
    """Return the sides to choose from, the largest first, of images whose side is `own`.

    `usual` is the side that the network is meant for. Networks for ImageNet see little below 96
    pixels, and more in images that are enlarged to 128; those for tiny images want no large ones.

    >>> list_sides(32, 224), list_sides(160, 224), list_sides(400, 32)
    ([128, 96], [160, 128, 96], [64, 48, 32])
    """
    if usual >= LEAST_SIDE:
        least, most = LEAST_SIDE, max(min(own, 224), min(usual, 128))
    else:
        least, most = SIDES[0], min(max(own, usual), 2 * usual)
    return [side for side in reversed(SIDES) if least <= side <= most] or [least]


def choose_length(
    side: int,
    speed: Speed,
    train: int,
    val: int,
    epochs: float,
    available_s: float,
    passes: int = 1,
    *,
    beside: bool = False,
) -> Length:
    """Return how long a training at a side is, for which there are so many seconds.

    train, val: images of each split. epochs: how many are wanted. passes: over the labelled images
    in each; where time is short there are fewer of these before there are fewer epochs. beside:
    whether each step shows as many images without labels, too. It is one epoch at least; up to
    those that are wanted it may take HURRIED_TIMES as long. Epochs are rounded: where only few fit,
    half an epoch less than the time allows would be a third less.

    >>> speeds = (Speed(step_s, 32) for step_s in (0.21, 0.27, 0.4))
    >>> [choose_length(96, speed, 6400, 0, 15, 52).epochs for speed in speeds]
    [2, 2, 1]
    """
    shown = (1 + beside) * train
    fitting = math.floor(available_s / speed.epoch_s(shown, val))
    kept = max(1, min(passes, int(fitting / epochs)))
    epoch_s = speed.epoch_s(kept * shown, val)
    at_most = available_s / epoch_s
    patient = max(at_most, min(epochs, HURRIED_TIMES * at_most))
    chosen = max(1, min(round(patient), most_epochs(epochs)))
    return Length(side, chosen, chosen * epoch_s, kept)


def choose_sides(
    speeds: Mapping[int, Speed],
    train: int,
    val: int,
    epochs: float,
    available_s: float,
    *,
    photographs: bool,
) -> tuple[int, ...]:
    """Return the sides to look at: the default, the next smaller one, and larger ones.

    The default is the largest at which the fewest useful epochs fit, else the smallest of all.

    photographs: whether the network knows them. Then it needs but `least_epochs`, which may take
    HURRIED_TIMES as long, and larger sides are those at which a probe takes no longer than a
    training may. Else it needs half of the wanted epochs, and a larger side is the next, where
    these take no more than twice that time.
    """
    sides = sorted(speeds)
    least, given_s = ENOUGH_EPOCHS * epochs, available_s
    if photographs:
        least = least_epochs(epochs, train, speeds[sides[0]].batch)
        given_s = HURRIED_TIMES * available_s
    needed_s = {side: least * speeds[side].epoch_s(train, val) for side in sides}
    side = max((side for side in sides if needed_s[side] <= given_s), default=sides[0])
    smaller = [other for other in sides if other < side][-1:]
    larger = [other for other in sides if other > side]
    if photographs:
        seen_s = {other: speeds[other].forward_s(train + val) for other in larger}
        return (side, *smaller, *(other for other in larger if seen_s[other] <= available_s))
    most_s = LARGER * available_s
    return (side, *smaller, *(other for other in larger[:1] if needed_s[other] <= most_s))


def order_sides(sides: Sequence[int], scores: Mapping[int, float], error: float) -> tuple[int, ...]:
    """Return the sides to search, the default first; all of them where probes have no scores.

    For training there is time at the first and at smaller ones. The default is the largest of these
    that is not worse than the best by more than an error of the scores. Larger sides are kept where
    a probe sees as much there, or more; smaller ones are not, for they are worse in equal time.

    >>> order_sides((128, 96, 160), {96: 0.70, 128: 0.65, 160: 0.80}, error=0.01)
    (96, 160)
    >>> order_sides((128, 96, 160), {96: 0.70, 128: 0.65, 160: 0.60}, error=0.10)
    (128,)
    """
    affordable = {side: scores[side] for side in sides if side <= sides[0] and side in scores}
    if not affordable:
        return tuple(sides)
    least = max(affordable.values()) - error
    first = max(side for side, score in affordable.items() if score >= least)
    larger = [side for side in sides if side > first and scores.get(side, 0.0) >= scores[first]]
    return (first, *sorted(larger))
