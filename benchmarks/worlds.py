"""Stands in for training in a replay of a search: graphs whose trainings are known from tables.

A world belongs to one replay. It answers a trial of the search with the curve of one training, a
trial of the race with that of another one of the same graph, and says of every graph how good it
truly is: what a new training of it would have, which no search can see.
"""

import functools
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import measure
import numpy as np
import photo_tables
from lines import read_lines
from numpy.typing import NDArray

from ktg.graph import SearchSpace, load_space
from ktg.searching.trial import Trial

Row = Mapping[str, Any]
Curve = Sequence[float]
DIGITS = "digits"
TABLES = (DIGITS, *photo_tables.EPOCHS)
REAL = 0.25  # of digits: share of the variance at one learning rate that a new seed repeats


class World(Protocol):
    """What a replay asks of a world.

    By the key of a graph: curves: of its first training; truth: how good it is.
    """

    curves: Mapping[str, Curve]
    truth: Mapping[str, float]

    def train(self, trial: Trial, first: Trial) -> Curve:
        """Return the accuracies after each epoch of a trial; `first`: what it trains again."""

    def epoch_units(self, first: Trial) -> float:
        """Return the time of an epoch of this graph, in units of a usual one."""


@dataclass(frozen=True)
class Table:
    """Rows of results, and the space whose graphs they are of.

    epochs: of a usual training. rows: by the key of the graph.
    """

    name: str
    space: SearchSpace
    epochs: int
    rows: Mapping[str, Sequence[Row]]

    def count(self) -> int:
        """Return how many trainings it has."""
        return sum(map(len, self.rows.values()))

    def draw(self, seed: int) -> World:
        """Return the world of one replay."""
        return DigitsWorld(self, seed) if self.name == DIGITS else PhotoWorld(self, seed)


def open_table(name: str) -> Table:
    """Return a table: digits, or a set of photo_tables.py."""
    if name == DIGITS:
        space = load_space(Path(__file__).parent / "spaces" / "table.yaml")
        lines = read_lines(measure.RESULTS / "table.jsonl")
        return Table(name, space, 16, {line["key"]: [line] for line in lines})
    rows = photo_tables.read_table(name)
    return Table(name, photo_tables.make_space(name), photo_tables.EPOCHS[name], rows)


class DigitsWorld:
    """A draw of what each graph is truly worth, of which its row is one noisy training.

    Among graphs of one learning rate a quarter of the variance of single trainings is real (that is
    what trainings with new seeds say); the rest is luck, drawn from the deviations of that rate.
    """

    def __init__(self, table: Table, seed: int) -> None:
        self._random = random.Random(seed)
        rows = {key: own[0] for key, own in table.rows.items()}
        self.curves = {key: row["accuracy"] for key, row in rows.items()}
        ends: dict[float, list[float]] = {}
        for row in rows.values():
            ends.setdefault(row["values"][0], []).append(row["accuracy"][-1])
        means = {rate: statistics.fmean(own) for rate, own in ends.items()}
        stds = {rate: statistics.pstdev(own) for rate, own in ends.items()}
        self._luck = {
            rate: [(1 - REAL) ** 0.5 * (end - means[rate]) for end in own]
            for rate, own in ends.items()
        }
        self.truth: dict[str, float] = {}
        for key, row in rows.items():
            rate, end = row["values"][0], row["accuracy"][-1]
            centre = means[rate] + REAL * (end - means[rate])
            drawn = self._random.gauss(centre, (REAL * (1 - REAL)) ** 0.5 * stds[rate])
            self.truth[key] = min(1.0, drawn)

    def train(self, trial: Trial, first: Trial) -> Curve:
        """Return the curve of the table, or of another seed."""
        curve = self.curves[first.key]
        if trial is first:
            return curve
        luck = self._random.choice(self._luck[first.graph.train.lr])
        return [min(1.0, self.truth[first.key] + luck)] * len(curve)

    def epoch_units(self, first: Trial) -> float:
        """Return 1: all graphs count alike."""
        return 1.0


class PhotoWorld:
    """Validation images drawn from a table's test images; what is true is told by all others.

    As many are drawn as the split had on which the table was made. A first training of each graph
    is what the search sees of it: its curve on that split, moved so that it ends as those images
    say. The race sees the graph's trainings with other seeds, and when these are used up, their
    mean with the luck that two seeds show at this rate. True is the accuracy of the trainings that
    neither has seen, or where the table has two of a graph, of the second.
    """

    def __init__(self, table: Table, seed: int) -> None:
        self._random = chance = random.Random(seed)
        known = [{row["seed"]: row for row in own} for own in table.rows.values()]
        complete = sorted(set.intersection(*map(set, known)))
        first = complete[seed % len(complete)]
        others = sorted(set.union(*map(set, known)) - {first})
        order = [first, *chance.sample(others, len(others))]
        images = len(read_right(known[0][first]))
        drawn = chance.sample(range(images), photo_tables.VALIDATION[table.name])
        rest = sorted(set(range(images)) - set(drawn))
        self.curves: dict[str, Curve] = {}
        self.truth: dict[str, float] = {}
        self._more: dict[str, list[float]] = {}
        self.first: dict[str, Row] = {}
        for key, rows in zip(table.rows, known, strict=True):
            own = [rows[each] for each in order if each in rows]
            ends = [float(read_right(row)[drawn].mean()) for row in own]
            unseen = own[2:] or own[1:] or own
            self.truth[key] = statistics.fmean(read_right(row)[rest].mean() for row in unseen)
            self._more[key] = ends[1:2]
            self.first[key] = own[0]
            curve = own[0]["accuracy"]
            self.curves[key] = [min(1.0, max(0.0, at + ends[0] - curve[-1])) for at in curve]
        self._unit_s = statistics.fmean(row["epoch_s"] for row in self.first.values())
        self._used: dict[str, int] = {}
        self._luck: dict[float, list[float]] = {}
        for key, row in self.first.items():
            for end in self._more[key] if row["values"] else ():
                # The deviation of two from their mean, as large as that of single ones.
                deviation = (self.curves[key][-1] - end) / 2**0.5
                self._luck.setdefault(row["values"][0], []).extend((deviation, -deviation))

    def train(self, trial: Trial, first: Trial) -> Curve:
        """Return the curve of the next training of a graph."""
        curve, more = self.curves[first.key], self._more[first.key]
        number = self._used.get(first.key, 0)
        self._used[first.key] = number + 1
        if number == 0 or first.is_exact:
            return curve
        if number <= len(more):
            return [more[number - 1]] * len(curve)
        mean = statistics.fmean((curve[-1], *more))
        luck = self._random.choice(self._luck[self.first[first.key]["values"][0]])
        return [min(1.0, max(0.0, mean + luck))] * len(curve)

    def epoch_units(self, first: Trial) -> float:
        """Return the seconds of an epoch by those of the mean graph."""
        return float(self.first[first.key]["epoch_s"] / self._unit_s)


@functools.cache
def _unpack(right: str) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(bytes.fromhex(right), dtype=np.uint8)).astype(bool)


def read_right(row: Row) -> NDArray[np.bool_]:
    """Return which of the test images were classified rightly; the last byte may be padded."""
    return _unpack(row["right"])[: row["images"]]
