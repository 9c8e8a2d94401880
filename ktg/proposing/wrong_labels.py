"""Says whether many labels of a folder look wrong, and what to search then."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ktg.auditing.noise import NoiseEstimate, estimate_set_noise
from ktg.data import Dataset
from ktg.data.split import count_per_class
from ktg.errors import WeightsError
from ktg.graph import SourceFile
from ktg.proposing.networks import choose_targets
from ktg.proposing.opening import SECOND
from ktg.proposing.ranking import Ranking
from ktg.proposing.weights_here import WeightsHere

# Images of a class, and of all at least and at most: with ten a class the clean sets below seem to
# have 3 to 61 % of wrong labels, with thirty 5 to 28 %; of more than a thousand it takes long.
OF_A_CLASS, SAMPLE = 40, (400, 1000)
# Estimates on samples of 200 to 400 images, which are high rather than low as hard classes look
# like wrong labels. Five clean sets seen by MobileNetV2-1.0 (three samples each): at most .123; the
# CIFAR-10 of cifar10n with clean labels seen by MobileNetV2-0.35 .15. With 8, 17 and 39 % of wrong
# labels: .126 to .173, .181 to .21 and .415 to .504 (-1.0); .151 to .237, .215 to .281 and .424 to
# .495 (-0.35).
NOISY = 0.16
LOSSES = ("ce", "gce", "sce", "bootstrap")


def find_wrong_labels(
    ranking: Ranking,
    files: Mapping[str, SourceFile],
    dataset: Dataset,
    status: Callable[[str], None],
) -> NoiseEstimate | None:
    """Return the estimated share of wrong labels where it is large, None where nothing is odd.

    The best of the small networks that were ranked looks at them. Nothing is said with few images
    of a class, with so many classes that it would take long, and where it cannot be loaded now.
    """
    needed, (least, most) = OF_A_CLASS * len(dataset.classes), SAMPLE
    fewest = min(count_per_class(dataset.train.labels, len(dataset.classes)))
    if not ranking.scores or fewest < OF_A_CLASS or needed > most:
        return None
    node, sample = choose_targets(ranking)[0].node, max(least, needed)
    found = None
    with suppress(WeightsError):
        found = estimate_set_noise([node], dataset, files=files, most=sample, status=status)
    return found if found is not None and found.noise >= NOISY else None


def propose_label_edge(
    noise: float, gates: Sequence[str], judge: str | None
) -> tuple[dict[str, Any], str]:
    """Return the edge from labels that may be wrong, and why; judge: a node that knows better."""
    robust = ["small_loss", *(["agree"] if judge else [])]
    edge: dict[str, Any] = {
        "loss": {"choice": [*LOSSES]},
        "gate": {"choice": [*gates, *robust]},
        "noise": noise,
        "over": "kept",
    }
    eyes = "the target's own eyes"
    if judge:
        edge["peer"] = judge
        eyes = f"the eyes of {judge}"
    why = (
        f"many labels look wrong: small_loss leaves out the {100 * noise:.0f} % with the largest "
        f"loss in {eyes}{', agree those on which the two differ' if judge else ''}; gce, sce and "
        "bootstrap are losses that wrong labels mislead less"
    )
    return edge, why


def choose_second(
    ranking: Ranking, sources: Sequence[WeightsHere], teacher: WeightsHere
) -> WeightsHere | None:
    """Return weights of a third model whose probe teaches beside the teacher's, None for none.

    They are the best that are no worse than the target's: two networks seldom make one mistake, so
    that the mean of their probabilities is right more often than either.
    """
    models = {teacher.model, *(one.model for one in sources)}
    least = ranking.scores[sources[0]] if sources else 0.0
    return next(
        (
            one
            for one, score in ranking.scores.items()
            if one.model not in models and score >= least
        ),
        None,
    )


def propose_second(
    second: WeightsHere, score: float, *, beside: bool = False
) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """Return the node of a second teacher, its edge to the target, and the reasons by place.

    beside: whether there are images without labels, of which it answers the views that are shown.
    """
    node = {"model": second.model, "source": second.source, "epochs": 0}
    node |= {"input_size": second.side} if second.side else {}
    node |= {} if beside else {"augment": "none"}
    edge = {"gate": {"choice": ["cutoff", "through"]}, "temperature": 1.0}
    why = (
        f"the probe of another network ({second.told}) has {100 * score:.1f} %: where both teach, "
        "the mean of their probabilities stands for the labels"
    )
    return node, edge, {f"nodes.{SECOND}": why}


def explain_noise(found: NoiseEstimate) -> str:
    """Return what is to be known of a folder with many wrong labels."""
    return (
        f"About {100 * found.noise:.0f} % of the labels look wrong to {found.seen_by}, on "
        f"{found.images} images; hard classes look alike, so see for yourself: `ktg data audit "
        "... -o sheet.html`. The search chooses by validation labels that are as wrong. They rank "
        "graphs less surely, not wrongly: errors that no graph has made take as much from all, "
        "and the race's new seeds decide at the end. Every accuracy is against the labels as "
        "they are."
    )
