"""Loads a graph or a search space for a command, with every name in it checked."""

from pathlib import Path

from ktg.errors import SpecError, UserError
from ktg.files import load, load_graph, naming
from ktg.models.names import check_model, check_source
from ktg.space import SearchSpace, is_space, load_space
from ktg.spec import Graph


def checked_graph(path: Path) -> Graph:
    """Return the graph in a file; raise SpecError for a search space, an unknown name, or an untaught target."""
    from ktg.canonical import check_taught

    if is_space(load(path)):
        raise SpecError(
            "", "is a search space, not a graph; give it to `ktg search`, then `ktg export` a graph", str(path)
        )
    graph = load_graph(path)
    with naming(path):
        check_names(graph)
        check_taught(graph)
    return graph


def checked_space(path: Path) -> SearchSpace:
    """Return the search space in a file; raise SpecError for a graph without holes, or any option that is wrong."""
    from ktg.searching.feasible import check_data_holes, one_by_one

    space = load_space(path, check_names)
    if not space.holes:
        raise SpecError("", "has no holes to search; give a graph to `ktg train`", str(path))
    with naming(path):
        check_data_holes(space)
        for graph in one_by_one(space):
            check_names(graph)
    return space


def check_names(graph: Graph) -> None:
    """Raise SpecError for a data set, model or source that is not known, or a path that is not there."""
    from ktg.data.names import check_name

    if graph.data.name is not None:
        check_name(graph.data.name)
    elif not Path(graph.data.path or "").exists():
        raise SpecError("data.path", f"there is no {graph.data.path}")
    for name, node in graph.nodes.items():
        check_model(node.model, f"nodes.{name}.model")
        check_source(node.source, graph.sources, f"nodes.{name}.source", model=node.model)


def experiment_name(space: SearchSpace, path: Path, given: str | None) -> str:
    """Return the experiment's name: as given, else the space's own, else the file's."""
    name = next(name for name in (given, space.name, path.stem) if name is not None)
    if not name.strip() or "/" in name:
        raise UserError(f"--name: {name!r} cannot name an experiment; it must not be empty or contain a slash")
    return name
