"""Chooses the teacher: its weights, the side at which it sees images, and how long it is trained.

A teacher answers once for each image, so it may see larger images than the target, which is paid
for at every step and wherever it is deployed. Of five flowers with ten labels each a probe of
EfficientNet-lite0 has 71 % at 96 pixels, 79 % at 128 and at 160, where that of the target,
MobileNetV2-0.35 at 96 pixels, has 64 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ktg.graph import Data, SourceFile
from ktg.models.architectures import find_usual_size
from ktg.proposing.found_images import FoundImages
from ktg.proposing.hearing import Hearing
from ktg.proposing.networks import CLEARLY, choose_teacher
from ktg.proposing.ranking import Ranking, rank_weights
from ktg.proposing.resolution import list_sides, usual_epochs
from ktg.proposing.speed import Speed, measure_speed
from ktg.proposing.weights_here import WeightsHere

LEAST_EPOCHS = 3
# Training images of each class, and the side in pixels, up to and from which the probe of a teacher
# teaches more than its training, and costs a forward pass: at 128 pixels with ten images of each
# class +3.8 points (+2.1 to +5.6, five pairs of three sets); at 96 pixels with CIFAR-10 less, and
# with 25 images it depends on the set (docs/studies.md).
TRAINED_FROM = 20
PROBE_SIDE = 128
MOST_CANDIDATES = 3  # that are looked at once more, at a larger side
MOST_IMAGES = 20_000  # decoding more of them twice takes minutes
# Views are drawn once: a teacher that answers new ones at every step costs more than the target.
# One that is trained and asked without augmentation is cheaper, but teaches nothing: five flowers,
# two seeds, 60.6 % with it, 65.1 % with two views, 66.0 % with eight, 61.1 % without a teacher.
VIEWS = (8, 4, 2)  # of each image
ANSWERS_SHARE = 0.6  # of the time for the teacher, for its answers
TAUGHT_TRIALS = 4  # at least so many of a search have the teacher


@dataclass(frozen=True)
class Teacher:
    """Weights that teach, how they are trained, and why.

    weights: with the side at which they see images, None for that of the target. score: of their
    linear probe there, in [0, 1]; at_target_side: the best probe at the side of the target, where
    that was smaller. epochs: of the teacher's own training, 0 where it is a probe, and training_s:
    its seconds on one slot. view_s: those of its answers to one view of all images. views: of each
    image, drawn once; None where new ones are drawn, and answered, at every step.
    """

    weights: WeightsHere
    score: float
    at_target_side: float | None = None
    epochs: int = 0
    training_s: float = 0.0
    view_s: float = 0.0
    views: int | None = None

    @property
    def seconds(self) -> float:
        """The seconds that its training and its answers take on one slot."""
        return self.training_s + (self.views or 1) * self.view_s


@dataclass(frozen=True)
class Means:
    """What a teacher may cost and is measured with.

    available_s: seconds of one slot, for its training and its answers. trains: whether it may be
    trained at all. files: of the user, by model. hearing: told how it goes.
    """

    available_s: float
    trains: bool
    files: Mapping[str, SourceFile]
    hearing: Hearing


def plan_teacher(
    ranking: Ranking,
    sources: Sequence[WeightsHere],
    data: Data,
    images: FoundImages,
    means: Means,
) -> Teacher | None:
    """Return the teacher for a target that begins from the first of `sources`, None for none.

    data: as the target sees them at most. The teacher may see larger ones, and then be the target's
    own weights, too, unless it is a probe that stands in for wrong labels.
    """
    if not ranking.scores:
        return None
    chosen = choose_teacher(ranking, sources, leniently=images.unlabelled > 0)
    teacher = Teacher(chosen, ranking.scores[chosen]) if chosen else None
    if (images.unlabelled or means.trains) and images.train <= MOST_IMAGES:
        larger = _look_closer(ranking, sources, chosen, data, images, means)
        least = teacher.score if teacher else ranking.scores[sources[0]] + CLEARLY
        # A larger side shows more: where only chance speaks against it, it is taken.
        if larger is not None and larger.score >= least - ranking.error:
            best = max(ranking.scores.values())
            teacher = replace(larger, at_target_side=best)
    if teacher is None:
        return None
    teacher = _plan_training(teacher, data, images, means)
    if teacher.epochs == 0 and means.trains and not images.unlabelled:
        return None  # a probe teaches nothing that the labels of the same images do not
    return teacher


def _look_closer(
    ranking: Ranking,
    sources: Sequence[WeightsHere],
    chosen: WeightsHere | None,
    data: Data,
    images: FoundImages,
    means: Means,
) -> Teacher | None:
    """Return the best weights at the largest side at which their answers are affordable.

    As at the side of the target, a larger network is taken unless it is proven to be worse.
    """
    first = [one for one in (chosen, *sources[:1]) if one is not None]
    candidates = list(dict.fromkeys([*first, *ranking.scores]))[:MOST_CANDIDATES]
    closer = [
        replace(one, side=side)
        for one in candidates
        if (side := _find_affordable_side(one, data, images, means)) is not None
    ]
    if not closer:
        return None
    largest = max(one.side or 0 for one in closer)
    # The images without labels are decoded by the search, at the side that is chosen.
    dataset = means.hearing.open_data(replace(data, size=largest, unlabelled=None))
    seconds = ANSWERS_SHARE * means.available_s
    found = rank_weights(closer, means.files, dataset, seconds=seconds, status=means.hearing.status)
    own = [one for one in found.scores if _is_of(one, sources)]
    best = choose_teacher(found, own, leniently=True) or next(iter(found.scores), None)
    return Teacher(best, found.scores[best]) if best else None


def _is_of(one: WeightsHere, sources: Sequence[WeightsHere]) -> bool:
    """Return whether weights are those with which the target begins, at whatever side."""
    return bool(sources) and (one.model, one.source) == (sources[0].model, sources[0].source)


def _find_affordable_side(
    one: WeightsHere, data: Data, images: FoundImages, means: Means
) -> int | None:
    """Return the largest side above that of `data` that is affordable, if any."""
    own = data.size or images.side
    sides = [side for side in list_sides(images.side, find_usual_size(one.model)) if side > own]
    if not sides:
        return None
    speed = _measure(one, data, means)
    return next(
        (side for side in sides if _is_affordable(speed.at_side(side, own), images, means)), None
    )


def _is_affordable(speed: Speed, images: FoundImages, means: Means) -> bool:
    """Return whether there is time for a teacher's answers, and for training where it needs that.

    Beside images without labels a probe teaches, too; on labelled images alone it does not.
    """
    answers_s = VIEWS[-1] * _view_s(speed, images)
    needs = means.trains and not images.unlabelled
    training_s = LEAST_EPOCHS * speed.epoch_s(images.train) if needs else 0.0
    return answers_s <= ANSWERS_SHARE * means.available_s and (
        answers_s + training_s <= means.available_s
    )


def is_for_probe(images: FoundImages, side: int | None) -> bool:
    """Return whether a probe is the best teacher, as far as that was measured.

    It is of large images, few of them with labels beside others without. side: in pixels, at which
    the teacher sees them; None for their own.
    """
    few = images.unlabelled > 0 and images.per_class < TRAINED_FROM
    return few and (side or images.side) >= PROBE_SIDE


def choose_views(teacher: Teacher, images: int, shown: int, available_s: float) -> int | None:
    """Return how many views of each image are drawn once: the most whose answers are affordable.

    images: how many there are. shown: how many a training of the target shows. available_s: for
    the teacher, its training included. Not more than a few trainings show; None, for new ones at
    every step, where not even two are affordable.

    >>> asked = Teacher(WeightsHere("resnet18", "imagenet", 11_000_000), 0.8, view_s=10.0)
    >>> [choose_views(asked, 2_000, 10_000, seconds) for seconds in (200, 80, 40, 20)]
    [8, 4, 2, None]
    """
    # Rounded as speeds are: where training leaves just the time for two views, these fit.
    left_s = round(available_s - teacher.training_s, 6)
    answers_s = min(ANSWERS_SHARE * available_s, left_s)
    return next(
        (
            views
            for views in VIEWS
            if views * images <= TAUGHT_TRIALS * shown and views * teacher.view_s <= answers_s
        ),
        None,
    )


def _plan_training(teacher: Teacher, data: Data, images: FoundImages, means: Means) -> Teacher:
    """Return the teacher with the epochs for which its answers leave time."""
    seen = replace(data, size=max(data.size or 0, teacher.weights.side or 0) or None)
    speed = _measure(teacher.weights, seen, means)
    epoch_s, view_s = speed.epoch_s(images.train), _view_s(speed, images)
    answers_s = min(VIEWS[-1] * view_s, ANSWERS_SHARE * means.available_s)
    time_s = means.available_s - answers_s
    epochs = min(round(usual_epochs(images.per_class)), int(time_s / epoch_s))
    side = teacher.weights.side or data.size
    trains = means.trains and not is_for_probe(images, side) and epochs >= LEAST_EPOCHS
    epochs = epochs if trains else 0
    return replace(teacher, epochs=epochs, training_s=epochs * epoch_s, view_s=view_s)


def _measure(one: WeightsHere, data: Data, means: Means) -> Speed:
    return measure_speed(one.node, data, sources=means.files)


def _view_s(speed: Speed, images: FoundImages) -> float:
    """Return the seconds of one forward pass over all images that a student is shown."""
    return speed.forward_s(images.train + images.unlabelled)
