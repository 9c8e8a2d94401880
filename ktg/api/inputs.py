"""What the functions of `ktg.api` are given: a graph or a space in any form, and where to keep what was done."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.errors import UserError, show

if TYPE_CHECKING:
    from ktg.graph import Graph, SearchSpace
    from ktg.tracking import Tracker

    GraphLike = Graph | Mapping[str, Any] | str | Path
    SpaceLike = SearchSpace | Mapping[str, Any] | str | Path

STORE = "sqlite:///mlflow.db"


def graph_of(given: "GraphLike") -> "Graph":
    """Return a graph with every name in it checked."""
    from ktg.cli.load import check_names, checked_graph
    from ktg.graph import Graph, parse
    from ktg.graph.canonical import check_taught
    from ktg.graph.paths import absolute_paths

    if isinstance(given, str | Path):
        return checked_graph(Path(given))
    graph = (
        given if isinstance(given, Graph) else parse(absolute_paths(_mapping(given), Path.cwd()))
    )
    check_names(graph)
    check_taught(graph)
    return graph


def space_of(given: "SpaceLike") -> "SearchSpace":
    """Return a search space with every option in it checked."""
    from ktg.cli.load import check_names, checked_space
    from ktg.graph import SearchSpace, parse_space
    from ktg.graph.paths import absolute_paths
    from ktg.models.names import zoo_sources

    if isinstance(given, str | Path):
        return checked_space(Path(given))
    if isinstance(given, SearchSpace):
        return given
    return parse_space(absolute_paths(_mapping(given), Path.cwd()), check_names, zoo_sources)


def tracker_of(experiment: str, uri: str | None) -> "AbstractContextManager[Tracker]":
    """Return a tracker on a store, or for `None` one that forgets."""
    from ktg.tracking import MemoryTracker, MlflowTracker

    return nullcontext(MemoryTracker()) if uri is None else MlflowTracker(experiment, uri)


def _mapping(given: object) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise UserError(
            f"expected a path, plain data or a parsed graph or space, got {show(given)}"
        )
    return given
