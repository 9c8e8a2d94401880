"""Says whether many labels of a folder look wrong, and what to search then."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ktg.auditing.noise import NoiseEstimate, estimate_set_noise
from ktg.data import Dataset
from ktg.graph import SourceFile
from ktg.proposing.networks import choose_target
from ktg.proposing.ranking import Ranking

LEAST, SAMPLE = 100, 400  # images: of fewer an estimate is chance, of more it takes long
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

    The best of the small networks that were ranked looks at them.
    """
    if not ranking.scores or len(dataset.train) < LEAST:
        return None
    node = choose_target(ranking).node
    found = estimate_set_noise([node], dataset, files=files, most=SAMPLE, status=status)
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
