"""Lists the arrangements that are worth trying first, in order, with the figures behind each.

A proposed space begins with those that its folder allows; after them the sampler chooses. Unless
they say otherwise, figures are test accuracies in points, with 95 % intervals over seeds, of five
kinds of flowers with ten labels each, MobileNetV2-0.35 at 64 pixels, taught by MobileNetV2-1.0
where there is a teacher.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Need = Literal["teacher", "second", "unlabelled", "noise", "longer"]
TARGET, TEACHER, SECOND = "n0", "teacher", "second"
LABEL_GATE = f"edges.label.{TARGET}.gate"
LABEL_LOSS = f"edges.label.{TARGET}.loss"
TEACHER_GATE = f"edges.{TEACHER}.{TARGET}.gate"
TEACHER_T = f"edges.{TEACHER}.{TARGET}.temperature"
SECOND_GATE = f"edges.{SECOND}.{TARGET}.gate"
EPOCHS = "train.epochs"
LONGEST = "longest"  # stands for the most epochs that the space has
# benchmarks/teachers_study.py --per-class 0; against alone of the length that its val split says
LONG_LEAD = (
    "+1.3 points (-0.7 to +3.2, ten pairs of five sets) after 2,000 steps, and +0.5 (-0.6 to +1.6) "
    "over alone of 3,000 steps, which take as long: not proven"
)


@dataclass(frozen=True)
class Arrangement:
    """Values of holes that go well together, and why; holes that are not named have their default.

    needs: what the folder and the machine must have for it to make sense.
    """

    name: str
    settings: Mapping[str, Any]
    why: str
    needs: frozenset[Need] = frozenset()


OPENING = (
    Arrangement(
        "the probes of two teachers in place of wrong labels",
        {
            LABEL_GATE: "cutoff",
            TEACHER_GATE: "through",
            TEACHER_T: 1.0,
            SECOND_GATE: "through",
        },
        "of CIFAR-10 with 39 % of wrong labels a MobileNetV2-0.35 gets 77.3 % right by the mean "
        "probabilities of the probes of MobileNetV2-1.0 and EfficientNet-lite0, +4.3 points (+2.4 "
        "to +6.3) over the recipe on the labels and +8.6 (+7.6 to +9.6) over its probe of them, "
        "five seeds",
        frozenset({"teacher", "second", "noise"}),
    ),
    Arrangement(
        "the teacher's probe in place of wrong labels",
        {LABEL_GATE: "cutoff", TEACHER_GATE: "through", TEACHER_T: 1.0},
        "of CIFAR-10 with 39 % of wrong labels a MobileNetV2-0.35 gets 74.1 % right by the "
        "probabilities of MobileNetV2-1.0's probe, +1.7 (-2.3 to +5.7) over the recipe on the "
        "labels with three seeds, and 68.7 % as a probe of them",
        frozenset({"teacher", "noise"}),
    ),
    Arrangement(
        "a loss that wrong labels mislead less",
        {LABEL_GATE: "through", LABEL_LOSS: "gce", TEACHER_GATE: "cutoff"},
        "gce hardly learns what the network finds most improbable; of such labels it makes 73.8 % "
        "where the recipe has 73.0, two seeds: nothing proven",
        frozenset({"noise"}),
    ),
    Arrangement(
        "the teacher alone teaches",
        {LABEL_GATE: "cutoff", TEACHER_GATE: "through", TEACHER_T: 2.0},
        "on the folder's own images without labels +7.5 (+4.2 to +10.8) over alone, trained as "
        "long, and +7.7 (+6.4 to +9.0) over the same on the labelled images only",
        frozenset({"teacher", "unlabelled"}),
    ),
    Arrangement(
        "alone, for longer",
        {LABEL_GATE: "through", TEACHER_GATE: "cutoff", EPOCHS: LONGEST},
        "where all images had labels, 3,000 steps in place of up to 1,000 were +1.9 (+0.6 to +3.2, "
        "ten pairs of five sets), more than a teacher was worth; three times the epochs of a graph "
        "that a search had found were +3.7 on cats and dogs and -10.2 on magnetic tiles, so that "
        "it is tried and not taken for granted",
        frozenset({"longer"}),
    ),
    Arrangement(
        "labels and teacher",
        {LABEL_GATE: "through", TEACHER_GATE: "through", TEACHER_T: 2.0},
        f"where all images had labels {LONG_LEAD}; with ten labels a class and no other images "
        "+0.9 (-2.1 to +3.8) over alone, trained as long: nothing proven",
        frozenset({"teacher"}),
    ),
    Arrangement(
        "alone",
        {LABEL_GATE: "through", TEACHER_GATE: "cutoff"},
        "where all images had labels, a teacher was worth +0.5 points (-0.6 to +1.6, ten pairs of "
        "five sets) at equal time: the target's own weights and rate matter most",
    ),
)


def choose_opening(
    has: Iterable[Need], holes: Iterable[str], longest: int | None = None
) -> list[Arrangement]:
    """Return the arrangements that fit a folder, in order, with their settings of these holes.

    Those that would then be equal are listed once. longest: the most epochs of a hole for them,
    None where there is no such hole.
    """
    there, known = {*has}, {*holes}
    if longest is not None:
        there.add("longer")
        known.add(EPOCHS)
    chosen: dict[tuple[tuple[str, Any], ...], Arrangement] = {}
    for one in OPENING:
        kept = {path: value for path, value in one.settings.items() if path in known}
        kept |= {EPOCHS: longest} if EPOCHS in kept else {}
        if one.needs <= there and kept:
            key = tuple(sorted(kept.items()))
            chosen.setdefault(key, Arrangement(one.name, kept, one.why, one.needs))
    return list(chosen.values())
