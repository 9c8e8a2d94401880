"""Chooses how oblong images become squares, by what a linear probe makes of either way.

The centre of a photograph usually holds its subject, undistorted. A defect at the border of a part
is cut off with it: of magnetic tiles, three by four, a probe has 43 % balanced accuracy on centres
and 58 % on whole tiles squeezed into 160 pixels, and fine-tuning 45 and 61 %.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ktg.data import Dataset
from ktg.graph import Data, SourceFile
from ktg.proposing.found_images import FoundImages
from ktg.proposing.hearing import Hearing
from ktg.proposing.ranking import rank_weights
from ktg.proposing.weights_here import WeightsHere

OBLONG = 1.1  # the longer side over the shorter one, from which there is anything to choose
MOST_IMAGES = 20_000  # decoding more of them twice takes minutes


@dataclass(frozen=True)
class Squares:
    """How images become squares; scores: of the probe, by way, where it was measured."""

    resize: Literal["crop", "stretch"] = "crop"
    scores: Mapping[str, float] = field(default_factory=dict)


def choose_squares(
    images: FoundImages,
    data: Data,
    dataset: Dataset,
    best: tuple[WeightsHere, float] | None,
    files: Mapping[str, SourceFile],
    hearing: Hearing,
) -> tuple[Squares, Dataset]:
    """Return how the images of a folder become squares best, and them so.

    dataset: what `data` opens, cut to the centre. best: the weights to judge by, and the score of
    their probe on that. Where nothing can be measured, the centre is kept.
    """
    if best is None or images.oblong < OBLONG or images.train > MOST_IMAGES:
        return Squares(), dataset
    weights, cropped = best
    whole = hearing.open_data(replace(data, resize="stretch"))
    found = rank_weights([weights], files, whole, seconds=0.0, status=hearing.status).scores
    if weights not in found:
        return Squares(), dataset
    scores = {"crop": cropped, "stretch": found[weights]}
    if scores["stretch"] > cropped:
        return Squares("stretch", scores), whole
    return Squares("crop", scores), dataset
