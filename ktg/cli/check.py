"""`ktg check`."""

import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg.cli.load import checked_graph, checked_space
from ktg.cli.options import as_json, imagenet_files, missing_sources, print_json
from ktg.errors import UserError, did_you_mean_path
from ktg.graph import Data, Graph, SearchSpace, is_space
from ktg.graph.yaml_files import load, name_file_in_errors

if TYPE_CHECKING:
    from ktg.searching.missing_weights import Missing

FEW = 100


@click.command(epilog="Example: ktg check search_spaces/quickstart.yaml")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--schema", is_flag=True, help="Print the JSON Schema of search spaces instead, for an editor."
)
@imagenet_files("--weights", "--imagenet")
@missing_sources
@as_json
def check(
    file: Path | None,
    schema: bool,
    imagenet: dict[str, str],
    missing_sources: "Missing",
    as_json: bool,
) -> None:
    """Check a space, a graph, a folder or an .npz of images, and say what it would cost."""
    if schema:
        from ktg.graph.json_schema import json_schema

        click.echo(json.dumps(json_schema("space"), indent=2))
        return
    if file is None:
        raise click.UsageError("Missing argument 'FILE'.")
    found = describe(file, imagenet, missing_sources)
    if as_json:
        print_json(found)
        return
    for what, value in found.items():
        click.echo(f"{what:<12} {value if not isinstance(value, dict | list) else ''}".rstrip())
        for key, count in (value if isinstance(value, dict) else {}).items():
            click.echo(f"  {key:<10} {count}")
        for sentence in value if isinstance(value, list) else []:
            click.echo(f"  {sentence}")


def describe(
    file: Path, imagenet: Mapping[str, str], missing_sources: "Missing" = "stop"
) -> dict[str, Any]:
    """Return what a file or folder is, in plain data; raise UserError for anything wrong with it."""
    if file.is_dir() or file.suffix == ".npz":
        return {"kind": "data"} | describe_data(Data(path=str(file.absolute())))
    if not file.exists() and not file.suffix:
        raise UserError(
            f"{file}: there is no such file or folder.{did_you_mean_path(file, ('.yaml', '.yml', '.npz'))}"
        )
    if is_space(load(file)):
        return {"kind": "search space"} | check_space(file, imagenet, missing_sources)
    graph = checked_graph(file, imagenet)
    found = {"kind": "graph"} | describe_graph(graph) | describe_data(graph.data)
    with name_file_in_errors(file):
        check_weights(graph)
    return found


def check_space(
    file: Path, imagenet: Mapping[str, str], missing_sources: "Missing"
) -> dict[str, Any]:
    """Return what a search space is, and what a search would do without for want of weights."""
    from ktg.searching.missing_weights import supplied

    space = checked_space(file, imagenet)
    with name_file_in_errors(file):
        found = supplied(space, missing_sources)
    graph = found.space.bind(found.space.default())
    described = describe_space(found.space, graph) | describe_data(graph.data)
    return described | ({"without": found.changes} if found.changes else {})


def check_weights(graph: Graph) -> None:
    """Raise UserError for a batch that is too large, and for weights that `ktg train` could not have.

    torch is imported only if a node has weights.
    """
    from ktg.searching.preflight import check_graphs, count_images

    for fault in check_graphs([graph], functools.partial(count_images, final=True)).values():
        raise fault


def describe_graph(graph: Graph) -> dict[str, Any]:
    """Return what a graph trains."""
    from ktg.graph.canonical import live_nodes, open_edges, teachers

    dead = [name for name in graph.nodes if name not in live_nodes(graph)]
    return {
        "target": "ensemble"
        if graph.ensemble
        else f"{graph.target} ({graph.nodes[graph.target].model})",
        "nodes": ", ".join(live_nodes(graph)),
        "teachers": ", ".join(teachers(graph)) or "none",
        "not live": ", ".join(dead) or "none",
        "open edges": len(open_edges(graph)),
        "cost": f"{len(live_nodes(graph))} networks x {graph.train.epochs} epochs for each seed",
    }


def describe_space(space: SearchSpace, graph: Graph) -> dict[str, Any]:
    """Return how large a space is and what its search would cost."""
    from ktg.searching.baselines import baselines

    size, search, epochs = space.size(), space.search, graph.train.epochs
    most = search.trials if size is None else min(search.trials, size)
    full = len(baselines(space)) * epochs if search.baselines else 0
    expected = round(most * expected_epochs(space, epochs)) + full
    return {
        "holes": len(space.holes),
        **describe_affinity(space),
        "graphs": f"{size:,}" if size is not None else "a continuum",
        "trials": search.trials,
        "cost": f"about {expected} epochs of up to {len(graph.nodes)} networks, "
        f"{most * epochs + full} if none were stopped early",
    }


def describe_affinity(space: SearchSpace) -> dict[str, Any]:
    """Return how many candidates would be measured before the first trial; nothing if there is no affinity hole."""
    from ktg.graph.affinity_holes import list_candidates

    found = {name: f"{len(pairs)} candidates" for name, pairs in list_candidates(space).items()}
    return (
        {"affinity": {"before": "the first trial, by one pass over training images each", **found}}
        if found
        else {}
    )


def expected_epochs(space: SearchSpace, epochs: int) -> float:
    """Return the epochs a trial gets on average if at every rung one in `reduction_factor` goes on."""
    search = space.search
    if search.scheduler == "none":
        return float(epochs)
    spent, rung, share = 0.0, 0.0, 1.0
    following = float(search.grace_epochs)
    while following < epochs:
        spent += share * (following - rung)
        rung, following, share = (
            following,
            following * search.reduction_factor,
            share / search.reduction_factor,
        )
    return spent + share * (epochs - rung)


def describe_data(data: Data) -> dict[str, Any]:
    """Return the number of images in each class and split, without decoding any, and what of them may surprise."""
    from ktg.data.open import summarize

    found = summarize(data)
    if found is None:
        return {
            "data": f"{data.name}, not on this machine yet: it is downloaded at the first training"
        }
    counts = {split: f"{sum(images)} images" for split, images in found.counts.items()}
    fewest = {split: min(images) for split, images in found.counts.items()}
    per_class = {
        split: f"{counts[split]}, at least {fewest[split]} in each class" for split in counts
    }
    if found.unlabelled is not None:
        per_class["unlabelled"] = f"{found.unlabelled} images"
    noted = [*puzzling(data), *coarse(sum(found.counts["val"]))]
    return {"classes": len(found.classes), "data": per_class} | ({"note": noted} if noted else {})


def puzzling(data: Data) -> Iterator[str]:
    """Yield sentences on what lies in the folder of a data set and is used by nothing, or as what it may not be."""
    from ktg.data.folder import find_nested, find_unused
    from ktg.errors import join_names

    root = Path(data.path or "")
    if data.path is None or not root.is_dir():
        return
    used = data.unlabelled and os.path.relpath(data.unlabelled, root)
    images, folders = (
        [name for name in found if used not in (".", name)] for found in find_unused(root)
    )
    if images:
        lie = "1 image lies" if len(images) == 1 else f"{len(images)} images lie"
        yield f"{lie} beside the class folders and not in one, so nothing uses them: {join_names(images, 5)}"
    if folders:
        yield f"folders beside train/ are used only if they are val/ or test/; not used: {join_names(folders, 5)}"
    if below := find_nested(root):
        named = join_names(below, 5)
        yield f"no class has images but in folders of its own; if these are the classes, go one down: {named}"


def coarse(val: int) -> Iterator[str]:
    """Yield a sentence where one validation image more or less looks like progress."""
    if 0 < val < FEW:
        yield f"of {val} validation images one is {100 / val:.1f} points of accuracy: small differences are luck"
