"""Opens a data set: finds it, splits it, decodes it. Training and the final test are opened by different functions."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ktg.data.cache import Entry, Wish, open_entry
from ktg.data.decode import Geometry
from ktg.data.images import Images, Mapped, OnTheFly, join
from ktg.data.index import Progress
from ktg.data.locate import find
from ktg.data.pictures import Rows
from ktg.data.set_names import check_name
from ktg.data.source import Part, Source, check_present
from ktg.data.split import TEST, VAL, few_shot, hold_out, per_class
from ktg.data.torchvision_sets import is_here
from ktg.data.unlabelled import find_unlabelled
from ktg.graph import Data


@dataclass(frozen=True)
class Dataset:
    """What a search may see: the train and val splits.

    `mean` and `std` are per channel over the training images, of values in [0, 1]; `std` is never
    0. `fingerprint` is equal for two data sets iff images (as found), form, classes, labels and
    split are. `skipped` names the files left out because they cannot be read. `unlabelled` are
    images whose labels are all -1.
    """

    classes: tuple[str, ...]
    train: Images
    val: Images
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    skipped: tuple[str, ...]
    unlabelled: Images | None = None


@dataclass(frozen=True)
class Summary:
    """How many images each class has in each split (train, val, test), and how many have no label; none is decoded."""

    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    unlabelled: int | None = None


@dataclass(frozen=True)
class _Opened:
    """A part of the source, decoded, without what could not be read."""

    part: Part
    entry: Entry
    rows: Rows

    @property
    def labels(self) -> Rows:
        return self.part.labels[self.rows]

    def images(self, chosen: Rows) -> Images:
        """Return some of the sound images, by their place among them."""
        rows = self.rows[chosen]
        geometry = self.entry.index.geometry
        if self.entry.pixels is not None:
            return Images(Mapped(self.entry.pixels, geometry), rows, self.part.labels[rows])
        return Images(OnTheFly(self.part.pictures, geometry), rows, self.part.labels[rows])

    def skipped(self) -> tuple[str, ...]:
        return tuple(self.part.pictures.name(row) for row in self.entry.index.faults)


def open_data(spec: Data, *, base: Path | None = None, progress: Progress | None = None) -> Dataset:
    """Return the train and val splits of the data set. Never touches a test image.

    A relative `spec.path` is relative to `base` (the working folder by default). `progress` is told
    (done, all) while images are decoded for the first time.
    Raises SpecError for an unknown name, DataError for anything else that keeps the data from being
    trained on.
    """
    source = find(spec, base)
    pool = _open_pool(source, spec, progress)
    check_present(source, pool.labels, "train", needed=1 + (source.val is None))
    train_rows, val, val_rows = _divide(source, pool, spec, progress)
    mean, std = pool.entry.index.moments(pool.rows[train_rows])
    parts = [(pool, train_rows), (val, val_rows)]
    if spec.unlabelled is not None:
        part = _unlabelled(source, spec, val.part.take(val.rows[val_rows]), base)
        more = _open(
            part, spec, f"data.unlabelled: {spec.unlabelled}", pool.entry.index.geometry, progress
        )
        parts.append((more, np.arange(len(more.rows))))
    found = [pool, *(opened for opened, _ in parts if opened is not pool)]
    return Dataset(
        classes=source.classes,
        train=pool.images(train_rows),
        val=val.images(val_rows),
        mean=mean,
        std=std,
        fingerprint=_fingerprint(source.classes, parts),
        skipped=tuple(name for opened in found for name in opened.skipped()),
        unlabelled=None if spec.unlabelled is None else found[-1].images(parts[-1][1]),
    )


def open_test(spec: Data, *, base: Path | None = None, progress: Progress | None = None) -> Images:
    """Return the test split, in the form of the training images: the only function that reads test images.

    Raises as `open_data` does.
    """
    source = find(spec, base)
    geometry = _open_pool(source, spec, progress).entry.index.geometry
    test = _open(_test_part(source, spec), spec, source.title, geometry, progress)
    check_present(source, test.labels, "test")
    return test.images(np.arange(len(test.rows)))


def val_names(spec: Data, places: Sequence[int], *, base: Path | None = None) -> list[str]:
    """Return what the images at these places of the val split are called: their files, or their numbers in an array.

    Raises as `open_data` does.
    """
    source = find(spec, base)
    _, val, rows = _divide(source, _open_pool(source, spec, None), spec, None)
    return [val.part.pictures.name(int(val.rows[rows[place]])) for place in places]


def merge(dataset: Dataset) -> Images:
    """Return train and val as one split, for the training after every choice is made."""
    return join(dataset.train, dataset.val)


def summary(spec: Data, base: Path | None = None, *, test: bool = True) -> Summary | None:
    """Return how many images each class has in each split, from names and labels alone.

    test: whether the test split is counted; a search does not even look for it, but for names of
    files that must not be among the unlabelled ones. None for a known data set that is not on this
    machine yet. Raises as `open_data` does for anything that shows without decoding.
    """
    if spec.name is not None:
        check_name(spec.name)
        if not is_here(spec.name):
            return None
    source = find(spec, base)
    pool = _pool(source, spec)
    if source.val is None:
        train_rows, val_rows = _split_val(source.original(pool.labels), spec)
        val = pool.take(val_rows)
    else:
        train_rows = _few(source.original(pool.labels), np.arange(len(pool.labels)), spec)
        val = source.val
    counted = {"train": pool.labels[train_rows], "val": val.labels}
    if test:
        counted["test"] = _test_part(source, spec).labels
        check_present(source, counted["test"], "test")
    counts = {split: per_class(labels, len(source.classes)) for split, labels in counted.items()}
    more = None if spec.unlabelled is None else len(_unlabelled(source, spec, val, base).labels)
    return Summary(source.classes, counts, more)


def _pool(source: Source, spec: Data) -> Part:
    """Return what train (and val, if it has no part of its own) is made of: never an image of the test split."""
    return (
        source.train
        if source.test is not None
        else source.train.take(np.flatnonzero(~_held(source, spec)))
    )


def _test_part(source: Source, spec: Data) -> Part:
    return (
        source.test()
        if source.test is not None
        else source.train.take(np.flatnonzero(_held(source, spec)))
    )


def _unlabelled(source: Source, spec: Data, val: Part, base: Path | None) -> Part:
    return find_unlabelled(spec.unlabelled or "", [val, _test_part(source, spec)], base)


def _held(source: Source, spec: Data) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return hold_out(source.original(source.train.labels), spec.test_fraction, spec.split_seed, TEST)


def _divide(
    source: Source, pool: _Opened, spec: Data, progress: Progress | None
) -> tuple[Rows, _Opened, Rows]:
    """Return the training images' places in the pool, and what holds the val images with their places there."""
    if source.val is None:
        train_rows, val_rows = _split_val(source.original(pool.labels), spec)
        return train_rows, pool, val_rows
    train_rows = _few(source.original(pool.labels), np.arange(len(pool.rows)), spec)
    val = _open(source.val, spec, source.title, pool.entry.index.geometry, progress)
    check_present(source, val.labels, "val")
    return train_rows, val, np.arange(len(val.rows))


def _split_val(labels: Rows, spec: Data) -> tuple[Rows, Rows]:
    held = hold_out(labels, spec.val_fraction, spec.split_seed, VAL)
    return _few(labels, np.flatnonzero(~held), spec), np.flatnonzero(held)


def _few(labels: Rows, rows: Rows, spec: Data) -> Rows:
    return (
        rows
        if spec.per_class is None
        else rows[few_shot(labels[rows], spec.per_class, spec.split_seed)]
    )


def _open_pool(source: Source, spec: Data, progress: Progress | None) -> _Opened:
    return _open(_pool(source, spec), spec, source.title, None, progress)


def _open(
    part: Part, spec: Data, title: str, geometry: Geometry | None, progress: Progress | None
) -> _Opened:
    wish = Wish(spec.size, geometry, spec.cache, spec.corrupt)
    entry = open_entry(part.pictures, wish, title, progress)
    return _Opened(part, entry, entry.index.sound)


def _fingerprint(classes: tuple[str, ...], parts: Sequence[tuple[_Opened, Rows]]) -> str:
    digest = hashlib.sha256("\0".join((*classes, str(parts[0][0].entry.index.geometry))).encode())
    for opened, chosen in parts:
        rows = opened.rows[chosen]
        digest.update(len(rows).to_bytes(8, "little"))
        digest.update(opened.entry.index.digests[rows].tobytes())
        digest.update(opened.part.labels[rows].astype("<i8").tobytes())
    return digest.hexdigest()
