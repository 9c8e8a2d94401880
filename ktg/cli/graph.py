"""`ktg graph show`."""

from pathlib import Path

import click

from ktg.cli.load import checked_graph, checked_space
from ktg.cli.options import as_json, check_writable, print_json
from ktg.graph import is_space
from ktg.graph.yaml_files import load


@click.group(no_args_is_help=False)
def graph() -> None:
    """Look at a graph."""


@graph.command(epilog="Example: ktg graph show best.yaml -o best.svg")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Draw the graph into this SVG file."
)
@as_json
def show(file: Path, output: Path | None, as_json: bool) -> None:
    """Print what FILE trains: live nodes, teachers, open edges; draw it with -o.

    Of a search space it is the graph whose holes all have their default, with which the baselines
    begin.
    """
    space = checked_space(file) if is_space(load(file)) else None
    loaded = space.bind(space.default()) if space else checked_graph(file)
    if output:
        check_writable(output)

    from ktg.graph import edge_key
    from ktg.graph.canonical import canonical_key, live_nodes, open_edges, teachers
    from ktg.graph.fields import to_plain

    roles = {name: "teacher" if name in teachers(loaded) else "auxiliary" for name in live_nodes(loaded)}
    roles = {
        name: "target" if name == loaded.target else roles.get(name, "not live")
        for name in loaded.nodes
    }
    edges = {edge_key(*pair): to_plain(edge) for pair, edge in open_edges(loaded).items()}
    if output:
        from ktg.graph.drawing import draw

        output.write_text(draw(loaded, file.stem), encoding="utf-8")
    if as_json:
        nodes = {name: {"role": roles[name], **to_plain(node)} for name, node in loaded.nodes.items()}
        holes = {"holes": sorted(space.holes)} if space else {}
        print_json(
            {
                "key": canonical_key(loaded),
                "nodes": nodes,
                "open_edges": edges,
                "drawing": output and str(output),
            }
            | holes
        )
        return
    if space:
        click.echo(
            f"{file}: a search space of {len(space.holes)} holes; with all of them at their default:"
        )
    for name, node in loaded.nodes.items():
        click.echo(f"{name:<8} {roles[name]:<10} {node.model}, from {node.source}")
    for name, edge in edges.items():
        click.echo(f"{name:<19} " + ", ".join(f"{field} {value}" for field, value in edge.items()))
    if output:
        click.echo(f"drawn in {output}")
