"""Defines the holes that a search space may have, and reads them from plain data.

`{choice: [...]}`, `{log: [lo, hi]}`, `{uniform: [lo, hi]}`, `{int: [lo, hi]}`; and, for the source
of a node, `{affinity: {among: [...], keep: 2}}`: a choice among the sources that suit the data
best, which is measured before the search.
"""

import functools
import math
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from ktg.errors import SpecError, not_one_of, show
from ktg.graph.fields import check_keys, check_mapping

# The scores of an affinity hole; their functions are in `ktg.affinity.scores`.
ScoreName = Literal[
    "s1",
    "s2",
    "s3",
    "s4",
    "s5",
    "s1_rms",
    "s2_rms",
    "s4_rms",
    "s5_rms",
    "fisher",
    "emd",
    "emd_features",
    "logme",
    "hscore",
    "hscore_shrunk",
    "gbc",
    "parc",
    "leep",
    "nce",
    "transrate",
    "knn",
    "linear_probe",
]
Direction = Literal["larger", "smaller"]
TauRank = Literal["score", "accuracy", "none"]

HOLE_WORDS = ("choice", "log", "uniform", "int", "affinity")
SMALLER_IS_BETTER: frozenset[ScoreName] = frozenset({"s3", "s5", "s5_rms", "emd", "emd_features"})
# Known only where a user gives the names, or images, of the classes that a source was trained on.
_NEED_MORE: frozenset[ScoreName] = frozenset({"emd", "emd_features"})
DEFAULT_SCORE: ScoreName = "parc"
KEEP = 2  # sources that an affinity hole keeps
MEASURABLE = tuple(name for name in get_args(ScoreName) if name not in _NEED_MORE)


@dataclass(frozen=True)
class Choice:
    """A hole that takes one of a list of options: values, lists, or whole nodes or edges."""

    options: tuple[Any, ...]
    word: ClassVar[str] = "choice"

    def contains(self, value: object) -> bool:
        """Return whether `value` is one of the options; true is not 1, but 1.0 is."""
        return _identify(value) in self._identities

    @functools.cached_property
    def _identities(self) -> frozenset[object]:
        # Of thousands of options each is looked up, when a space is checked.
        return frozenset(map(_identify, self.options))

    def default(self) -> Any:
        """Return the first option."""
        return self.options[0]

    def options_to_check(self) -> tuple[Any, ...]:
        """Return every value that has to be valid: all options."""
        return self.options

    def size(self) -> int | None:
        """Return the number of values, None where they are a continuum."""
        return len(self.options)

    def plain(self) -> dict[str, Any]:
        """Return the hole as a file has it."""
        return {self.word: list(self.options)}


@dataclass(frozen=True)
class Affinity(Choice):
    """A choice among sources of weights for a node, which measuring their affinity narrows.

    Of those that could be measured, the best `keep` by `score` stay. With `prior` all stay, sorted
    by their score, and a sampler draws the earlier ones more often.
    """

    keep: int = KEEP
    score: ScoreName = DEFAULT_SCORE
    prior: bool = False
    word: ClassVar[str] = "affinity"

    def probabilities(self) -> tuple[float, ...]:
        """Return how probable each option is in a random draw.

        With `prior` it is proportional to 1/rank: three options -> 6/11, 3/11, 2/11.
        """
        weights = [1 / rank if self.prior else 1.0 for rank in range(1, len(self.options) + 1)]
        return tuple(weight / sum(weights) for weight in weights)

    def plain(self) -> dict[str, Any]:
        """Return the hole as a file has it."""
        kept = {"prior": True} if self.prior else {"keep": self.keep}
        return {self.word: {"among": list(self.options), **kept, "score": self.score}}


@dataclass(frozen=True)
class _Range:
    """A hole that takes a number from `low` to `high`, both included."""

    low: float
    high: float
    word: ClassVar[str]

    def contains(self, value: object) -> bool:
        """Return whether `value` is a number in the range."""
        return _is_number(value) and self.low <= value <= self.high  # type: ignore[operator]

    def options_to_check(self) -> tuple[Any, ...]:
        """Return both ends: where they are valid, all between them is."""
        return (self.low, self.high)

    def size(self) -> int | None:
        """Return the number of values, None where they are a continuum."""
        return None

    def _within(self, value: float) -> float:
        """Return a value in the range, rounded to six digits so that files stay readable."""
        return min(max(float(f"{value:.6g}"), self.low), self.high)


@dataclass(frozen=True)
class Log(_Range):
    """A hole for a number above 0 whose logarithm is spread evenly."""

    word: ClassVar[str] = "log"

    def default(self) -> float:
        """Return the geometric middle: `{log: [0.001, 0.1]}` -> 0.01."""
        return self._within(math.exp((math.log(self.low) + math.log(self.high)) / 2))


@dataclass(frozen=True)
class Uniform(_Range):
    """A hole for a number that is spread evenly."""

    word: ClassVar[str] = "uniform"

    def default(self) -> float:
        """Return the middle."""
        # Halved before they are added: the sum of two large ends would be infinite.
        return self._within(self.low / 2 + self.high / 2)


@dataclass(frozen=True)
class Int(_Range):
    """A hole for a whole number, spread evenly."""

    low: int
    high: int
    word: ClassVar[str] = "int"

    def contains(self, value: object) -> bool:
        """Return whether `value` is a whole number in the range."""
        return isinstance(value, int) and super().contains(value)

    def default(self) -> int:
        """Return the middle, rounded down."""
        return (self.low + self.high) // 2

    def size(self) -> int | None:
        """Return the number of values."""
        return self.high - self.low + 1


Hole = Choice | Log | Uniform | Int
_RANGES: dict[str, Callable[[Any, Any], Hole]] = {"log": Log, "uniform": Uniform, "int": Int}


def read_hole(raw: Mapping[str, Any], path: str) -> Hole:
    """Return the hole that `raw` (a mapping with a hole word) describes, or raise SpecError."""
    if len(raw) > 1:
        keys = ", ".join(map(str, raw))
        raise SpecError(
            path, f"a hole has one key only, such as {{choice: [a, b]}}, but got the keys {keys}"
        )
    word, content = next(iter(raw.items()))
    place = f"{path}.{word}"
    if word == "affinity":
        return _read_affinity(content, place)
    if word == "choice":
        return Choice(_read_options(content, place))
    low, high = _read_ends(content, place, whole=word == "int")
    if word == "log" and low <= 0:
        raise SpecError(place, f"the lower end of a `log` must be above 0, got {show(content)}")
    return _RANGES[word](low, high)


def has_hole_word(value: object) -> bool:
    """Return whether `value` is a mapping that is, or tries to be, a hole."""
    return isinstance(value, Mapping) and any(word in value for word in HOLE_WORDS)


def find_hole(value: object, path: str) -> str | None:
    """Return the path of the first hole in `value`, which itself stands at `path`, or None."""
    if has_hole_word(value):
        return path
    items: Iterable[tuple[str, object]] = ()
    if isinstance(value, Mapping):
        items = ((f"{path}.{key}", item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        items = ((f"{path}[{i}]", item) for i, item in enumerate(value))
    return next((found for deeper, item in items if (found := find_hole(item, deeper))), None)


def _read_affinity(content: object, place: str) -> Affinity:
    if not re.fullmatch(r"nodes\.[^.]+\.source\.affinity", place):
        raise SpecError(
            place, "only the source of a node can be chosen by affinity; write {choice: [...]} here"
        )
    raw = check_mapping(content, place)
    check_keys(raw, dict.fromkeys(("among", "keep", "score", "prior")), place)
    if "among" not in raw:
        problem = "is missing; list the sources to choose from, such as [none, imagenet]"
        raise SpecError(f"{place}.among", problem)
    among = _read_options(raw["among"], f"{place}.among")
    for i, source in enumerate(among):
        if not isinstance(source, str) or not source:
            problem = f"expected the name of a source or a file, got {show(source)}"
            raise SpecError(f"{place}.among[{i}]", problem)
    keep, score = raw.get("keep", KEEP), raw.get("score", DEFAULT_SCORE)
    prior = raw.get("prior", False)
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
        raise SpecError(f"{place}.keep", f"expected a whole number of at least 1, got {show(keep)}")
    if score not in MEASURABLE:
        what = "a score that a search can measure"
        raise not_one_of(f"{place}.score", score, what, MEASURABLE, most=len(MEASURABLE))
    if not isinstance(prior, bool):
        raise SpecError(f"{place}.prior", f"expected true or false, got {show(prior)}")
    if prior and "keep" in raw:
        problem = "with `prior: true` every source is kept; leave out one of the two"
        raise SpecError(f"{place}.keep", problem)
    return Affinity(among, keep, score, prior)


def _read_options(options: object, place: str) -> tuple[Any, ...]:
    if not isinstance(options, list | tuple):
        raise SpecError(place, f"expected a list of options, got {show(options)}")
    if not options:
        raise SpecError(place, "at least one option is needed, got an empty list")
    first: dict[object, int] = {}
    for i, option in enumerate(options):
        if inner := find_hole(option, f"{place}[{i}]"):
            problem = (
                "a hole inside an option of another hole is not allowed; write out the options"
            )
            raise SpecError(inner, problem)
        before = first.setdefault(_identify(option), i)
        if before < i:
            problem = f"{show(option)} is given twice, first as option [{before}]"
            raise SpecError(f"{place}[{i}]", problem)
    return tuple(options)


def _read_ends(ends: object, place: str, whole: bool) -> tuple[float, float]:
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        raise SpecError(place, f"expected two numbers [lo, hi], got {show(ends)}")
    for i, end in enumerate(ends):
        if not _is_number(end) or (whole and not isinstance(end, int)):
            wanted = "a whole number" if whole else "a finite number"
            raise SpecError(f"{place}[{i}]", f"expected {wanted}, got {show(end)}")
    low, high = ends if whole else map(float, ends)
    if low == high:
        raise SpecError(place, f"both ends are {low}; write the value itself")
    if low > high:
        raise SpecError(place, f"the lower end comes first, got [{low}, {high}]")
    return low, high


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300  # also false for nan


def _identify(value: object) -> object:
    """Return what is equal, and hashed alike, for equal plain values.

    true is not 1, but 1.0 is, and a tuple may equal a list.
    """
    if isinstance(value, Mapping):
        return "mapping", frozenset((key, _identify(each)) for key, each in value.items())
    if isinstance(value, list | tuple):
        return "list", tuple(map(_identify, value))
    return isinstance(value, bool), value if isinstance(value, Hashable) else repr(value)
