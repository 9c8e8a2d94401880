"""Looks for dirt among all images of a data set, in one pass over them. Nothing is changed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ktg.auditing.alike import find_alike
from ktg.auditing.doubtful_labels import LabelDoubts, doubt_labels
from ktg.auditing.features import compute_features, compute_plain_features
from ktg.auditing.pool import ImagePool
from ktg.auditing.strangers import find_strangers, measure_strangeness
from ktg.auditing.twins import Twins, find_twins, number_groups
from ktg.data.undecoded import Rows
from ktg.models.network import Network

Status = Callable[[str], None]
Count = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Audit:
    """What was found in a pool of N images.

    `seen_by` says what the images were compared by, `certain` whether that was a network with
    weights. `strangeness` (N,) and `strangers`, rows, the strangest first; `doubts` of all labels,
    and `doubtful`, the rows of those taken for wrong, the surest first. `alike`: of each image (N,)
    the number of the thing that it shows, None where all seem to show things of their own.
    """

    pool: ImagePool
    seen_by: str
    certain: bool
    twins: list[Twins]
    strangeness: np.ndarray[Any, np.dtype[np.float64]]
    strangers: Rows
    doubts: LabelDoubts
    doubtful: Rows
    alike: Rows | None = None

    @property
    def alike_images(self) -> Rows:
        """The rows of the images that are not the only one of what they show."""
        if self.alike is None:
            return np.arange(0)
        return np.flatnonzero(np.bincount(self.alike)[self.alike] > 1)

    @property
    def leaks(self) -> list[Twins]:
        """The groups of twins that lie in several splits."""
        return [group for group in self.twins if len(self.splits_of(group)) > 1]

    @property
    def contradictions(self) -> list[Twins]:
        """The groups of twins that have several labels."""
        return [group for group in self.twins if len({*self.pool.labels[list(group.rows)]}) > 1]

    def splits_of(self, group: Twins) -> set[str]:
        """Return the splits in which twins lie."""
        return {self.pool.splits[row] for row in group.rows}

    @property
    def counts(self) -> dict[str, int]:
        """How much of each kind was found."""
        return {
            "exact twins": sum(group.exact for group in self.twins),
            "near twins": sum(not group.exact for group in self.twins),
            "leaks": len(self.leaks),
            "twins with different labels": len(self.contradictions),
            "strangers": len(self.strangers),
            "doubtful labels": len(self.doubtful),
            "images of one thing": len(self.alike_images),
        }

    @property
    def sentences(self) -> list[str]:
        """What was found in sentences, the most harmful first."""
        return list(self._say())

    def _say(self) -> Iterator[str]:
        counts, images = self.counts, len(self.pool)
        if counts["leaks"]:
            lie = _count(counts["leaks"], "image lies", "images lie")
            yield f"{lie} in several splits: accuracy on what was trained on says nothing"
        if counts["twins with different labels"]:
            have = _count(counts["twins with different labels"], "image has", "images have")
            yield f"{have} copies with another label: one of the labels is wrong"
        exact, near = counts["exact twins"], counts["near twins"]
        if exact or near:
            yield f"{exact} images are there several times, and {near} nearly so"
        if self.alike is not None:
            things = len(np.unique(self.alike[self.alike_images]))
            show = f"{len(self.alike_images)} images seem to show {things} things, each several"
            table = "a table, `data.groups`, keeps them on one side of a split"
            yield f"{show} times: {table}; `ktg init` writes it where the split is drawn"
        if counts["doubtful labels"]:
            share = f"{100 * counts['doubtful labels'] / images:.1f} %"
            yield f"{counts['doubtful labels']} labels of {images} ({share}) are doubtful"
        if counts["strangers"]:
            belong = _count(counts["strangers"], "image seems", "images seem")
            yield f"{belong} to belong to no class"
        if not self.certain:
            seen = f"labels and strangers are judged by {self.seen_by}, which is much less sure"
            yield f"no weights from photographs were used, so {seen}; give some with --model"

    def to_json(self) -> dict[str, Any]:
        """Return the findings as plain data."""
        noise = round(self.doubts.noise, 4)
        return {
            "images": self.pool.counts,
            "classes": list(self.pool.classes),
            "seen_by": self.seen_by,
            "certain": self.certain,
            "counts": self.counts,
            "noise": noise,
            "twins": [self._describe_twins(group) for group in self.twins],
            "strangers": [
                self.describe(row) | {"strangeness": round(float(self.strangeness[row]), 4)}
                for row in self.strangers.tolist()
            ],
            "doubtful": [self.describe_label(row) for row in self.doubtful.tolist()],
        }

    def describe(self, row: int) -> dict[str, Any]:
        """Return the name, the split and the label of an image."""
        label = self.pool.classes[self.pool.labels[row]]
        return {"file": self.pool.names[row], "split": self.pool.splits[row], "label": label}

    def describe_label(self, row: int) -> dict[str, Any]:
        """Return what is said of an image's label; `probability` is that of the label it has."""
        label = self.pool.labels[row]
        return self.describe(row) | {
            "proposed": self.pool.classes[self.doubts.proposed[row]],
            "probability": round(float(self.doubts.probabilities[row, label]), 4),
            "doubt": round(float(np.clip(self.doubts.doubt[row], -99, 99)), 4),
        }

    def _describe_twins(self, group: Twins) -> dict[str, Any]:
        return {
            "exact": group.exact,
            "likeness": round(group.likeness, 4),
            "leak": group in self.leaks,
            "images": [self.describe(row) for row in group.rows],
        }


def audit_pool(
    pool: ImagePool,
    network: Network | None,
    seen_by: str,
    *,
    certain: bool = True,
    device: torch.device | None = None,
    seed: int = 0,
    status: Status = lambda _: None,
    count: Count = lambda *_: None,
) -> Audit:
    """Return what is found among images by a network with weights, or by plain features without.

    seen_by: what these are, in words. status: told what is being done. count: called with what is
    being counted, how many are done, and how many there are.
    """

    def advance(done: int, total: int) -> None:
        count("looking at images", done, total)

    if network is None:
        features = compute_plain_features(pool.images, advance)
    else:
        features = compute_features(network, pool.images, device or torch.device("cpu"), advance)
    status("comparing images")
    twins = find_twins(pool.images, features)
    groups = number_groups(twins, len(pool))
    strangeness = measure_strangeness(features)
    status("doubting labels")
    held = np.array([split == "test" for split in pool.splits])
    doubts = doubt_labels(features, pool.labels, groups, held, seed)
    strange, wrong = np.flatnonzero(find_strangers(strangeness)), np.flatnonzero(doubts.wrong)
    return Audit(
        pool=pool,
        seen_by=seen_by,
        certain=certain and network is not None,
        twins=twins,
        strangeness=strangeness,
        strangers=strange[np.argsort(-strangeness[strange], kind="stable")],
        doubts=doubts,
        doubtful=wrong[np.argsort(-doubts.doubt[wrong], kind="stable")],
        alike=find_alike(pool.images),
    )


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
