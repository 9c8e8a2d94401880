"""Turns the name of a source, as a node says it, into a value that knows about its weights.

A node says `source: zoo/animals`. `resolve_source` reads that name once and returns one of the
kinds of `ktg.models.sources`. Importing this module costs neither torch nor timm.
"""

import fnmatch
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from ktg.errors import MissingSourceError, SpecError, did_you_mean, show
from ktg.graph import IMAGENET, Graph, Node, SourceFile
from ktg.graph.paths import WEIGHT_SUFFIXES
from ktg.graph.vocabulary import Scalar
from ktg.models.names import HUB, check_model, shorten_architecture
from ktg.models.sources import (
    HubWeights,
    NoWeights,
    Published,
    Source,
    WeightsFile,
    ZooEntry,
    check_weights_file,
)
from ktg.zoo import Card, default_zoo, find_zoo, shipped_zoo
from ktg.zoo.card import check_name
from ktg.zoo.folder import MissingEntryError

BUILTIN_SOURCES = ("none", IMAGENET, "fractaldb")
ZOO = "zoo/"


def resolve_source(
    node: Node,
    sources: Mapping[str, SourceFile],
    base: Path | None = None,
    path: str = "source",
) -> Source:
    """Return where the weights of a node come from; its model must be a known one.

    sources: the files that the node may name (`Graph.sources_for`); relative paths begin in `base`.
    path: the dotted place of the node's `source` for messages: `nodes.n1.source`.

    Raises SpecError for what is no source, and its kind MissingSourceError where the zoo has no
    such entry. A node without `model_args` inherits those of its zoo entry; raises SpecError for
    different ones. Whether the user's file is there, and whether somebody publishes weights for the
    model, is left to `check` of what is returned.
    """
    # The user's own names come first, so that a file named `imagenet` can stand in for a download.
    stated = sources.get(node.source)
    if stated is not None:
        if stated.model_args:
            node = _inherit_args(node, stated.model_args, "is said to be of a network", path)
        return WeightsFile(node, stated.path, base, stated)
    entry = find_entry_name(node.source, sources, path)
    if entry is not None:
        card = _find_card(entry, node.model, path)
        made = f"was made for {card.model}"
        return ZooEntry(_inherit_args(node, card.model_args, made, path), card)
    if node.source in BUILTIN_SOURCES:
        return Published(node) if node.source == IMAGENET else NoWeights(node)
    if node.source.startswith(HUB):
        return HubWeights(node)
    if "/" in node.source or node.source.endswith(WEIGHT_SUFFIXES):
        return WeightsFile(node, node.source, base)
    allowed = [*BUILTIN_SOURCES, *sources]
    file = f"the path of a {'/'.join(WEIGHT_SUFFIXES)} file"
    listed = f"{', '.join(allowed)}, {ZOO}NAME, {HUB}OWNER/NAME, or {file}"
    hint = did_you_mean(node.source, allowed)
    raise SpecError(path, f"{show(node.source)} is not a source; allowed: {listed}.{hint}")


def check_source_name(source: str, sources: Mapping[str, SourceFile], path: str) -> None:
    """Raise SpecError unless `source` names weights, for whatever model: the zoo is not asked."""
    if find_entry_name(source, sources, path) is None:
        resolve_source(Node(model="", source=source), sources, path=path).check(path)


def inherit_model_args(graph: Graph, names: Mapping[str, str]) -> Graph:
    """Return the graph with the `model_args` that its nodes inherit from their weights.

    Entries of the zoo have them on their cards, files where `sources` or `weights` says so.

    `names` are what the user calls the nodes, for messages. So what is trained, and a model file's
    own description, say how the network is built on a machine that has no such zoo.
    """
    nodes = {
        name: resolve_source(
            node, graph.sources_for(node.model), path=f"nodes.{names[name]}.source"
        ).node
        for name, node in graph.nodes.items()
        if not node.model_args
    }
    nodes = {name: node for name, node in nodes.items() if node.model_args}
    return replace(graph, nodes={**graph.nodes, **nodes}) if nodes else graph


def check_imagenet_files(
    weights: Mapping[str, SourceFile], wanted: Collection[str], place: str = "weights."
) -> None:
    """Raise SpecError unless the files in place of `imagenet` are there, for models that want them.

    weights: the file by model. wanted: the models that start from `imagenet`. A file for any other
    model is an error, because it would not be read, and what it was meant for be downloaded.
    Errors are at `place` and the model.
    """
    for model, file in weights.items():
        at = f"{place}{model}"
        check_model(model, at)
        check_weights_file(file.path, at)
        if model not in wanted:
            allowed = ", ".join(sorted(wanted)) or "none, because no node starts from imagenet"
            problem = f"no node starts {model!r} from imagenet; models that do: {allowed}."
            raise SpecError(at, problem + did_you_mean(model, wanted))


def list_zoo_sources(pattern: str, model: str) -> list[str]:
    """Return `zoo/NAME` of the entries for `model` that match a pattern such as `zoo/*`.

    Those of the user's zoo come before those of ktg's.
    """
    stem = shorten_architecture(model).replace("/", ".")
    keys = [key.split("/", 1) for zoo in (default_zoo(), shipped_zoo()) for key in zoo.list_keys()]
    names = list(dict.fromkeys(f"{ZOO}{name}" for name, of in keys if of == stem))
    return [name for name in names if fnmatch.fnmatchcase(name, pattern)]


def find_entry_name(
    source: str, sources: Mapping[str, SourceFile], path: str = "source"
) -> str | None:
    """Return the name of the zoo's entry that `source` stands for, None for anything else.

    `zoo/animals` -> `animals`; `fractaldb` is short for `zoo/fractaldb`. `zoo/x.pth` is a path,
    because of its suffix, and a name of the user's own (`sources`) comes before the zoo.
    """
    if source in sources or source.endswith(WEIGHT_SUFFIXES):
        return None
    if source == "fractaldb":
        return source
    return check_name(source.removeprefix(ZOO), path) if source.startswith(ZOO) else None


def _find_card(name: str, model: str, path: str) -> Card:
    try:
        stem = shorten_architecture(model)
        return find_zoo(name, stem).get(name, stem)
    except MissingEntryError as error:
        bringing = "`ktg zoo build`, `add` or `pull`"
        if name == "fractaldb":
            command = f"`ktg source pretrain fractaldb --model {model}`"
            bringing = f"{command}, or bring one with {bringing}"
        problem = f"{error} Make it with {bringing}; `ktg zoo list` shows what there is"
        raise MissingSourceError(path, problem) from None


def _inherit_args(node: Node, args: Mapping[str, Scalar], made: str, path: str) -> Node:
    """Return the node with the `model_args` of its weights. Raises SpecError if it has others."""
    if not node.model_args and args:
        return replace(node, model_args=args)
    if dict(node.model_args) != dict(args):
        given, own = (dict(each) or "none" for each in (node.model_args, args))
        problem = f"{made} with model_args {own}, this node has {given}"
        raise SpecError(f"{path.removesuffix('source')}model_args", f"{node.source} {problem}")
    return node
