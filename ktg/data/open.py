"""Opens the data set of a graph: finds, splits and decodes its images, or draws them by a formula.

This is the only door to images. Training and the final test have a function each, so that code
which searches cannot reach a test image by accident. Generators of formulas compile what they draw
with (numba), so they are imported only for a data set that is drawn.
"""

import functools
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ktg.data.cache import CachedImages, DecodeOptions, open_cached
from ktg.data.dataset import Dataset, Summary
from ktg.data.decode import Geometry
from ktg.data.found_data import FoundData, LabelledImages, check_present
from ktg.data.image_index import DecodeProgress
from ktg.data.images import Images, MappedPixels, OnTheFlyPixels, PixelStore, join
from ktg.data.locate import find_data
from ktg.data.remarks import remark_on_folder, remark_on_images, remark_on_splits
from ktg.data.set_names import check_name
from ktg.data.split import (
    TEST,
    VAL,
    corrupt_labels,
    count_per_class,
    deal_folds,
    hold_out,
    pick_few_shot,
)
from ktg.data.torchvision_sets import is_downloaded
from ktg.data.undecoded import Rows, name_faults
from ktg.data.unlabelled import NO_LABEL, check_any, find_unlabelled
from ktg.errors import DataError, make_printable
from ktg.graph import FORMULAS, Data, Scalar
from ktg.graph.vocabulary import AUTO

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Decoded:
    """Labelled images after decoding; `rows` are those that could be read."""

    found: LabelledImages
    cached: CachedImages
    rows: Rows

    @property
    def labels(self) -> Rows:
        return self.found.labels[self.rows]

    @property
    def readable(self) -> LabelledImages:
        """The readable ones, undecoded."""
        return self.found.take(self.rows)

    def images(self, chosen: Rows) -> Images:
        """Return some of the readable images, by their place among them."""
        rows, geometry = self.rows[chosen], self.cached.index.geometry
        store: PixelStore = OnTheFlyPixels(self.found.images, geometry)
        if self.cached.pixels is not None:
            store = MappedPixels(self.cached.pixels, geometry)
        digests, weights = self.cached.index.digests[rows], self.found.weights
        weights = None if weights is None else weights[rows]
        return Images(store, rows, self.found.labels[rows], digests, weights)

    def reasons_to_skip(self) -> dict[str, str]:
        return {self.found.images.name(row): why for row, why in self.cached.index.faults.items()}


def open_data(
    spec: Data, *, base: Path | None = None, progress: DecodeProgress | None = None
) -> Dataset:
    """Return the train and val splits of the data set. Never touches a test image.

    A relative `spec.path` is relative to `base` (the working folder by default). `progress` gets
    (done, all) while images are decoded for the first time.
    Raises SpecError for an unknown name and for settings that a formula lacks, DataError for
    anything else that keeps the data from being trained on.
    """
    if spec.name in FORMULAS:
        from ktg.data.formula.formula_dataset import open_drawn

        return open_drawn(spec)
    data = find_data(spec, base)
    _warn_of_oddities(data.title, spec, base)
    pool = _open_pool(data, spec, progress)
    # Checked again after decoding: skipping broken files may leave a class without images.
    check_present(data, pool.readable.used_labels, "train", needed=1 + (data.val is None))
    train_rows, val, val_rows = _divide(data, pool, spec, progress)
    # Of training images alone: statistics that include val would leak it into training.
    mean, std = pool.cached.index.moments(pool.rows[train_rows])
    parts = [(pool, train_rows), (val, val_rows)]
    more = _open_unlabelled(data, spec, pool, parts, base, progress)
    decoded = [pool, *(part for part, _ in (*parts, *more) if part.cached is not pool.cached)]
    skipped = {name: why for part in decoded for name, why in part.reasons_to_skip().items()}
    _warn_of_skipped(data.title, skipped)
    return Dataset(
        classes=data.classes,
        train=pool.images(train_rows),
        val=val.images(val_rows),
        mean=mean,
        std=std,
        fingerprint=_hash_splits(data.classes, [*parts, *more]),
        skipped=tuple(skipped),
        unlabelled=join(*(part.images(rows) for part, rows in more)) if more else None,
        labelled_fingerprint=_hash_splits(data.classes, parts) if more else None,
    )


def open_test(
    spec: Data, *, base: Path | None = None, progress: DecodeProgress | None = None
) -> Images:
    """Return the test split, in the form of the training images.

    No other function reads test images. Raises as `open_data` does.
    """
    if spec.name in FORMULAS:
        from ktg.data.formula.formula_dataset import open_drawn_test

        return open_drawn_test(spec)
    data = find_data(spec, base)
    # Test images alone could suggest another form (all grey, another size) than training had.
    geometry = _open_pool(data, spec, progress).cached.index.geometry
    test = _decode(_find_test(data, spec), spec, data.title, geometry, progress)
    check_present(data, test.labels, "test")
    _warn_of_skipped(f"{data.title}: test split", test.reasons_to_skip())
    return test.images(np.arange(len(test.rows)))


def name_val_images(spec: Data, places: Sequence[int], *, base: Path | None = None) -> list[str]:
    """Return the names of the images at these places of the val split: files, or numbers in arrays.

    Raises as `open_data` does.
    """
    named = name_images(spec, base=base, test=False)["val"]
    return [named[place] for place in places]


def name_images(spec: Data, *, base: Path | None = None, test: bool = True) -> dict[str, list[str]]:
    """Return the names of the images of train, val and test, in the order in which they are read.

    test: whether the test split is read. Raises as `open_data` does.
    """
    data = find_data(spec, base)
    pool = _open_pool(data, spec, None)
    train_rows, val, val_rows = _divide(data, pool, spec, None)
    parts = {"train": (pool, train_rows), "val": (val, val_rows)}
    if test:
        held = _decode(_find_test(data, spec), spec, data.title, pool.cached.index.geometry, None)
        parts["test"] = (held, np.arange(len(held.rows)))
    return {
        split: [part.found.images.name(int(row)) for row in part.rows[rows]]
        for split, (part, rows) in parts.items()
    }


def summarize(spec: Data, base: Path | None = None, *, test: bool = True) -> Summary | None:
    """Return how many images each class has in each split, from names and labels; none is decoded.

    test: whether the test split is counted. A search does not look for it, except for names of
    files that must not be among the unlabelled ones.
    Returns None for a known data set that is not on this machine yet. Raises as `open_data` does
    for anything that shows without decoding.
    """
    if spec.name in FORMULAS:
        from ktg.data.formula.formula_dataset import summarize_drawn

        return summarize_drawn(spec)
    if spec.name is not None:
        check_name(spec.name)
        if not is_downloaded(spec.name):
            return None
    data = find_data(spec, base)
    parts = _divide_undecoded(data, spec)
    if test:
        parts["test"] = _find_test(data, spec)
        check_present(data, parts["test"].labels, "test")
    classes = len(data.classes)
    counts = {split: count_per_class(part.labels, classes) for split, part in parts.items()}
    more = None
    if spec.unlabelled is not None:
        pool = len(_select_pool(data, spec).labels)
        left = pool - sum(len(parts[split].labels) for split in _cut_from_pool(data))
        found = _find_unlabelled(data, spec, parts["val"], base)
        more = sum(len(each.labels) for each in found) + (AUTO in spec.unlabelled) * left
        check_any(spec.unlabelled or (), more)
    return Summary(data.classes, counts, more)


def remark(spec: Data, base: Path | None = None) -> list[str]:
    """Return sentences on what is odd about a data set that `summarize` can count.

    Looks into the files of all splits, for exact copies and unreadable images, without decoding
    any. Raises as `summarize` does.
    """
    if spec.path is None:
        return []
    data = find_data(spec, base)
    parts = _divide_undecoded(data, spec) | {"test": _find_test(data, spec)}
    said = [*remark_on_folder(spec, base), *remark_on_splits(data, spec)]
    return [*said, *remark_on_images(parts, spec.corrupt)]


def list_formula_settings(spec: Data) -> dict[str, Scalar]:
    """Return all settings that decide how the pictures of a formula look, its defaults included.

    Empty for data that are found, not drawn.
    """
    if spec.name not in FORMULAS:
        return {}
    from ktg.data.formula.formula_dataset import build_generator
    from ktg.data.formula.fractal.family import list_settings

    return list_settings(build_generator(spec))


def _select_pool(data: FoundData, spec: Data) -> LabelledImages:
    """Return what train (and val, without one of its own) is made of; no test image is in it."""
    pool = data.train
    if data.test is None:
        pool = pool.take(np.flatnonzero(~_hold_out_test(data, spec)))
    if not spec.label_noise:
        return pool
    classes = len(data.classes)
    noisy = corrupt_labels(pool.labels, classes, spec.label_noise, spec.split_seed)
    return replace(pool, labels=noisy)


def _find_test(data: FoundData, spec: Data) -> LabelledImages:
    if data.test is not None:
        return data.test()
    return data.train.take(np.flatnonzero(_hold_out_test(data, spec)))


def _hold_out_test(data: FoundData, spec: Data) -> npt.NDArray[np.bool_]:
    labels, groups = data.original(data.train.labels), data.train.groups
    keep = 1 + (data.val is None)  # for train, and for val where that is cut from the rest
    return hold_out(labels, spec.test_fraction, spec.split_seed, TEST, groups, keep=keep)


def _open_unlabelled(
    data: FoundData,
    spec: Data,
    pool: _Decoded,
    parts: Sequence[tuple[_Decoded, Rows]],
    base: Path | None,
    progress: DecodeProgress | None,
) -> list[tuple[_Decoded, Rows]]:
    """Return the images without labels, in parts as `_hash_splits` takes them; none unless wanted.

    parts: those of train and val.
    """
    if spec.unlabelled is None:
        return []
    more, geometry = [], pool.cached.index.geometry
    if AUTO in spec.unlabelled:
        used = np.concatenate([rows for part, rows in parts if part is pool])
        rest = np.setdiff1d(np.arange(len(pool.rows)), used)
        bare = LabelledImages(pool.found.images, np.full_like(pool.found.labels, NO_LABEL))
        more += [(_Decoded(bare, pool.cached, pool.rows), rest)] if len(rest) else []
    val, val_rows = parts[1]
    title = f"data.unlabelled: {', '.join(spec.unlabelled)}"
    for found in _find_unlabelled(data, spec, val.found.take(val.rows[val_rows]), base):
        decoded = _decode(found, spec, title, geometry, progress)
        more.append((decoded, np.arange(len(decoded.rows))))
    check_any(spec.unlabelled or (), sum(len(rows) for _, rows in more))
    return more


def _find_unlabelled(
    data: FoundData, spec: Data, val: LabelledImages, base: Path | None
) -> list[LabelledImages]:
    """Return what the places of `unlabelled` hold, without what the labelled images leave out."""
    root = None if spec.path is None else (base or Path.cwd()) / Path(spec.path).expanduser()
    held, pool = [val, _find_test(data, spec)], _select_pool(data, spec)
    return find_unlabelled(spec.unlabelled or (), held, base, root=root, labelled=pool)


def _cut_from_pool(data: FoundData) -> tuple[str, ...]:
    return ("train", "val") if data.val is None else ("train",)


def _divide_undecoded(data: FoundData, spec: Data) -> dict[str, LabelledImages]:
    """Return train and val as they will be if every image can be read."""
    pool = _select_pool(data, spec)
    if data.val is None:
        train_rows, val_rows = _split_val(data, pool, spec)
        return {"train": pool.take(train_rows), "val": pool.take(val_rows)}
    _refuse_folds(data, spec)
    rows = _thin_out(data, pool, np.arange(len(pool.labels)), spec)
    return {"train": pool.take(rows), "val": data.val}


def _divide(
    data: FoundData, pool: _Decoded, spec: Data, progress: DecodeProgress | None
) -> tuple[Rows, _Decoded, Rows]:
    """Return the places of train in the pool, what holds the val images, and their places in it."""
    if data.val is None:
        train_rows, val_rows = _split_val(data, pool.readable, spec)
        return train_rows, pool, val_rows
    _refuse_folds(data, spec)
    train_rows = _thin_out(data, pool.readable, np.arange(len(pool.rows)), spec)
    val = _decode(data.val, spec, data.title, pool.cached.index.geometry, progress)
    check_present(data, val.labels, "val")
    return train_rows, val, np.arange(len(val.rows))


def _split_val(data: FoundData, pool: LabelledImages, spec: Data) -> tuple[Rows, Rows]:
    """Return the places of train and val among the images of a pool.

    Raises DataError for a class that is missing in one of them, as where no image of a group can be
    read; of folds not each must have every class.
    """
    labels = data.original(pool.labels)
    if spec.folds is None:
        held = hold_out(labels, spec.val_fraction, spec.split_seed, VAL, pool.groups)
    elif spec.folds > len(labels):
        few = f"data.folds: {spec.folds} are more than there are images to choose by and train on"
        raise DataError(f"{data.title}: {few}, {len(labels)}")
    else:
        held = deal_folds(labels, spec.folds, spec.split_seed, pool.groups) == spec.fold
    train_rows = _thin_out(data, pool, np.flatnonzero(~held), spec)
    if spec.folds is None:
        check_present(data, pool.labels[held], "val")
    return train_rows, np.flatnonzero(held)


def _refuse_folds(data: FoundData, spec: Data) -> None:
    if spec.folds is not None:
        problem = "folds are cut from training images, and these data have a val split of their own"
        raise DataError(f"{data.title}: {problem}; leave out the folds, or remove that split")


def _thin_out(data: FoundData, pool: LabelledImages, rows: Rows, spec: Data) -> Rows:
    """Return `per_class` of the rows for every class, or all of them where that is not set.

    Raises DataError for a class of which no label is used among them.
    """
    if spec.per_class is not None:
        labels = data.original(pool.labels[rows])
        rows = rows[pick_few_shot(labels, spec.per_class, spec.split_seed)]
    check_present(data, pool.take(rows).used_labels, "train")
    return rows


def _warn_of_skipped(title: str, faults: Mapping[str, str]) -> None:
    if faults:
        images = "1 image is" if len(faults) == 1 else f"{len(faults)} images are"
        _warn(f"{title}: {images} left out, which cannot be read: {name_faults(faults)}")


@functools.lru_cache(maxsize=64)
def _warn_of_oddities(title: str, spec: Data, base: Path | None) -> None:
    for sentence in remark_on_folder(spec, base):
        _warn(f"{title}: {sentence}")


@functools.lru_cache(maxsize=1024)
def _warn(sentence: str) -> None:
    """Log a warning, once in a process: a search opens the same data many times."""
    _LOGGER.warning("%s", make_printable(sentence))


def _open_pool(data: FoundData, spec: Data, progress: DecodeProgress | None) -> _Decoded:
    return _decode(_select_pool(data, spec), spec, data.title, None, progress)


def _decode(
    found: LabelledImages,
    spec: Data,
    title: str,
    geometry: Geometry | None,
    progress: DecodeProgress | None,
) -> _Decoded:
    options = DecodeOptions(spec.size, spec.resize, geometry, spec.cache, spec.corrupt)
    cached = open_cached(found.images, options, title, progress)
    return _Decoded(found, cached, cached.index.sound)


def _hash_splits(classes: tuple[str, ...], parts: Sequence[tuple[_Decoded, Rows]]) -> str:
    # Content and not file names, so that a copy of the data set elsewhere has the same fingerprint.
    geometry = parts[0][0].cached.index.geometry
    digest = hashlib.sha256("\0".join((*classes, str(geometry))).encode())
    for part, chosen in parts:
        rows = part.rows[chosen]
        # The length before the rows, lest an image move from one split to the next unnoticed.
        digest.update(len(rows).to_bytes(8, "little"))
        digest.update(part.cached.index.digests[rows].tobytes())
        digest.update(part.found.labels[rows].astype("<i8").tobytes())
        if part.found.weights is not None:
            digest.update(b"weights" + part.found.weights[rows].astype("<f8").tobytes())
    return digest.hexdigest()
