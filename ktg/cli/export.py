"""Defines `ktg export`."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg import api
from ktg.api.export import dump_exported
from ktg.api.inputs import name_store
from ktg.cli import options
from ktg.cli.screen import Screen, echo, print_json
from ktg.cli.train import make_epoch_printer
from ktg.wording import format_percent

if TYPE_CHECKING:
    from ktg.api.export import ExportedGraph, ExportResult


@click.command(
    epilog="Example: ktg export quickstart -o best.yaml --weights model.safetensors "
    "--onnx model.onnx --card README.md"
)
@click.argument("source", metavar="EXPERIMENT")
@options.file("-o", "--output", help="The graph; default: best.yaml.")
@click.option("--trial", help="This trial, by its name or number, instead of the best.")
@click.option(
    "--top",
    type=click.IntRange(1),
    default=1,
    help="The best K graphs: best-1.yaml, best-2.yaml ...",
)
@click.option("--baseline", help="This baseline instead: alone, distillation, 'mutual learning'.")
@options.file("--weights", help="Train the graph again and write its target: model.safetensors.")
@options.flag(
    "--all-nodes", help="With --weights: every other node too, as model-n1.safetensors ..."
)
@options.file("--onnx", help="The trained target as ONNX, checked against torch: model.onnx.")
@options.file("--int8", help="The same with 8-bit integers, for edge devices: model-int8.onnx.")
@options.file("--torch-export", help="The same as a program of torch.export: model.pt2.")
@options.file("--card", help="A model card: README.md.")
@click.option(
    "--register",
    metavar="NAME",
    help="The trained target as a version of NAME in MLflow's model registry.",
)
@options.flag("--final", help="Train on the validation split too, as `ktg train` does.")
@options.flag(
    "--pooled", help="The ensemble of the search's trainings as one model, not its best graph."
)
@options.calibrate
@options.flag("--force", help="Overwrite files that are there.")
@options.device
@options.tracking_uri
@options.as_json
def export(source: str, output: Path | None, top: int, as_json: bool, **given: Any) -> None:
    """Write the best graph of EXPERIMENT's last search as YAML, and its drawing beside it as SVG.

    The store of a search has no weights. For --weights, --onnx, --int8, --torch-export, --card and
    --register the graph is trained once more, with its own seed. EXPERIMENT may also be a
    model.safetensors, which is then brought into the other forms, or registered, as it is.
    """
    with Screen(stderr=as_json) as screen:
        show, listener = make_epoch_printer(screen), screen.listener
        found = api.export(source, output, top=top, listener=listener, on_epoch=show, **given)
    if as_json:
        print_json(dump_exported(found))
        return
    for line in describe_graphs(found, top):
        echo(line)
    for line in describe_model(found):
        echo(line)
    commands = next_commands(found, given["tracking_uri"])
    if commands:
        echo("\nNext:")
    width = max((len(command) for command, _ in commands), default=0)
    for command, why in commands:
        echo(f"  {command:<{width}}  # {why}")


def describe_graphs(found: "ExportResult", top: int) -> Iterator[str]:
    """Yield lines about the graphs that were written."""
    for exported in found.graphs:
        yield describe_graph(exported)
    if 0 < len(found.graphs) < top:
        yield f"only {len(found.graphs)} trials are finished"
    if any(exported.running for exported in found.graphs):
        yield "the search is still running: this is its best so far"
    for path in dict.fromkeys(path for exported in found.graphs for path in exported.outside):
        needed = f"the graph needs {path} at the same place, or the new path written into it"
        yield f"on another machine, {needed}"


def describe_graph(exported: "ExportedGraph") -> str:
    """Return the files of one graph, with its trial where it comes from a search."""
    files = f"{exported.file} and {exported.drawing}"
    if "trial" not in exported.graph.provenance:
        return files
    accuracy = f"validation accuracy {format_percent(exported.accuracy)} ({exported.basis})"
    return f"{files}: {exported.trial}, {accuracy}"


def describe_model(found: "ExportResult") -> Iterator[str]:
    """Yield lines about the files of the trained network and its accuracy."""
    about, written = found.about, found.written
    if about is None:
        return
    for name, path in found.weights.items():
        yield f"{path}: {about.models if about.members else f'node {name}'}"
    for kind, difference in written.differences.items():
        yield f"{written.files[kind]}: logits within {difference:.0e} of torch's"
    if written.quantised is not None:
        before, after = written.quantised.before, written.quantised.after
        seen = ", which it was trained on" if written.quantised.seen else ""
        yield (
            f"{written.files['int8']}: 8-bit integers: accuracy "
            f"{format_percent(before.accuracy)} -> {format_percent(after.accuracy)} "
            f"on {written.quantised.images} validation images{seen}, "
            f"{before.latency_ms:.2f} -> {after.latency_ms:.2f} ms for an image on one core, "
            f"{before.size_bytes / 1e6:.2f} -> {after.size_bytes / 1e6:.2f} MB"
        )
    if "card" in written.files:
        yield f"{written.files['card']}: the model card"
    if found.registered is not None:
        yield f"{found.registered}: the network in MLflow's model registry"
    if about.accuracy is not None:
        several = "the training over its seeds (these weights: the first),"
        whose = "these weights" if about.accuracy.n == 1 else several
        split, text = about.accuracy.split, about.accuracy.format()
        yield f"accuracy of {whose} on the {split} split: {text}"
    elif found.weights or found.registered:
        why = "as no images were left out of the training"
        yield f"accuracy of these weights: not measured, {why}"
    if not found.same_data:
        other = "the images here are not those that the search saw"
        yield f"careful: {other}; its figures do not hold for them"


def next_commands(found: "ExportResult", uri: str) -> list[tuple[str, str]]:
    """Return commands that make sense now, each with why; uri: of the store."""
    pages = shlex.join(["ktg", "ui", *name_store(uri)])
    if found.about is None:
        graph = str(found.graphs[0].file)
        test = "retrain on all but the test split, then test: mean and std"
        return [
            (shlex.join(["ktg", "train", graph, "--seeds", "3"]), test),
            (shlex.join(["ktg", "graph", "show", graph]), "what teaches what, in the terminal"),
            (pages, "every trial and curve, in MLflow's pages"),
        ]
    commands = []
    model = found.written.files.get("weights") or found.written.files.get("onnx")
    if model:
        label = shlex.join(["ktg", "predict", str(model), "FOLDER"])
        commands.append((label, "labels of your images"))
    if found.registered is not None:
        commands.append((pages, "the model and the search it comes from, in MLflow's pages"))
    return commands
