"""The graph as data: `Graph` and its parts, `parse`, `dump`. Imports neither torch nor yaml."""

from ktg.errors import SpecError
from ktg.spec.graph import (
    ANY,
    FORMULAS,
    GATES,
    IMAGENET,
    LABEL,
    Data,
    Edge,
    Formula,
    FormulaName,
    Graph,
    Node,
    Scalar,
    SourceFile,
    Train,
    sources_for,
)
from ktg.spec.parse import dump, edge_key, edge_path, parse
from ktg.spec.search import Search

__all__ = [
    "ANY",
    "FORMULAS",
    "GATES",
    "IMAGENET",
    "LABEL",
    "Data",
    "Edge",
    "Formula",
    "FormulaName",
    "Graph",
    "Node",
    "Scalar",
    "Search",
    "SourceFile",
    "SpecError",
    "Train",
    "dump",
    "edge_key",
    "edge_path",
    "parse",
    "sources_for",
]
