"""Data sets whose pictures are drawn by a formula while they are read, with splits like those of any other."""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from ktg.data.class_subset import kept_classes, renumbering
from ktg.data.dataset import Dataset, Summary
from ktg.data.formula.fractal.family import KINDS, Generator, has_setting, make_formula, settings_of
from ktg.data.formula.stream import Stream
from ktg.data.images import Images
from ktg.data.parallel import cores
from ktg.data.pictures import Rows
from ktg.data.split import TEST, VAL, few_shot, hold_out, per_class
from ktg.errors import SpecError
from ktg.graph import Data, Formula, FormulaName

FORMAT = 1  # of the pictures: raise it when the same settings begin to draw others
# Categories of FractalDB; more would be searched anew by every process, a minute for each thousand.
PUBLISHED = 1000
# Of values in [0, 1]. Those of the grey ones are what FractalDB is normalised with (Kataoka et
# al.); svd's are its own.
STATISTICS: dict[FormulaName, tuple[float, float]] = {
    "fractaldb": (0.2, 0.5),
    "ofdb": (0.2, 0.5),
    "onep": (0.2, 0.5),
    "svd": (0.5, 0.25),
}


@dataclass(frozen=True)
class _Drawn:
    """A data set by formula: its pictures, and which of them make which split."""

    generator: Generator
    classes: tuple[str, ...]
    stream: Stream
    labels: Rows
    train: Rows
    val: Rows
    test: Rows

    def images(self, rows: Rows) -> Images:
        return Images(self.stream, rows, self.labels[rows])


def open_drawn(spec: Data) -> Dataset:
    """Return train and val: held-out pictures of every class are val, others again are test.

    Where a class has one picture (ofdb, onep), it is in all three splits: accuracy then says how
    well the pictures are known by heart. Mean and standard deviation are those of the published
    recipe, and the fingerprint is that of the settings, so that nothing is drawn before it is
    trained on. Raises SpecError for settings that the formula lacks.
    """
    drawn = _drawn(spec)
    mean, std = STATISTICS[_kind(spec)]
    return Dataset(
        classes=drawn.classes,
        train=drawn.images(drawn.train),
        val=drawn.images(drawn.val),
        mean=(mean,) * 3,
        std=(std,) * 3,
        fingerprint=_fingerprint(spec, drawn),
        skipped=(),
    )


def drawn_test(spec: Data) -> Images:
    """Return the test split."""
    drawn = _drawn(spec)
    return drawn.images(drawn.test)


def drawn_summary(spec: Data) -> Summary:
    """Return how many pictures each class has in each split."""
    drawn = _drawn(spec)
    splits = {"train": drawn.train, "val": drawn.val, "test": drawn.test}
    counts = {
        split: per_class(drawn.labels[rows], len(drawn.classes)) for split, rows in splits.items()
    }
    return Summary(drawn.classes, counts)


def formula_of(spec: Data) -> Generator:
    """Return the generator of a data set by formula. Raises SpecError, at the place in the file, for what it lacks."""
    kind, wanted = _kind(spec), spec.formula or Formula()
    if kind in ("fractaldb", "ofdb") and wanted.classes > PUBLISHED:
        problem = f"{wanted.classes:,} is more than the {PUBLISHED:,} categories of FractalDB"
        raise SpecError("data.formula.classes", f"{problem}; onep and svd have as many as you like")
    settings: dict[str, Any] = {"points": wanted.points, "seed": wanted.seed}
    if spec.size is not None:
        settings["size"] = spec.size
    for name in ("scale", "patch", "colour"):
        value = getattr(wanted, name)
        if value is not None:
            owners = [other for other in KINDS if has_setting(other, name)]
            if kind not in owners:
                raise SpecError(
                    f"data.formula.{name}", f"is a setting of {' and '.join(owners)}, not of {kind}"
                )
            settings[name] = value
    if wanted.instances is not None and has_setting(kind, "instances"):
        settings["instances"] = wanted.instances
    try:
        return make_formula(kind, wanted.classes, **settings)
    except SpecError as error:
        place = "data.size" if error.path == "size" else f"data.formula.{error.path}"
        raise SpecError(place, error.problem) from error


def _kind(spec: Data) -> FormulaName:
    return next(kind for kind in KINDS if kind == spec.name)


def _drawn(spec: Data) -> _Drawn:
    generator = formula_of(spec)
    wanted = spec.formula or Formula()
    most = generator.instances
    if wanted.instances is not None and wanted.instances > most:
        raise SpecError(
            "data.formula.instances",
            f"{wanted.instances:,} is more than the {most:,} of {spec.name}",
        )
    stream = Stream(generator, wanted.instances, seed=wanted.seed, threads=cores())
    names = tuple(f"{label:05d}" for label in range(generator.classes))
    numbers = (
        np.arange(len(names))
        if spec.only is None
        else renumbering(names, spec.only, f"data.name: {spec.name}")
    )
    labels = numbers[stream.labels]
    splits = _splits(stream.labels, np.flatnonzero(labels >= 0), wanted.instances or most, spec)
    return _Drawn(generator, kept_classes(names, numbers), stream, labels, *splits)


def _splits(labels: Rows, rows: Rows, instances: int, spec: Data) -> tuple[Rows, Rows, Rows]:
    """Return which of `rows` are in train, val and test; `labels` are those of the whole stream."""
    if instances == 1:
        return rows, rows, rows
    if instances == 2:
        raise SpecError(
            "data.formula.instances",
            "2 of each class cannot fill train, val and test; allowed: 1, or 3",
        )
    held = hold_out(labels[rows], spec.test_fraction, spec.split_seed, TEST)
    test, rest = rows[held], rows[~held]
    held = hold_out(labels[rest], spec.val_fraction, spec.split_seed, VAL)
    val, train = rest[held], rest[~held]
    few = np.arange(len(train))
    if spec.per_class is not None:
        few = few_shot(labels[train], spec.per_class, spec.split_seed)
    return train[few], val, test


def _fingerprint(spec: Data, drawn: _Drawn) -> str:
    """Return a hash of whatever decides the pictures of train and val, their labels and their order."""
    said = [
        FORMAT,
        settings_of(drawn.generator),
        drawn.classes,
        len(drawn.stream),
        (spec.formula or Formula()).seed,
    ]
    digest = sha256(json.dumps(said, sort_keys=True).encode())
    for rows in (drawn.train, drawn.val):
        digest.update(len(rows).to_bytes(8, "little") + rows.astype("<i8").tobytes())
    return digest.hexdigest()
