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
from ktg.data.open import open_data
from ktg.errors import KtgError, UserError
from ktg.graph import IMAGENET, Data, Node, SourceFile, sources_for
from ktg.models.names import check_model, shorten_model
from ktg.models.resolve import resolve_source
from ktg.models.sources import Source
from ktg.proposing.found_images import FoundImages, look_at_images
from ktg.proposing.hearing import Hearing
from ktg.proposing.machine import Machine, read_machine
from ktg.proposing.networks import SMALL, choose_sources, choose_target
from ktg.proposing.ranking import Ranking, rank_weights
from ktg.proposing.resolution import (
    Length,
    choose_length,
    choose_sides,
    count_passes,
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
    labels look wrong, where these are many.
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

    @property
    def decoded_side(self) -> int:
        """The side in pixels at which images are decoded: the largest that any network sees."""
        return max(*self.sides, self.teacher.weights.side or 0 if self.teacher else 0)

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
    if wishes.budget_s < SHORTEST_S:
        problem = f"{wishes.budget_s:g} s is too short to train anything"
        raise UserError(f"--budget: {problem}; allowed: at least {SHORTEST_S:g}s")
    if wishes.target is not None:
        check_model(wishes.target, "--target")
    _check_files(wishes)
    began = time.monotonic()
    hearing.status("Looking at the images")
    images, machine = look_at_images(path, wishes.labels), read_machine()
    hearing.status("Looking for weights on this machine")
    here, unusable = find_usable(wishes, machine)
    batch = min(32 if images.train >= 200 else 16, images.train)
    hearing.status("Measuring a few steps")
    gauge = _choose_gauge(wishes, here)
    sides = _choose_sides(gauge, wishes, images, machine, batch)
    data = replace(images.spec, size=max(sides), batch_size=batch)
    decoding = time.monotonic()
    dataset = open_data(data, progress=hearing.decoding)
    began += time.monotonic() - decoding
    ranking = rank_usable(here, wishes, dataset, hearing.status)
    chosen = _choose_model(wishes, ranking)
    sources = tuple(choose_sources(ranking, chosen))
    first = (sources[0], ranking.scores[sources[0]]) if sources else None
    squares, dataset = choose_squares(
        *(images, data, dataset, first, wishes.files),
        status=hearing.status,
        decoding=hearing.decoding,
    )
    began += squares.decoding_s
    data = replace(data, resize=squares.resize)
    probes = _probe_sides(sources[:1], sides, wishes, dataset, hearing.status)
    sides = order_sides(sides, probes)
    own = sources[0].node if sources else Node(model=chosen)
    node = replace(own, input_size=sides[0]) if len(sides) > 1 else own
    step = measure_speed(node, data, sources=wishes.files)
    noise = find_wrong_labels(ranking, wishes.files, dataset, hearing.status)
    available_s = training_seconds(wishes.budget_s, machine.slots)
    means = Means(
        available_s=TEACHER_TRAININGS * available_s,
        trains=noise is None,  # a probe learns less of the wrong labels by heart
        files=wishes.files,
        hearing=hearing,
    )
    teacher, decoding_s = plan_teacher(ranking, sources, data, images, means)
    began += decoding_s
    val, epochs = sum(images.counts["val"]), usual_epochs(images.per_class)
    beside = teacher is not None and images.unlabelled > 0
    patient = beside or (teacher is not None and noise is None)
    passes = count_passes(images.train, batch, epochs, beside) if patient else 1
    length = choose_length(
        {sides[0]: step}, images.train, val, epochs, available_s, passes, beside=beside
    )
    if teacher is not None and patient:
        shown = (1 + beside) * length.passes * length.epochs * images.train
        every = images.train + images.unlabelled
        teacher = replace(teacher, views=choose_views(teacher, every, shown, means.available_s))
    return Plan(
        images=images,
        machine=machine,
        wishes=wishes,
        model=chosen,
        sources=sources,
        teacher=teacher,
        ranking=ranking,
        unusable={**unusable, **ranking.left_out},
        length=length,
        squares=squares,
        sides=sides,
        probes=probes,
        step=step,
        batch=batch,
        began=began,
        noise=noise,
    )


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


def _check_files(wishes: Wishes) -> None:
    for model, file in wishes.files.items():
        check_model(model, "--weights")
        if not Path(file.path).is_file():
            raise UserError(f"--weights: there is no file {file.path} for {model}")


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
    chosen = choose_sides(speeds, images.train, val, wanted, available_s)
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
