"""`ktg check`."""

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ktg.cli.load import checked_graph, checked_space
from ktg.cli.options import as_json, print_json
from ktg.files import load, naming
from ktg.models.names import locate_file
from ktg.space import SearchSpace, is_space
from ktg.spec import Data, Graph


@click.command(epilog="Example: ktg check search_spaces/quickstart.yaml")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of search spaces instead, for an editor.")
@as_json
def check(file: Path | None, schema: bool, as_json: bool) -> None:
    """Check a space, a graph, a folder or an .npz of images, and say what it would cost."""
    if schema:
        from ktg.schema import json_schema

        click.echo(json.dumps(json_schema("space"), indent=2))
        return
    if file is None:
        raise click.UsageError("Missing argument 'FILE'.")
    found = describe(file)
    if as_json:
        print_json(found)
        return
    for what, value in found.items():
        click.echo(f"{what:<12} {value if not isinstance(value, dict) else ''}".rstrip())
        for key, count in (value if isinstance(value, dict) else {}).items():
            click.echo(f"  {key:<10} {count}")


def describe(file: Path) -> dict[str, Any]:
    """Return what a file or folder is, in plain data; raise UserError for anything wrong with it."""
    if file.is_dir() or file.suffix == ".npz":
        return {"kind": "data"} | describe_data(Data(path=str(file.absolute())))
    if is_space(load(file)):
        from ktg.searching.feasible import one_by_one

        space = checked_space(file)
        graph = space.bind(space.default())
        found = {"kind": "search space"} | describe_space(space, graph) | describe_data(graph.data)
        graphs = one_by_one(space)
    else:
        graph = checked_graph(file)
        found = {"kind": "graph"} | describe_graph(graph) | describe_data(graph.data)
        graphs = iter([graph])
    with naming(file):
        check_needs(graphs, final="graphs" not in found)
    return found


def check_needs(graphs: Iterable[Graph], *, final: bool) -> None:
    """Raise UserError for a batch that is too large, and for a weights file that is not for its model.

    final: the graphs are to be trained by `ktg train`, on the training and validation splits together.
    torch is imported only if there is such a file, to read it.
    """
    from ktg.data import check_batch
    from ktg.searching.feasible import image_spec

    counts = functools.cache(training_images)
    seen: set[object] = set()
    for graph in graphs:
        found = counts(image_spec(graph.data), final)
        if found is not None:
            check_batch(graph.data, found[1])
        for name, node in graph.nodes.items():
            file = locate_file(node.source, graph.sources, f"nodes.{name}.source")
            network = (file, node.model, tuple(node.model_args.items()), node.input_size)
            if file is not None and network not in seen:
                seen.add(network)
                check_file(graph, name, classes=found[0] if found else 2)


def training_images(data: Data, final: bool) -> tuple[int, int] | None:
    """Return the number of classes and of images to train on; None where the data set is not on this machine yet."""
    from ktg.data import summary

    found = summary(data)
    if found is None:
        return None
    merged = final and data.per_class is None
    return len(found.classes), sum(found.counts["train"]) + (sum(found.counts["val"]) if merged else 0)


def check_file(graph: Graph, name: str, *, classes: int) -> None:
    """Raise WeightsError unless a node's file of weights can be read and fits its model."""
    from ktg.models.architecture import usual_size
    from ktg.models.source import check_weights

    node = graph.nodes[name]
    # The images' own size is known only once they are opened; of no model does it change the shapes of the weights.
    side = graph.data.size or usual_size(node.model)
    check_weights(node, graph.sources, classes=classes, image_size=side, where=f"nodes.{name}")


def describe_graph(graph: Graph) -> dict[str, Any]:
    """Return what a graph trains."""
    from ktg.canonical import live, open_edges, teachers

    dead = [name for name in graph.nodes if name not in live(graph)]
    return {
        "target": f"{graph.target} ({graph.nodes[graph.target].model})",
        "nodes": ", ".join(live(graph)),
        "teachers": ", ".join(teachers(graph)) or "none",
        "not live": ", ".join(dead) or "none",
        "open edges": len(open_edges(graph)),
        "cost": f"{len(live(graph))} networks x {graph.train.epochs} epochs for each seed",
    }


def describe_space(space: SearchSpace, graph: Graph) -> dict[str, Any]:
    """Return how large a space is and what its search would cost."""
    from ktg.searching.baselines import baselines

    size, search, epochs = space.size(), space.search, graph.train.epochs
    full = len(baselines(space)) * epochs if search.baselines else 0
    expected = round(search.trials * expected_epochs(space, epochs)) + full
    return {
        "holes": len(space.holes),
        "graphs": f"{size:,}" if size is not None else "a continuum",
        "trials": search.trials,
        "cost": f"about {expected} epochs of up to {len(graph.nodes)} networks, "
        f"{search.trials * epochs + full} if none were stopped early",
    }


def expected_epochs(space: SearchSpace, epochs: int) -> float:
    """Return the epochs a trial gets on average if at every rung one in `reduction_factor` goes on."""
    search = space.search
    if search.scheduler == "none":
        return float(epochs)
    spent, rung, share = 0.0, 0.0, 1.0
    following = float(search.grace_epochs)
    while following < epochs:
        spent += share * (following - rung)
        rung, following, share = following, following * search.reduction_factor, share / search.reduction_factor
    return spent + share * (epochs - rung)


def describe_data(data: Data) -> dict[str, Any]:
    """Return the number of images in each class and split, without decoding any."""
    from ktg.data import summary

    found = summary(data)
    if found is None:
        return {"data": f"{data.name}, not on this machine yet: it is downloaded at the first training"}
    counts = {split: f"{sum(images)} images" for split, images in found.counts.items()}
    fewest = {split: min(images) for split, images in found.counts.items()}
    per_class = {split: f"{counts[split]}, at least {fewest[split]} in each class" for split in counts}
    return {"classes": len(found.classes), "data": per_class}
