"""Stands in for training in a replay of a search: graphs whose trainings are known from tables.

A world belongs to one replay. It answers a trial of the search with the curve of one training, a
trial of the race with that of another one of the same graph, and says of every graph how good it
truly is: what a new training of it would have, which no search can see.
"""

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import measure
import photo_tables
from lines import read_lines

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
    """One validation split with its trainings; what is true is the test of those on other splits.

    Trainings of the race are the graph's others on the split, as far as there are some; then curves
    with their mean end, and the luck that two seeds of one graph on one split show at its rate.
    """

    def __init__(self, table: Table, seed: int) -> None:
        self._random = random.Random(seed)
        split = choose_split(table, seed)
        self._rows = {
            key: [row for row in own if row["split"] == split] for key, own in table.rows.items()
        }
        seeds = sorted({row["seed"] for own in self._rows.values() for row in own})
        order = self._random.sample(seeds, len(seeds))
        for own in self._rows.values():
            own.sort(key=lambda row: order.index(row["seed"]))
        self._luck = list_luck(table)
        self.first = {key: own[0] for key, own in self._rows.items()}
        self.curves = {key: row["accuracy"] for key, row in self.first.items()}
        self._unit_s = statistics.fmean(row["epoch_s"] for row in self.first.values())
        self._used: dict[str, int] = {}
        self.truth = {
            key: statistics.fmean(row["test"] for row in own if row["split"] != split)
            for key, own in table.rows.items()
        }

    def train(self, trial: Trial, first: Trial) -> Curve:
        """Return the curve of the next training of a graph on the split."""
        rows = self._rows[first.key]
        number = self._used.get(first.key, 0)
        self._used[first.key] = number + 1
        curve: Curve = rows[min(number, len(rows) - 1)]["accuracy"]
        if number < len(rows) or first.is_exact:
            return curve
        end = statistics.fmean(row["accuracy"][-1] for row in rows)
        end += self._random.choice(self._luck[rows[0]["values"][0]])
        return [min(1.0, max(0.0, end))] * len(curve)

    def epoch_units(self, first: Trial) -> float:
        """Return the seconds of an epoch by those of the mean graph."""
        return float(self._rows[first.key][0]["epoch_s"] / self._unit_s)


def choose_split(table: Table, seed: int) -> int:
    """Return one of the splits on which all graphs were trained."""
    splits = set.intersection(*({row["split"] for row in own} for own in table.rows.values()))
    return sorted(splits)[seed % len(splits)]


def list_luck(table: Table) -> dict[float, list[float]]:
    """Return by rate how much trainings differ from the mean of their graph and split.

    Of n trainings the deviations are sqrt(n / (n - 1)) times as large, so that their variance is
    that of single ones.
    """
    luck: dict[float, list[float]] = {}
    for own in table.rows.values():
        for split in {row["split"] for row in own}:
            rows = [row for row in own if row["split"] == split]
            ends = [row["accuracy"][-1] for row in rows]
            if len(rows) > 1 and rows[0]["values"]:
                scale, mean = (len(ends) / (len(ends) - 1)) ** 0.5, statistics.fmean(ends)
                own_luck = luck.setdefault(rows[0]["values"][0], [])
                own_luck += [scale * (end - mean) for end in ends]
    return luck
