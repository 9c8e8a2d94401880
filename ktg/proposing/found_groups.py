"""Finds images that belong together, and writes them as the table that `data.groups` reads."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ktg.auditing.alike import MOST, find_alike
from ktg.auditing.pool import gather
from ktg.data.group_table import COLUMNS
from ktg.data.split import count_per_class, list_groups
from ktg.data.undecoded import Rows
from ktg.graph import Data
from ktg.local import atomic_write
from ktg.proposing.found_images import FoundImages
from ktg.proposing.hearing import Hearing


@dataclass(frozen=True)
class FoundGroups:
    """Files with the number of their group, from 1; `looked_at`: how many files there are."""

    files: tuple[tuple[str, int], ...]
    looked_at: int

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len({group for _, group in self.files})

    @property
    def sentence(self) -> str:
        """Return what was found, and what it means."""
        return (
            f"{len(self.files):,} of {self.looked_at:,} images are so alike that they seem to show "
            f"{self.groups:,} things, each several times. A network that was trained on one of "
            "them knows the others, so the table of data.groups keeps them on one side of every "
            "split; edit it, or leave it out if these are different things."
        )

    def write(self, file: Path) -> None:
        """Write the table."""
        with (
            atomic_write(file) as temporary,
            # Names of files need not be UTF-8; they are written as the bytes that they are.
            temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as opened,
        ):
            writer = csv.writer(opened)
            writer.writerow(COLUMNS)
            writer.writerows(self.files)


def find_groups(images: FoundImages, data: Data, hearing: Hearing) -> FoundGroups | None:
    """Return the groups among the images that splits are drawn from; None where there are none.

    None as well where these are more than MOST. Pixels of test images are compared only where the
    test split is yet to be drawn. A class that is too few groups keeps its images apart.
    """
    drawn = {"val", "test"}.difference(images.official)
    count = sum(sum(images.counts[split]) for split in ("train", *drawn))
    if not drawn or count > MOST or not images.path.is_dir():
        return None
    with hearing.while_decoding():
        every = gather(data, test="test" in drawn, progress=hearing.decoding)
    rows = np.flatnonzero(np.isin(every.splits, ["train", *drawn]))
    alike = find_alike(every.images.take(rows))
    if alike is None:
        return None
    kept = _list_kept(alike, every.labels[rows], len(images.classes), needed=1 + len(drawn))
    numbers = {group: number for number, group in enumerate(kept, 1)}
    files = sorted(
        (every.names[row], numbers[group])
        for row, group in zip(rows.tolist(), alike.tolist(), strict=True)
        if group in numbers
    )
    return FoundGroups(tuple(files), len(rows)) if files else None


def _list_kept(alike: Rows, labels: Rows, classes: int, needed: int) -> list[int]:
    """Return the groups of two images and more that leave each class enough groups to be split.

    A group counts for its main class. None is kept that holds an image of a class with fewer than
    `needed`; its images are then groups by themselves, so that no class has fewer than before.
    """
    owner, main = list_groups(labels, alike)
    few = np.array(count_per_class(main, classes)) < needed
    groups, sizes = np.unique(alike, return_counts=True)
    holds_few = np.bincount(owner, weights=few[labels]) > 0
    kept: list[int] = groups[(sizes > 1) & ~holds_few].tolist()
    return kept
