"""Describes graphs: what they train, as plain data and as a drawing."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.api.auto_nodes import settle_nodes
from ktg.api.inputs import GraphLike, check_writable, load_graph_file, load_space_file, read_graph
from ktg.api.noise import settle_noise

if TYPE_CHECKING:
    from ktg.graph import Graph, SearchSpace


def draw(graph: GraphLike, title: str = "") -> str:
    """Return a graph's drawing as SVG, which `ktg graph show -o` writes."""
    from ktg.graph import drawing

    return drawing.draw(read_graph(graph), title)


def describe(
    file: str | Path, output: str | Path | None = None, *, full: bool = False
) -> dict[str, Any]:
    """Return what a graph trains: its key, its nodes with their roles, its open edges.

    Of a search space it is the graph whose holes all have their default; `holes` has their names.
    output: draw the graph into this SVG file. full: with `settings`, every field by its dotted
    path, and `recipe`, the paths of the fields that come from the recipe of a node's source.
    """
    from ktg.graph import drawing, edge_key, is_space
    from ktg.graph.canonical import canonical_key, live_nodes, open_edges, teachers
    from ktg.graph.fields import to_plain
    from ktg.graph.yaml_files import load, name_file_in_errors
    from ktg.local import check_ending, write_text

    file = Path(file)
    space = load_space_file(file) if is_space(load(file)) else None
    graph = space.bind(space.default()) if space else load_graph_file(file)
    if full:
        with name_file_in_errors(file):
            graph = settle_noise(settle_nodes(graph))
    picture = None
    if output is not None:
        picture = check_ending(check_writable(output), "a drawing is SVG", ".svg")
    roles = {
        name: "teacher" if name in teachers(graph) else "auxiliary" for name in live_nodes(graph)
    }
    roles[graph.target] = "target"
    if picture:
        write_text(picture, drawing.draw(graph, file.stem))
    return {
        "key": canonical_key(graph),
        "nodes": {
            name: {"role": roles.get(name, "not live"), **to_plain(node)}
            for name, node in graph.nodes.items()
        },
        "open_edges": {edge_key(*pair): to_plain(edge) for pair, edge in open_edges(graph).items()},
        "drawing": picture and str(picture),
        **({"holes": sorted(space.holes)} if space else {}),
        **(_list_settings(graph, _read_without_recipes(file, space)) if full else {}),
    }


def _list_settings(graph: "Graph", plain: "Graph") -> dict[str, Any]:
    """Return every field of a graph by its dotted path, and the paths of those that recipes set.

    plain: the graph as it is without recipes.
    """
    from ktg.graph import edge_path
    from ktg.graph.fields import to_plain
    from ktg.graph.recipes import RECIPE_FIELDS

    parts = {"data": graph.data, "train": graph.train}
    parts |= {f"nodes.{name}": node for name, node in graph.nodes.items()}
    parts |= {edge_path(*pair): edge for pair, edge in graph.edges.items()}
    settings = {
        f"{path}.{key}": value
        for path, part in parts.items()
        for key, value in to_plain(part, full=True).items()
    }
    from_recipes = [
        f"nodes.{name}.{key}"
        for name, node in graph.nodes.items()
        for key in RECIPE_FIELDS
        if getattr(node, key) != getattr(plain.nodes[name], key)
    ]
    return {"settings": settings, "recipe": from_recipes}


def _read_without_recipes(file: Path, space: "SearchSpace | None") -> "Graph":
    """Return the graph of a file, or of its space, as version 1 of the format means it."""
    from ktg.graph import parse
    from ktg.graph.yaml_files import load

    if space is None:
        return parse({**load(file), "version": 1})
    old = dataclasses.replace(space, template={**space.template, "version": 1})
    return old.fill(space.default())


def make_space_schema() -> dict[str, Any]:
    """Return the JSON Schema of search spaces, for an editor."""
    from ktg.graph.json_schema import json_schema

    return json_schema("space")
