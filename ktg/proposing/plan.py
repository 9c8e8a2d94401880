"""Chooses a search space for a folder of images, each choice with its reason.

The order is that of the dependencies: what the folder holds, what this machine is and has; target,
sources and sides from a ranking of the weights on a sample and from what a step costs here; then a
teacher, and the epochs that fit the budget.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ktg.auditing.noise import NoiseEstimate
from ktg.errors import KtgError
from ktg.graph import IMAGENET, Node
from ktg.proposing.found_groups import FoundGroups
from ktg.proposing.found_images import FoundImages, look_at_images
from ktg.proposing.hearing import Hearing
from ktg.proposing.machine import Machine, read_machine
from ktg.proposing.networks import SMALL
from ktg.proposing.ranking import Ranking
from ktg.proposing.resolution import (
    LONGER_TIMES,
    Length,
    choose_length,
    count_passes,
    is_hurried,
    most_epochs,
    training_seconds,
    usual_epochs,
)
from ktg.proposing.speed import Speed
from ktg.proposing.squares import Squares
from ktg.proposing.target import Ground, Target, choose_target
from ktg.proposing.teacher import Means, Teacher, choose_views, plan_teacher
from ktg.proposing.weights_here import (
    WeightsHere,
    find_weights_here,
    knows_photographs,
    limit_parameters,
)
from ktg.proposing.wishes import Wishes, settle_wishes
from ktg.proposing.wrong_labels import find_wrong_labels

FALLBACK = "mobilenetv2_100"  # small, and published
CHECK_SIDE = 64
# The recipes were measured with these (benchmarks/recipes.py).
BATCH, BATCH_OF_FEW, FEW = 32, 16, 200  # the last: training images
TEACHER_TRAININGS = 2  # of the target: so long it may take to make the teacher, answers included


@dataclass(frozen=True)
class Plan:
    """What was found and chosen.

    sources: the weights of the target, best first; none where it can begin from nothing only.
    unusable: why some weights are left out. sides: of the images that the target sees, the default
    first. probes: by side, the score of a linear probe of the target's best weights. began: when
    the budget began, on the monotonic clock: all counts but the time in which images were decoded.
    noise: how many labels look wrong, where these are many. groups: images that belong together,
    where many do.
    """

    images: FoundImages
    machine: Machine
    wishes: Wishes
    model: str
    sources: tuple[WeightsHere, ...]
    teacher: Teacher | None
    ranking: Ranking
    unusable: Mapping[str, str]
    length: Length
    squares: Squares
    sides: tuple[int, ...]
    probes: Mapping[int, float]
    step: Speed
    batch: int
    began: float
    noise: NoiseEstimate | None = None
    groups: FoundGroups | None = None

    @property
    def knows_photographs(self) -> bool:
        """Whether any of the target's weights have seen photographs."""
        return any(self._knows(one) for one in self.sources)

    def _knows(self, one: WeightsHere) -> bool:
        return knows_photographs(one.node, self.wishes.files)

    @property
    def begins(self) -> tuple[str, ...]:
        """The sources that the target may begin with, the default first.

        Weights that know photographs come first; where there are none, nothing does: see
        `ktg.graph.recipes`.
        """
        first = sorted(self.sources, key=lambda one: not self._knows(one))
        names = tuple(one.source for one in first)
        return names if self.knows_photographs else ("none", *names)

    @property
    def probe_side(self) -> int | None:
        """The side to search at which a probe has the best score, None where none was measured."""
        measured = [side for side in self.sides if side in self.probes]
        return max(measured, key=lambda side: self.probes[side], default=None)

    @property
    def decoded_side(self) -> int:
        """The side in pixels at which images are decoded: the largest that any network sees."""
        return max(*self.sides, self.teacher.weights.side or 0 if self.teacher else 0)

    @property
    def is_hurried(self) -> bool:
        """Whether there is no teacher because labels alone need the time."""
        given = self.images.unlabelled or self.noise is not None or self.teacher is not None
        return not given and is_hurried(self.length, usual_epochs(self.images.per_class))

    @property
    def longer(self) -> int | None:
        """The epochs that are tried beside the usual ones, None where more are of no use.

        Who is taught has many steps already, and wrong labels are learnt by heart in more.
        """
        if self.length.passes > 1 or self.noise is not None:
            return None
        most = most_epochs(usual_epochs(self.images.per_class))
        longer = min(LONGER_TIMES * self.length.epochs, most)
        return longer if longer > self.length.epochs else None

    @property
    def steps(self) -> int:
        """The steps of a training of the target."""
        in_pass = max(1, self.images.train // self.batch)
        return self.length.epochs * self.length.passes * in_pass


def plan_space(path: Path, wishes: Wishes, hearing: Hearing) -> Plan:
    """Return what to search for a folder of images.

    The images are decoded into the cache, a few steps are trained, and features of a sample are
    computed. Raises UserError for a folder that cannot be trained on, an unknown target, and a
    budget in which nothing could be trained.
    """
    wishes = settle_wishes(wishes)
    began, decoded_s = time.monotonic(), hearing.decoding_s
    ground = _look(path, wishes, hearing)
    target = choose_target(ground, hearing)
    noise = find_wrong_labels(target.ranking, wishes.files, target.dataset, hearing.status)
    teacher, length = _choose_lessons(ground, target, noise is not None, hearing)
    return Plan(
        images=ground.images,
        machine=ground.machine,
        wishes=wishes,
        model=target.model,
        sources=target.sources,
        teacher=teacher,
        ranking=target.ranking,
        unusable={**ground.unusable, **target.ranking.left_out},
        length=length,
        squares=target.squares,
        sides=target.sides,
        probes=target.probes,
        step=target.step,
        batch=ground.batch,
        began=began + hearing.decoding_s - decoded_s,
        noise=noise,
        groups=target.groups,
    )


def _look(path: Path, wishes: Wishes, hearing: Hearing) -> Ground:
    """Return what the folder and this machine hold."""
    hearing.status("Looking at the images")
    images, machine = look_at_images(path, wishes.labels), read_machine()
    hearing.status("Looking for weights on this machine")
    here, unusable = find_usable(wishes, machine)
    batch = min(BATCH if images.train >= FEW else BATCH_OF_FEW, images.train)
    return Ground(wishes, images, machine, here, unusable, batch)


def _choose_lessons(
    ground: Ground, target: Target, noisy: bool, hearing: Hearing
) -> tuple[Teacher | None, Length]:
    """Return the teacher, None without one, and how long the target is trained.

    noisy: whether many labels look wrong. A probe learns less of these by heart.
    """
    images, files = ground.images, ground.wishes.files
    available_s = training_seconds(ground.wishes.budget_s, ground.machine.slots)
    epochs, val = usual_epochs(images.per_class), sum(images.counts["val"])
    given = target.sides[0], target.step, images.train, val, epochs, available_s
    alone = choose_length(*given)
    if not (noisy or images.unlabelled) and is_hurried(alone, epochs):
        return None, alone
    means = Means(TEACHER_TRAININGS * available_s, not noisy, files, hearing)
    teacher = plan_teacher(target.ranking, target.sources, target.data, images, means)
    if teacher and teacher.weights.side is None and max(target.sides) < (target.data.size or 0):
        # Its probe, at the side of the ranking, is why it teaches; the target sees smaller images.
        teacher = replace(teacher, weights=replace(teacher.weights, side=target.data.size))
    beside = teacher is not None and images.unlabelled > 0
    patient = beside or (teacher is not None and not noisy)
    passes = count_passes(images.train, ground.batch, epochs, beside) if patient else 1
    length = choose_length(*given, passes, beside=beside)
    if teacher is not None and patient:
        shown = (1 + beside) * length.passes * length.epochs * images.train
        every = images.train + images.unlabelled
        teacher = replace(teacher, views=choose_views(teacher, every, shown, means.available_s))
    return teacher, length


def find_usable(wishes: Wishes, machine: Machine) -> tuple[list[WeightsHere], dict[str, str]]:
    """Return the weights to rank, those of the wished target first, and why others are not."""
    here, unusable = find_weights_here(wishes.files, CHECK_SIDE)
    most = limit_parameters(machine)
    wanted = wishes.target
    kept = [one for one in here if one.parameters <= most or one.model == wanted]
    for one in here:
        if one not in kept:
            unusable[one.name] = f"{one.parameters / 1e6:.0f} M parameters are too many here"
    known = {one for one in kept if knows_photographs(one.node, wishes.files)}
    has_own = any(one.model == wanted for one in known)
    if not has_own and (wanted or not any(one.parameters <= SMALL for one in known)):
        asked = _ask_for_published(wanted or FALLBACK)
        kept, known = [*asked, *kept], known.union(asked)
    for one in kept if known else ():
        if one not in known and one.model != wanted:
            unusable[one.name] = "has seen no photographs, as other weights here have"
    kept = [one for one in kept if one.name not in unusable]
    return sorted(kept, key=lambda one: one.model != wanted), unusable


def _ask_for_published(model: str) -> list[WeightsHere]:
    """Return the published weights of a model if its host answers, else nothing."""
    from ktg.models.architectures import build_on_meta
    from ktg.models.imagenet import check_available, find_published

    try:
        check_available(find_published(model), "source")
        body = build_on_meta(Node(model=model), classes=2, image_size=CHECK_SIDE).body
    except KtgError:
        return []
    told = "published with its library; downloaded at the first use"
    return [WeightsHere(model, IMAGENET, sum(each.numel() for each in body.parameters()), told)]
