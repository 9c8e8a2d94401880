"""Loads a graph or a search space for a command, with every name in it checked."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from ktg.errors import SpecError, UserError, did_you_mean, did_you_mean_path
from ktg.graph import Data, Graph, SearchSpace, SourceFile, edge_path, is_space, load_space
from ktg.graph.parse import read_weights
from ktg.graph.spec import FEATURES
from ktg.graph.yaml_files import load, load_graph, name_file_in_errors
from ktg.models.names import check_model
from ktg.models.sources import (
    check_imagenet_files,
    check_source_name,
    list_zoo_sources,
    resolve_source,
)

NONE: Mapping[str, str] = MappingProxyType({})


def checked_graph(path: Path, imagenet: Mapping[str, str] = NONE) -> Graph:
    """Return the graph in a file; raise SpecError for a search space, an unknown name, or an untaught target.

    imagenet: by model, files that stand for `source: imagenet`, besides those in the file's
    `weights`.
    """
    from ktg.graph.canonical import check_trainable

    if is_space(load(path)):
        raise SpecError(
            "",
            "is a search space, not a graph; give it to `ktg search`, then `ktg export` a graph",
            str(path),
        )
    graph = load_graph(path)
    with name_file_in_errors(path):
        check_files(graph.weights, imagenet, graph.imagenet_models)
        graph = dataclasses.replace(graph, weights={**graph.weights, **read_weights(imagenet)})
        check_names(graph)
        for name, node in graph.nodes.items():
            place = f"nodes.{name}.source"
            resolve_source(node, graph.sources_for(node.model), path=place).check(place)
        check_trainable(graph)
    return graph


def checked_space(path: Path, imagenet: Mapping[str, str] = NONE) -> SearchSpace:
    """Return the search space in a file; raise SpecError for a graph without holes, or any option that is wrong.

    Whether a source has weights for each model is not asked here. imagenet: see `checked_graph`.
    """
    from ktg.searching.preflight import check_data_holes, vary_each_hole

    space = load_space(path, check_names, list_zoo_sources)
    if not space.holes:
        raise SpecError("", "has no holes to search; give a graph to `ktg train`", str(path))
    with name_file_in_errors(path):
        check_data_holes(space)
        models: set[str] = set()
        for graph in vary_each_hole(space):
            check_names(graph)
            models |= graph.imagenet_models
        files = space.template.get("weights", {})
        check_files(read_weights(files), imagenet, models)
    with_files = {"weights": {**files, **imagenet}} if imagenet else {}
    return dataclasses.replace(space, template={**space.template, **with_files})


def check_files(
    own: Mapping[str, SourceFile], given: Mapping[str, str], models: Collection[str]
) -> None:
    """Raise SpecError for a file that stands for `source: imagenet` of a model and is not there, or not needed."""
    check_imagenet_files({model: file for model, file in own.items() if model not in given}, models)
    check_imagenet_files(read_weights(given), models, "--imagenet ")


def check_names(graph: Graph) -> None:
    """Raise SpecError for a data set, model or source that is not known, or a path that is not there."""
    from ktg.data.set_names import check_name

    if graph.data.name is not None:
        check_name(graph.data.name)
    elif not Path(graph.data.path or "").exists():
        hint = did_you_mean_path(Path(graph.data.path or ""), (".npz",))
        raise SpecError("data.path", f"there is no {graph.data.path}.{hint}")
    if graph.data.unlabelled is not None and not Path(graph.data.unlabelled).is_dir():
        hint = did_you_mean_path(Path(graph.data.unlabelled))
        raise SpecError("data.unlabelled", f"there is no folder {graph.data.unlabelled}.{hint}")
    for name, node in graph.nodes.items():
        check_model(node.model, f"nodes.{name}.model")
        check_source_name(node.source, graph.sources, f"nodes.{name}.source")
    for pair, edge in graph.edges.items():
        if edge.distance != FEATURES and not Path(edge.distance).is_file():
            problem = f"there is no file {edge.distance}; give a table (.csv), word embeddings in text, or {FEATURES}"
            raise SpecError(f"{edge_path(*pair)}.distance", problem)


def named_data(data: str) -> Data:
    """Return the data set that a word of the command line means: a folder, an .npz, or one known by name."""
    from ktg.data.set_names import NAMES
    from ktg.graph import FORMULAS

    path, names = Path(data).expanduser(), (*NAMES, *FORMULAS)
    if path.exists():
        return Data(path=str(path.absolute()))
    if data in names:
        return Data(name=data)
    hint = did_you_mean(data, names)
    raise UserError(
        f"{data}: is no folder, no .npz and no YAML that is there, and no data set known by name.{hint}"
    )


def experiment_name(space: SearchSpace, path: Path, given: str | None) -> str:
    """Return the experiment's name: as given, else the space's own, else the file's."""
    name = next(name for name in (given, space.name, path.stem) if name is not None)
    if not name.strip() or "/" in name:
        raise UserError(
            f"--name: {name!r} cannot name an experiment; it must not be empty or contain a slash"
        )
    return name
