"""Checks what a user passes to a command: graphs, spaces, data sets, files, stores and devices."""

import dataclasses
import os
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ktg.api.listener import QUIET, Listener
from ktg.errors import SpecError, UserError, did_you_mean, did_you_mean_path, show
from ktg.graph import Data, Graph, SearchSpace, SourceFile, edge_path, is_space, load_space, parse
from ktg.graph.parse import read_weights
from ktg.graph.vocabulary import AUTO, FEATURES
from ktg.graph.yaml_files import is_yaml, load, load_graph, name_file_in_errors
from ktg.models.names import check_model, shorten_architecture
from ktg.models.resolve import (
    check_imagenet_files,
    check_source_name,
    list_zoo_sources,
    resolve_source,
)

if TYPE_CHECKING:
    from ktg.tracking import Tracker

GraphLike = Graph | Mapping[str, Any] | str | Path
SpaceLike = SearchSpace | Mapping[str, Any] | str | Path

STORE = "sqlite:///mlflow.db"
PICTURE = ("a picture is PNG, JPEG or WebP", ".png", ".jpg", ".jpeg", ".webp")
NO_FILES: Mapping[str, str] = MappingProxyType({})


def read_graph(given: GraphLike, imagenet: Mapping[str, str] = NO_FILES) -> Graph:
    """Return a graph with every name in it checked, from a path, plain data or a parsed graph.

    imagenet: by model, files that stand for `source: imagenet`, besides the graph's own `weights`.
    """
    from ktg.graph.canonical import check_trainable
    from ktg.graph.paths import make_paths_absolute

    if isinstance(given, str | Path):
        return load_graph_file(Path(given), imagenet)
    if isinstance(given, Graph):
        graph = given
    else:
        graph = parse(make_paths_absolute(_mapping(given), Path.cwd()))
    check_names(graph)
    check_trainable(graph)
    return dataclasses.replace(graph, weights={**graph.weights, **read_weights(imagenet)})


def read_space(given: SpaceLike, imagenet: Mapping[str, str] = NO_FILES) -> SearchSpace:
    """Return a search space with every option checked, from a path, plain data or a parsed space.

    imagenet: see `read_graph`.
    """
    from ktg.graph import parse_space
    from ktg.graph.paths import make_paths_absolute

    if isinstance(given, str | Path):
        return load_space_file(Path(given), imagenet)
    if isinstance(given, SearchSpace):
        return _with_files(given, imagenet)
    plain = make_paths_absolute(_mapping(given), Path.cwd())
    return _with_files(parse_space(plain, check_names, list_zoo_sources), imagenet)


def load_graph_file(path: Path, imagenet: Mapping[str, str] = NO_FILES) -> Graph:
    """Return the graph in a file. imagenet: see `read_graph`.

    Raises SpecError for a search space, an unknown name, or a target that nothing teaches.
    """
    from ktg.graph.canonical import check_trainable

    if is_space(load(path)):
        advice = "give it to `ktg search`, then `ktg export` a graph"
        raise SpecError("", f"is a search space, not a graph; {advice}", str(path))
    graph = load_graph(path)
    with name_file_in_errors(path):
        _check_files(graph.weights, imagenet, _list_wanted(graph, imagenet))
        graph = dataclasses.replace(graph, weights={**graph.weights, **read_weights(imagenet)})
        check_names(graph)
        for name, node in graph.nodes.items():
            files = graph.sources_for(node.model)
            place = f"nodes.{name}.source"
            if AUTO not in (node.model, node.source):
                resolve_source(node, files, path=place).check(place)
        check_trainable(graph)
    return graph


def load_space_file(path: Path, imagenet: Mapping[str, str] = NO_FILES) -> SearchSpace:
    """Return the search space in a file. imagenet: see `read_graph`.

    Raises SpecError for a graph without holes, and for any option that is wrong. Whether a source
    has weights for each model is not checked here.
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
            models |= _list_wanted(graph, imagenet)
        _check_files(read_weights(space.template.get("weights", {})), imagenet, models)
    return _with_files(space, imagenet)


def check_names(graph: Graph) -> None:
    """Raise SpecError for an unknown data set, model or source, or a path that is not there."""
    from ktg.data.set_names import check_name

    if graph.data.name is not None:
        check_name(graph.data.name)
    elif not Path(graph.data.path or "").exists():
        hint = did_you_mean_path(Path(graph.data.path or ""), (".npz",))
        raise SpecError("data.path", f"there is no {graph.data.path}.{hint}")
    for place in graph.data.unlabelled or ():
        if place != AUTO and not Path(place).exists():
            hint = did_you_mean_path(Path(place))
            problem = f"there is no folder, archive or list {place}.{hint}"
            raise SpecError("data.unlabelled", problem)
    for name, node in graph.nodes.items():
        if node.model != AUTO:
            check_model(node.model, f"nodes.{name}.model")
        if node.source != AUTO:
            check_source_name(node.source, graph.sources, f"nodes.{name}.source")
    for pair, edge in graph.edges.items():
        if edge.distance != FEATURES and not Path(edge.distance).is_file():
            allowed = f"give a table (.csv), word embeddings in text, or {FEATURES}"
            place = f"{edge_path(*pair)}.distance"
            raise SpecError(place, f"there is no file {edge.distance}; {allowed}")


def find_data(data: str) -> Data:
    """Return the data set that a user names: a folder, an .npz, or one known by name."""
    from ktg.data.set_names import NAMES
    from ktg.graph import FORMULAS

    path, names = Path(data).expanduser(), (*NAMES, *FORMULAS)
    if path.exists():
        return Data(path=str(path.absolute()))
    if data in names:
        return Data(name=data)
    what = "is no folder, no .npz and no YAML that is there, and no data set known by name"
    raise UserError(f"{data}: {what}.{did_you_mean(data, names)}")


def shorten_known_model(model: str) -> str:
    """Return the shortest name of a model's network, without the tag of its published weights.

    Raises SpecError where there is no such model.
    """
    check_model(model, "--model")
    return shorten_architecture(model)


def read_imagenet_files(texts: Iterable[str], option: str = "--weights") -> dict[str, Any]:
    """Return by model the files that `MODEL=FILE` texts name, with absolute paths.

    A text may also be a YAML file with a section `weights`, whose entries can say more of a file
    (mean, std, model_args): see `read_weights_section`. Raises UserError, which begins with the
    option, for other texts.
    """
    files: dict[str, Any] = {}
    for text in texts:
        model, equals, file = text.partition("=")
        if not equals and is_yaml(text):
            given = read_weights_section(Path(text).expanduser())
        elif model and equals and file:
            given = {model: str(Path(file).expanduser().absolute())}
        else:
            example = "such as resnet18=resnet18.safetensors, nor a YAML file with `weights:`"
            raise UserError(f"{option}: {show(text)} is not MODEL=FILE, {example}")
        for each in given:
            check_model(each, option)
            if each in files:
                raise UserError(f"{option}: two files are given for {each}; a model has one")
        files |= given
    return files


def read_weights_section(file: Path) -> dict[str, Any]:
    """Return the section `weights` of a YAML file as plain data, with absolute paths.

    The file may be a graph or a space, or have no other section. Raises SpecError for a file
    without it, and for what it may not say.
    """
    from ktg.graph.paths import make_paths_absolute

    with name_file_in_errors(file):
        plain = make_paths_absolute(load(file), file.absolute().parent)
        if "weights" not in plain:
            example = "such as `weights: {resnet18: {path: resnet18.pth, mean: 0.5, std: 0.5}}`"
            raise SpecError("weights", f"this section is missing; give files by model, {example}")
        read_weights(plain["weights"])
        found: dict[str, Any] = plain["weights"]
        return found


def read_weights_option(weights: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """Return by model the files that stand for `source: imagenet`, with absolute paths.

    weights: as in the section `weights` of a file, or a YAML file with that section.
    """
    from ktg.graph.paths import make_paths_absolute

    if isinstance(weights, str | Path):
        return read_weights_section(Path(weights).expanduser())
    plain = {
        "weights": {
            model: os.fspath(file) if isinstance(file, os.PathLike) else file
            for model, file in weights.items()
        }
    }
    found: dict[str, Any] = make_paths_absolute(plain, Path.cwd())["weights"]
    return found


def name_experiment(space: SearchSpace, given: SpaceLike, name: str | None) -> str:
    """Return the experiment's name: `name` if there is one, else the space's own, else its file's.

    Raises UserError for a name that MLflow could not keep.
    """
    from ktg.tracking.store import check_experiment_name

    file = Path(given).stem if isinstance(given, str | Path) else "search"
    chosen = next(one for one in (name, space.name, file) if one is not None)
    if not chosen.strip() or "/" in chosen:
        rule = "it must not be empty or contain a slash"
        raise UserError(f"--name: {show(chosen)} cannot name an experiment; {rule}")
    try:
        check_experiment_name(chosen)
    except UserError as error:
        raise UserError(f"--name: {error}") from None
    return chosen


def check_title(name: str) -> None:
    """Raise UserError for a name of an experiment that no space's file, or no store, could keep."""
    from ktg.graph.parse_space import read_title
    from ktg.tracking.store import check_experiment_name

    try:
        read_title(name)
    except SpecError as error:
        raise UserError(f"--{error}") from None
    check_experiment_name(name)


def name_given_file(given: object) -> AbstractContextManager[None]:
    """Put the name of the file before errors about what is in it, where `given` is a file."""
    return name_file_in_errors(given) if isinstance(given, str | Path) else nullcontext()


def check_writable(path: str | Path) -> Path:
    """Return the path. Raises UserError unless a file can be written there; leaves nothing."""
    path = Path(path)
    folder = path.absolute().parent
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the name of a file")
    if not folder.is_dir():
        raise UserError(f"{path}: there is no folder {folder}; create it first")
    if path.exists() and not os.access(path, os.W_OK):
        raise UserError(f"{path}: is there and may not be written")
    probe = folder / f".ktg-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"{path}: cannot write into {folder}: {error.strerror}") from None
    return path


def check_storage(storage: str | Path | None, kind: str) -> Path | None:
    """Return the folder for Ray's files. Raises UserError where `kind` cannot be written in it."""
    return None if storage is None else check_writable(Path(storage) / kind).parent


def make_folder(path: str | Path) -> Path:
    """Return a folder for drawings, made if it is not there. Raises UserError if it cannot be."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made a folder for drawings: {error.strerror}") from None
    return Path(path)


def check_store(uri: str | None) -> None:
    """Raise UserError unless `uri` is None or names a store of MLflow that can be written."""
    from ktg.tracking.store import check_uri, sqlite_file

    file = None if uri is None else sqlite_file(check_uri(uri))
    if file is not None:
        check_writable(file)


def check_at_least(least: int, **numbers: int | None) -> None:
    """Raise UserError for an argument that is given and below what is allowed."""
    for name, number in numbers.items():
        if number is not None and number < least:
            raise UserError(f"{name}: {number} is not allowed; allowed: {least} or more")


def check_device(device: str | None) -> None:
    """Raise UserError for a device that ktg does not train on, or that this machine has not."""
    if device is None or device == "cpu":
        return
    if not re.fullmatch(r"cuda(:\d+)?", device):
        guess = did_you_mean(device, ("cpu", "cuda"))
        allowed = f"allowed: cpu, cuda, cuda:1 and so on.{guess}"
        raise UserError(f"--device: {show(device)} is not a device; {allowed}")
    import torch

    count = torch.cuda.device_count()
    if int(device.partition(":")[2] or 0) >= count:
        raise UserError(f"--device: {device} is not on this machine; torch sees {count} GPUs here")


def open_tracker(
    experiment: str, uri: str | None, listener: Listener = QUIET
) -> "AbstractContextManager[Tracker]":
    """Return a tracker on a store; for `None` one that keeps its records in memory."""
    from ktg.tracking import MemoryTracker, MlflowTracker

    if uri is None:
        return nullcontext(MemoryTracker())
    return MlflowTracker(experiment, uri, warn=listener.warn)


def _with_files(space: SearchSpace, imagenet: Mapping[str, str]) -> SearchSpace:
    if not imagenet:
        return space
    files = {**space.template.get("weights", {}), **imagenet}
    return dataclasses.replace(space, template={**space.template, "weights": files})


def _list_wanted(graph: Graph, files: Mapping[str, str]) -> frozenset[str]:
    """Return the models of which files may stand for `imagenet`: for `auto` all that are given."""
    nodes = graph.nodes.values()
    given = {*graph.weights, *files} if any(node.source == AUTO for node in nodes) else ()
    return graph.imagenet_models.union(given)


def _check_files(
    own: Mapping[str, SourceFile], given: Mapping[str, str], models: Collection[str]
) -> None:
    """Raise SpecError for a file in place of a model's `imagenet` that is absent or not needed."""
    check_imagenet_files({model: file for model, file in own.items() if model not in given}, models)
    check_imagenet_files(read_weights(given), models, "--imagenet ")


def _mapping(given: object) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        allowed = "a path, plain data or a parsed graph or space"
        raise UserError(f"expected {allowed}, got {show(given)}")
    return given


def name_places(uri: str | None, **given: object) -> list[str]:
    """Return the options that another command must be given: see `ktg.tracking`."""
    from ktg.tracking import name_places as name_them

    return name_them(uri, **given)


def name_store(uri: str | None) -> list[str]:
    """Return the option of a command for a store: see `ktg.tracking`, which is imported late."""
    from ktg.tracking import name_store as name_it

    return name_it(uri)
