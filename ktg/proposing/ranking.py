"""Ranks the weights on this machine by what a linear probe makes of their features of a sample.

The probe is the score `linear_probe` of `ktg.affinity`: leave-one-out ridge regression on the
features of training images, whose results are cached by content. It takes one forward pass.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ktg.affinity.candidate import Candidate
from ktg.affinity.ranking import measure_candidate
from ktg.data import Dataset
from ktg.errors import KtgError
from ktg.graph import SourceFile, sources_for
from ktg.proposing.resolution import list_sides
from ktg.proposing.weights_here import WeightsHere

SAMPLE = (120, 600)  # least and most images that are looked at
BUDGET_SHARE, MOST_S = 0.15, 120.0  # of a search, for one ranking
NO_TIME = "not measured, for want of time"


class _OutOfTimeError(KtgError):
    """The time for a ranking ended while a network looked through its images."""


@dataclass(frozen=True)
class Ranking:
    """The weights that were measured, best first, with their scores in [0, 1]; why others not."""

    scores: Mapping[WeightsHere, float]
    left_out: Mapping[str, str]
    images: int

    def of_model(self, model: str) -> list[WeightsHere]:
        """Return the weights for one model, best first."""
        return [one for one in self.scores if one.model == model]

    @property
    def error(self) -> float:
        """The standard error of a score at one half: 0.05 for 100 images."""
        return standard_error(0.5, self.images)


def standard_error(score: float, images: int) -> float:
    """Return the standard error of an accuracy on so many images.

    >>> round(standard_error(0.5, 100), 4), round(standard_error(0.9, 900), 4)
    (0.05, 0.01)
    """
    return math.sqrt(score * (1 - score) / max(1, images))


def choose_sample(classes: int, train: int) -> int:
    """Return how many images to look at: some 40 a class, within bounds.

    >>> choose_sample(2, 5000), choose_sample(10, 5000), choose_sample(100, 5000)
    (120, 400, 600)
    """
    least, most = SAMPLE
    return min(train, most, max(least, 40 * classes))


def rank_weights(
    candidates: Sequence[WeightsHere],
    files: Mapping[str, SourceFile],
    data: Dataset,
    *,
    seconds: float,
    status: Callable[[str], None],
    one_of: Sequence[Collection[WeightsHere]] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Ranking:
    """Return the candidates ranked on a sample of the training split.

    They are measured in their order until `seconds` are spent: what has not looked through its
    images by then is left out, too. status: told what is measured next. one_of: groups of
    candidates; one of each is measured however long it takes, by default one of all.
    """
    sample = choose_sample(len(data.classes), len(data.train))
    scores: dict[WeightsHere, float] = {}
    left_out: dict[str, str] = {}
    started = clock()
    groups = [set(group) for group in one_of or (candidates,)]

    def is_needed(one: WeightsHere) -> bool:
        return any(one in group and group.isdisjoint(scores) for group in groups)

    def check_time(one: WeightsHere, *_: int) -> None:
        if not is_needed(one) and clock() - started > seconds:
            raise _OutOfTimeError

    for place, one in enumerate(candidates):
        spent = clock() - started
        # The next one is larger and takes longer than the mean of those before it.
        if place and spent + spent / place > seconds and not is_needed(one):
            left_out[one.name] = NO_TIME
            continue
        status(f"Ranking weights: {one.name}")
        try:
            measured = measure_candidate(
                Candidate(one.name, one.node),
                data,
                ["linear_probe"],
                sources=sources_for(one.model, {}, files),
                sample=sample,
                progress=partial(check_time, one),
            )
        except _OutOfTimeError:  # a network that wants large images may be a hundred times slower
            left_out[one.name] = NO_TIME
            continue
        except KtgError as error:
            left_out[one.name] = str(error)
            continue
        value = measured.value("linear_probe")
        if value is None:
            left_out[one.name] = measured.not_applicable["linear_probe"]
        else:
            scores[one] = value
    best_first = sorted(scores, key=lambda one: -scores[one])
    return Ranking({one: scores[one] for one in best_first}, left_out, sample)


def limit_side(one: WeightsHere, side: int) -> WeightsHere:
    """Return the weights at a side at which they would be searched, if that is below `side`.

    A ResNet20 for 32 pixels takes longer at 160 than a MobileNetV2, and sees less than at 64.
    """
    from ktg.models.architectures import find_usual_size, takes_any_size

    most = list_sides(side, find_usual_size(one.model))[0]
    if one.side is not None or most >= side or not takes_any_size(one.node):
        return one
    return replace(one, side=most)


def ranking_seconds(budget_s: float) -> float:
    """Return how long one ranking may take of a search's budget.

    >>> ranking_seconds(360), ranking_seconds(7200)
    (54.0, 120.0)
    """
    return min(BUDGET_SHARE * budget_s, MOST_S)
