"""Defines graphs and search spaces as frozen data, and reads and writes them without torch."""

from ktg.errors import SpecError
from ktg.graph.data_spec import Data, Formula
from ktg.graph.holes import HOLE_WORDS, Affinity, Choice, Hole, Int, Log, Uniform
from ktg.graph.parse import dump, edge_key, edge_path, parse
from ktg.graph.parse_space import is_space, parse_space
from ktg.graph.space import Search, SearchSpace
from ktg.graph.spec import Edge, Graph, Node, SourceFile, Train, sources_for
from ktg.graph.vocabulary import ANY, FORMULAS, GATES, IMAGENET, LABEL, FormulaName, Scalar
from ktg.graph.yaml_files import load_space

__all__ = [
    "ANY",
    "FORMULAS",
    "GATES",
    "HOLE_WORDS",
    "IMAGENET",
    "LABEL",
    "Affinity",
    "Choice",
    "Data",
    "Edge",
    "Formula",
    "FormulaName",
    "Graph",
    "Hole",
    "Int",
    "Log",
    "Node",
    "Scalar",
    "Search",
    "SearchSpace",
    "SourceFile",
    "SpecError",
    "Train",
    "Uniform",
    "dump",
    "edge_key",
    "edge_path",
    "is_space",
    "load_space",
    "parse",
    "parse_space",
    "sources_for",
]
