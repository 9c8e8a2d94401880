"""Describes graphs: what they train, as plain data and as a drawing."""

from pathlib import Path
from typing import Any

from ktg.api.inputs import GraphLike, check_writable, load_graph_file, load_space_file, read_graph


def draw(graph: GraphLike, title: str = "") -> str:
    """Return a graph's drawing as SVG, which `ktg graph show -o` writes."""
    from ktg.graph import drawing

    return drawing.draw(read_graph(graph), title)


def describe(file: str | Path, output: str | Path | None = None) -> dict[str, Any]:
    """Return what a graph trains: its key, its nodes with their roles, its open edges.

    Of a search space it is the graph whose holes all have their default; `holes` has their names.
    output: draw the graph into this SVG file.
    """
    from ktg.graph import drawing, edge_key, is_space
    from ktg.graph.canonical import canonical_key, live_nodes, open_edges, teachers
    from ktg.graph.fields import to_plain
    from ktg.graph.yaml_files import load

    file = Path(file)
    space = load_space_file(file) if is_space(load(file)) else None
    graph = space.bind(space.default()) if space else load_graph_file(file)
    picture = None if output is None else check_writable(output)
    roles = {
        name: "teacher" if name in teachers(graph) else "auxiliary" for name in live_nodes(graph)
    }
    roles[graph.target] = "target"
    if picture:
        picture.write_text(drawing.draw(graph, file.stem), encoding="utf-8")
    return {
        "key": canonical_key(graph),
        "nodes": {
            name: {"role": roles.get(name, "not live"), **to_plain(node)}
            for name, node in graph.nodes.items()
        },
        "open_edges": {edge_key(*pair): to_plain(edge) for pair, edge in open_edges(graph).items()},
        "drawing": picture and str(picture),
    } | ({"holes": sorted(space.holes)} if space else {})


def make_space_schema() -> dict[str, Any]:
    """Return the JSON Schema of search spaces, for an editor."""
    from ktg.graph.json_schema import json_schema

    return json_schema("space")
