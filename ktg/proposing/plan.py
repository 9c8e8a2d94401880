"""Chooses a search space for a folder of images, each choice with its reason.

The order is that of the dependencies: what the folder holds, what this machine is and has; the side
of the images from what a step costs here; target, sources and teacher from a ranking of the weights
on a sample at that side; then the epochs that fit the budget.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ktg.auditing.noise import NoiseEstimate
from ktg.data import Dataset
from ktg.errors import KtgError, UserError
from ktg.graph import IMAGENET, Data, Node, SourceFile, sources_for
from ktg.models.names import check_model, shorten_model
from ktg.models.resolve import resolve_source
from ktg.models.sources import Source
from ktg.proposing.found_groups import FoundGroups, find_groups
from ktg.proposing.found_images import FoundImages, look_at_images
from ktg.proposing.hearing import Hearing
from ktg.proposing.machine import Machine, read_machine
from ktg.proposing.networks import SMALL, choose_sources, choose_target
from ktg.proposing.ranking import Ranking, rank_weights
from ktg.proposing.resolution import (
    LONGER_TIMES,
    Length,
    choose_length,
    choose_sides,
    count_passes,
    is_hurried,
    list_sides,
    order_sides,
    training_seconds,
    usual_epochs,
)
from ktg.proposing.speed import Speed, measure_speed
from ktg.proposing.squares import Squares, choose_squares
from ktg.proposing.teacher import Means, Teacher, choose_views, plan_teacher
from ktg.proposing.weights_here import WeightsHere, find_weights_here, limit_parameters
from ktg.proposing.wrong_labels import find_wrong_labels

FALLBACK = "mobilenetv2_100"  # small, and published
FROM_NOTHING = "resnet20"
GAUGE_SIDE, CHECK_SIDE = 96, 64
RANKING_SHARE, RANKING_S = 0.15, 120.0
TEACHER_TRAININGS = 2  # of the target: so long it may take to make the teacher, answers included
SHORTEST_S = 20.0


@dataclass(frozen=True)
class Wishes:
    """What the user says: a target, files by model, seconds, and the side of images in pixels.

    labels: a table of labels, as `data.labels` names it.
    """

    budget_s: float
    target: str | None = None
    files: Mapping[str, SourceFile] = field(default_factory=dict)
    size: int | None = None
    labels: str | None = None


@dataclass(frozen=True)
class Plan:
    """What was found and chosen.

    sources: the weights of the target, best first; none where it begins from nothing. unusable: why
    some weights are left out. sides: of the images that the target sees, the default first. probes:
    by side, the score of a linear probe of the target's best weights. began: when the budget began,
    on the monotonic clock: all counts but the time in which images were decoded. noise: how many
    labels look wrong, where these are many. groups: images that belong together, where many do.
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
        return LONGER_TIMES * self.length.epochs

    @property
    def steps(self) -> int:
        """The steps of a training of the target."""
        in_pass = max(1, self.images.train // self.batch)
        return self.length.epochs * self.length.passes * in_pass


@dataclass(frozen=True)
class _Ground:
    """What there is before anything is trained: see `Plan`; here: the weights, to be ranked."""

    wishes: Wishes
    images: FoundImages
    machine: Machine
    here: list[WeightsHere]
    unusable: Mapping[str, str]
    batch: int
    sides: tuple[int, ...]


@dataclass(frozen=True)
class _Target:
    """The network to train and how it sees images: see `Plan`.

    data: as it sees them at most; dataset: these, decoded.
    """

    model: str
    sources: tuple[WeightsHere, ...]
    ranking: Ranking
    squares: Squares
    sides: tuple[int, ...]
    probes: Mapping[int, float]
    step: Speed
    groups: FoundGroups | None
    data: Data
    dataset: Dataset


def plan_space(path: Path, wishes: Wishes, hearing: Hearing) -> Plan:
    """Return what to search for a folder of images.

    The images are decoded into the cache, a few steps are trained, and features of a sample are
    computed. Raises UserError for a folder that cannot be trained on, an unknown target, and a
    budget in which nothing could be trained.
    """
    _check_wishes(wishes)
    began, decoded_s = time.monotonic(), hearing.decoding_s
    ground = _look(path, wishes, hearing)
    target = _choose_target(ground, hearing)
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


def _check_wishes(wishes: Wishes) -> None:
    if wishes.budget_s < SHORTEST_S:
        problem = f"{wishes.budget_s:g} s is too short to train anything"
        raise UserError(f"--budget: {problem}; allowed: at least {SHORTEST_S:g}s")
    if wishes.target is not None:
        check_model(wishes.target, "--target")
    for model, file in wishes.files.items():
        check_model(model, "--weights")
        if not Path(file.path).is_file():
            raise UserError(f"--weights: there is no file {file.path} for {model}")


def _look(path: Path, wishes: Wishes, hearing: Hearing) -> _Ground:
    """Return what the folder and this machine hold, and the sides at which a network is fast."""
    hearing.status("Looking at the images")
    images, machine = look_at_images(path, wishes.labels), read_machine()
    hearing.status("Looking for weights on this machine")
    here, unusable = find_usable(wishes, machine)
    batch = min(32 if images.train >= 200 else 16, images.train)
    hearing.status("Measuring a few steps")
    sides = _choose_sides(_choose_gauge(wishes, here), wishes, images, machine, batch)
    return _Ground(wishes, images, machine, here, unusable, batch, sides)


def _choose_target(ground: _Ground, hearing: Hearing) -> _Target:
    """Return the network, by a ranking of the weights on a sample, and how it sees images best."""
    wishes, images = ground.wishes, ground.images
    data = replace(images.spec, size=max(ground.sides), batch_size=ground.batch)
    dataset = hearing.open_data(data)
    groups = find_groups(images, data, hearing)
    ranking = rank_usable(ground.here, wishes, dataset, hearing.status)
    model = _choose_model(wishes, ranking)
    sources = tuple(choose_sources(ranking, model))
    first = (sources[0], ranking.scores[sources[0]]) if sources else None
    squares, dataset = choose_squares(images, data, dataset, first, wishes.files, hearing)
    data = replace(data, resize=squares.resize)
    probes = _probe_sides(sources[:1], ground.sides, wishes, dataset, hearing.status)
    sides = order_sides(ground.sides, probes, ranking.error)
    own = sources[0].node if sources else Node(model=model)
    node = replace(own, input_size=sides[0]) if len(ground.sides) > 1 else own
    step = measure_speed(node, data, sources=wishes.files)
    return _Target(model, sources, ranking, squares, sides, probes, step, groups, data, dataset)


def _choose_lessons(
    ground: _Ground, target: _Target, noisy: bool, hearing: Hearing
) -> tuple[Teacher | None, Length]:
    """Return the teacher, None without one, and how long the target is trained.

    noisy: whether many labels look wrong. A probe learns less of these by heart.
    """
    images, files = ground.images, ground.wishes.files
    available_s = training_seconds(ground.wishes.budget_s, ground.machine.slots)
    epochs, val = usual_epochs(images.per_class), sum(images.counts["val"])
    speeds = {target.sides[0]: target.step}
    alone = choose_length(speeds, images.train, val, epochs, available_s)
    if not (noisy or images.unlabelled) and is_hurried(alone, epochs):
        return None, alone
    means = Means(TEACHER_TRAININGS * available_s, not noisy, files, hearing)
    teacher = plan_teacher(target.ranking, target.sources, target.data, images, means)
    beside = teacher is not None and images.unlabelled > 0
    patient = beside or (teacher is not None and not noisy)
    passes = count_passes(images.train, ground.batch, epochs, beside) if patient else 1
    length = choose_length(speeds, images.train, val, epochs, available_s, passes, beside=beside)
    if teacher is not None and patient:
        shown = (1 + beside) * length.passes * length.epochs * images.train
        every = images.train + images.unlabelled
        teacher = replace(teacher, views=choose_views(teacher, every, shown, means.available_s))
    return teacher, length


def find_usable(wishes: Wishes, machine: Machine) -> tuple[list[WeightsHere], dict[str, str]]:
    """Return the weights to rank, those of the wished target first, and why others are not."""
    here, unusable = find_weights_here(wishes.files, CHECK_SIDE)
    most = limit_parameters(machine)
    kept = [one for one in here if one.parameters <= most or one.model == wishes.target]
    for one in here:
        if one not in kept:
            unusable[one.name] = f"{one.parameters / 1e6:.0f} M parameters are too many here"
    wanted = wishes.target and shorten_model(wishes.target)
    has_own = any(one.model == wanted for one in kept)
    photographs = [one for one in kept if _resolve(one, wishes).knows_photographs]
    if not has_own and (wanted or not photographs):
        kept = [*_ask_for_published(wanted or FALLBACK), *kept]
    return sorted(kept, key=lambda one: one.model != wanted), unusable


def _resolve(one: WeightsHere, wishes: Wishes) -> Source:
    return resolve_source(one.node, sources_for(one.model, {}, wishes.files))


def rank_usable(
    here: list[WeightsHere],
    wishes: Wishes,
    dataset: Dataset,
    status: Callable[[str], None],
) -> Ranking:
    """Return the ranking of the weights, for which a part of the budget is spent at most."""
    seconds = min(RANKING_SHARE * wishes.budget_s, RANKING_S)
    return rank_weights(here, wishes.files, dataset, seconds=seconds, status=status)


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


def _choose_gauge(wishes: Wishes, here: list[WeightsHere]) -> Node:
    """Return the network whose speed decides on the side: the target, or a small one like it."""
    wanted = wishes.target and shorten_model(wishes.target)
    own = [one for one in here if one.model == wanted]
    small = own or [one for one in here if one.parameters <= SMALL]
    if small:
        return small[-1].node
    return here[0].node if here and not wanted else Node(model=wanted or FROM_NOTHING)


def _choose_sides(
    gauge: Node, wishes: Wishes, images: FoundImages, machine: Machine, batch: int
) -> tuple[int, ...]:
    """Return the sides of images in pixels: what the user says, else what the budget allows."""
    from ktg.models.architectures import find_usual_size, takes_any_size

    if wishes.size is not None:
        return (wishes.size,)
    sides = list_sides(images.side, find_usual_size(gauge.model))
    measured = min(sides, key=lambda side: abs(side - GAUGE_SIDE))
    data = Data(path="noise", size=measured, batch_size=batch)
    speed = measure_speed(gauge, data, sources=wishes.files)
    speeds = {side: speed.at_side(side, measured) for side in sides}
    available_s = training_seconds(wishes.budget_s, machine.slots)
    wanted = usual_epochs(images.per_class)
    val = sum(images.counts["val"])
    probed = gauge.source != "none"
    chosen = choose_sides(speeds, images.train, val, wanted, available_s, probed=probed)
    return chosen if takes_any_size(gauge) else chosen[:1]


def _probe_sides(
    best: Sequence[WeightsHere],
    sides: Sequence[int],
    wishes: Wishes,
    dataset: Dataset,
    status: Callable[[str], None],
) -> dict[int, float]:
    """Return by side the score of a probe of the target's best weights, where there is a choice."""
    if len(sides) < 2:
        return {}
    seen = [replace(one, side=side) for one in best for side in sides]
    scores = rank_usable(seen, wishes, dataset, status).scores
    return {one.side: score for one, score in scores.items() if one.side}


def _choose_model(wishes: Wishes, ranking: Ranking) -> str:
    if wishes.target is not None:
        return shorten_model(wishes.target)
    return choose_target(ranking).model if ranking.scores else FROM_NOTHING
