"""The graph as data: `Graph` and its parts, `parse`, `dump`. Imports neither torch nor yaml."""

from ktg.errors import SpecError
from ktg.spec.graph import ANY, GATES, LABEL, Data, Edge, Graph, Node, Search, SourceFile, Train
from ktg.spec.parse import dump, edge_key, edge_path, parse

__all__ = [
    "ANY",
    "GATES",
    "LABEL",
    "Data",
    "Edge",
    "Graph",
    "Node",
    "Search",
    "SourceFile",
    "SpecError",
    "Train",
    "dump",
    "edge_key",
    "edge_path",
    "parse",
]
