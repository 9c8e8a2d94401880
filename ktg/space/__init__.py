"""Search spaces: a graph in which values are holes. `parse_space`, `load_space`, `SearchSpace`."""

from ktg.space.holes import HOLE_WORDS, Affinity, Choice, Hole, Int, Log, Uniform
from ktg.space.parse import is_space, load_space, parse_space
from ktg.space.search_space import SearchSpace

__all__ = [
    "HOLE_WORDS",
    "Affinity",
    "Choice",
    "Hole",
    "Int",
    "Log",
    "SearchSpace",
    "Uniform",
    "is_space",
    "load_space",
    "parse_space",
]
