"""Opens data sets whose pictures are drawn while they are read, with splits like any other."""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from ktg.data.class_subset import renumber_classes, select_classes
from ktg.data.dataset import Dataset, Summary
from ktg.data.formula.fractal.family import (
    GENERATORS,
    FractalGenerator,
    has_setting,
    list_settings,
    make_generator,
)
from ktg.data.formula.stream import Stream
from ktg.data.images import Images
from ktg.data.split import TEST, VAL, count_per_class, hold_out, pick_few_shot
from ktg.data.threads import count_cores
from ktg.data.undecoded import Rows
from ktg.data.unlabelled import NO_LABEL
from ktg.errors import SpecError
from ktg.graph import Data, Formula, FormulaName
from ktg.graph.vocabulary import AUTO

FORMAT = 1  # of the pictures: raise it when the same settings begin to draw others
# Categories of FractalDB. Every process would have to search for more, a minute for a thousand.
PUBLISHED = 1000
# Mean and deviation of values in [0, 1]: for the grey ones those of Kataoka et al., for svd those
# of its own recipe.
STATISTICS: dict[FormulaName, tuple[float, float]] = {
    "fractaldb": (0.2, 0.5),
    "ofdb": (0.2, 0.5),
    "onep": (0.2, 0.5),
    "svd": (0.5, 0.25),
}


@dataclass(frozen=True)
class _DrawnData:
    """A data set by formula: its pictures, and the rows of each split."""

    generator: FractalGenerator
    classes: tuple[str, ...]
    stream: Stream
    labels: Rows
    train: Rows
    val: Rows
    test: Rows
    left_out: Rows

    def images(self, rows: Rows) -> Images:
        return Images(self.stream, rows, self.labels[rows])

    def unlabelled(self) -> Images:
        """Return the training pictures that `per_class` leaves out, without their labels."""
        return Images(self.stream, self.left_out, np.full(len(self.left_out), NO_LABEL))


def open_drawn(spec: Data) -> Dataset:
    """Return train and val: held-out pictures of every class are val, others again are test.

    Where a class has one picture (ofdb, onep), it is in all three splits: accuracy then says how
    well the pictures are known by heart. Nothing is drawn before it is trained on: mean and
    standard deviation are those of the published recipe, the fingerprint is that of the settings.
    `data.unlabelled: auto` are the training pictures that `per_class` leaves out. Raises SpecError
    for settings that the formula lacks, and for unlabelled images from elsewhere.
    """
    drawn = _draw_splits(spec)
    mean, std = STATISTICS[_kind(spec)]
    labelled = _fingerprint(spec, drawn, drawn.train, drawn.val)
    if spec.unlabelled is None:
        more: dict[str, Any] = {"fingerprint": labelled}
    else:
        every = _fingerprint(spec, drawn, drawn.train, drawn.val, drawn.left_out)
        more = {"fingerprint": every, "labelled_fingerprint": labelled}
        more["unlabelled"] = drawn.unlabelled()
    return Dataset(
        classes=drawn.classes,
        train=drawn.images(drawn.train),
        val=drawn.images(drawn.val),
        mean=(mean,) * 3,
        std=(std,) * 3,
        skipped=(),
        **more,
    )


def open_drawn_test(spec: Data) -> Images:
    """Return the test split."""
    drawn = _draw_splits(spec)
    return drawn.images(drawn.test)


def summarize_drawn(spec: Data) -> Summary:
    """Return how many pictures each class has in each split."""
    drawn = _draw_splits(spec)
    splits = {"train": drawn.train, "val": drawn.val, "test": drawn.test}
    classes = len(drawn.classes)
    counts = {name: count_per_class(drawn.labels[rows], classes) for name, rows in splits.items()}
    more = None if spec.unlabelled is None else len(drawn.left_out)
    return Summary(drawn.classes, counts, more)


def build_generator(spec: Data) -> FractalGenerator:
    """Return the generator that a formula describes. Raises SpecError, with its place."""
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
            owners = [other for other in GENERATORS if has_setting(other, name)]
            if kind not in owners:
                problem = f"is a setting of {' and '.join(owners)}, not of {kind}"
                raise SpecError(f"data.formula.{name}", problem)
            settings[name] = value
    if wanted.instances is not None and has_setting(kind, "instances"):
        settings["instances"] = wanted.instances
    try:
        return make_generator(kind, wanted.classes, **settings)
    except SpecError as error:
        # The generator names its own field; the user needs the place in the YAML file.
        place = "data.size" if error.path == "size" else f"data.formula.{error.path}"
        raise SpecError(place, error.problem) from error


def _kind(spec: Data) -> FormulaName:
    return next(kind for kind in GENERATORS if kind == spec.name)


def _draw_splits(spec: Data) -> _DrawnData:
    generator = build_generator(spec)
    wanted = spec.formula or Formula()
    most = generator.instances
    if wanted.instances is not None and wanted.instances > most:
        problem = f"{wanted.instances:,} is more than the {most:,} of {spec.name}"
        raise SpecError("data.formula.instances", problem)
    stream = Stream(generator, wanted.instances, seed=wanted.seed, threads=count_cores())
    names = tuple(f"{label:05d}" for label in range(generator.classes))
    numbers = np.arange(len(names))
    if spec.only is not None:
        numbers = renumber_classes(names, spec.only, f"data.name: {spec.name}")
    labels = numbers[stream.labels]
    splits = _divide(stream.labels, np.flatnonzero(labels >= 0), wanted.instances or most, spec)
    _check_unlabelled(spec, len(splits[-1]))
    return _DrawnData(generator, select_classes(names, numbers), stream, labels, *splits)


def _check_unlabelled(spec: Data, left_out: int) -> None:
    """Raise SpecError for unlabelled images from elsewhere, or where `auto` are none."""
    if spec.unlabelled not in (None, (AUTO,)):
        found = ", ".join(spec.unlabelled or ())
        problem = f"{found}: of pictures drawn by a formula only `auto` can be unlabelled"
        raise SpecError("data.unlabelled", f"{problem}: those that data.per_class leaves out")
    if spec.unlabelled and not left_out:
        raise SpecError(
            "data.unlabelled", "auto: data.per_class leaves out no picture, so there is none"
        )


def _divide(labels: Rows, rows: Rows, instances: int, spec: Data) -> tuple[Rows, Rows, Rows, Rows]:
    """Return which of `rows` are in train, val and test, and which `per_class` leaves out.

    `labels` are those of the whole stream.
    """
    if instances == 1:
        return rows, rows, rows, rows[:0]
    if instances == 2:
        problem = "2 of each class cannot fill train, val and test; allowed: 1, or 3"
        raise SpecError("data.formula.instances", problem)
    held = hold_out(labels[rows], spec.test_fraction, spec.split_seed, TEST)
    test, rest = rows[held], rows[~held]
    held = hold_out(labels[rest], spec.val_fraction, spec.split_seed, VAL)
    val, train = rest[held], rest[~held]
    few = np.arange(len(train))
    if spec.per_class is not None:
        few = pick_few_shot(labels[train], spec.per_class, spec.split_seed)
    return train[few], val, test, np.delete(train, few)


def _fingerprint(spec: Data, drawn: _DrawnData, *parts: Rows) -> str:
    """Return a hash of all that decides these pictures, their labels and order."""
    seed = (spec.formula or Formula()).seed
    facts = [FORMAT, list_settings(drawn.generator), drawn.classes, len(drawn.stream), seed]
    digest = sha256(json.dumps(facts, sort_keys=True).encode())
    for rows in parts:
        digest.update(len(rows).to_bytes(8, "little") + rows.astype("<i8").tobytes())
    return digest.hexdigest()
