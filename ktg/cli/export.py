"""`ktg export`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg.cli.decoding import Decoding
from ktg.cli.options import as_json, check_device, check_writable, percent, print_json, tracking_uri
from ktg.cli.train import printer

if TYPE_CHECKING:
    from ktg.exporting.best import Exported
    from ktg.exporting.deliver import Delivered

A_FILE = click.Path(path_type=Path)


@click.command(
    epilog="Example: ktg export quickstart -o best.yaml --weights model.safetensors --onnx model.onnx --card README.md"
)
@click.argument("source", metavar="EXPERIMENT")
@click.option("-o", "--output", type=A_FILE, help="The graph; default: best.yaml.")
@click.option("--trial", help="This trial, by its name or number, instead of the best.")
@click.option(
    "--top",
    type=click.IntRange(1),
    default=1,
    help="The best K graphs: best-1.yaml, best-2.yaml ...",
)
@click.option("--baseline", help="This baseline instead: alone, distillation, 'mutual learning'.")
@click.option(
    "--weights", type=A_FILE, help="Train the graph again and write its target: model.safetensors."
)
@click.option(
    "--all-nodes",
    is_flag=True,
    help="With --weights: every other node too, as model-n1.safetensors ...",
)
@click.option(
    "--onnx", type=A_FILE, help="The trained target as ONNX, checked against torch: model.onnx."
)
@click.option(
    "--int8", type=A_FILE, help="The same with 8-bit integers, for edge devices: model-int8.onnx."
)
@click.option(
    "--torch-export", type=A_FILE, help="The same as a program of torch.export: model.pt2."
)
@click.option("--card", type=A_FILE, help="A model card: README.md.")
@click.option(
    "--register",
    metavar="NAME",
    help="The trained target as a version of NAME in MLflow's model registry.",
)
@click.option(
    "--final", is_flag=True, help="Train on the validation split too, as `ktg train` does."
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option("--device", help="cpu, cuda, cuda:1; default: a GPU if there is one.")
@tracking_uri
@as_json
def export(
    source: str,
    output: Path | None,
    trial: str | None,
    top: int,
    baseline: str | None,
    tracking_uri: str,
    as_json: bool,
    device: str | None,
    all_nodes: bool,
    register: str | None,
    final: bool,
    force: bool,
    **files: Path | None,
) -> None:
    """Write the best graph of EXPERIMENT's last search as YAML, and its drawing beside it as SVG.

    A search keeps no weights. For --weights, --onnx, --int8, --torch-export, --card and --register
    the graph is trained once more, with its own seed. EXPERIMENT may also be a model.safetensors,
    which is then brought into the other forms, or registered, as it is.
    """
    for path in (output or Path("best.yaml"), *files.values()):
        if path is not None:
            check_writable(path)
    check_device(device)

    from rich.console import Console

    from ktg.exporting.best import Wanted
    from ktg.exporting.deliver import deliver
    from ktg.exporting.formats import Formats

    console = Console(stderr=as_json)
    with Decoding(console) as decoding:
        delivered = deliver(
            source,
            tracking_uri,
            output=output,
            wanted=Wanted(top, trial, baseline),
            formats=Formats(**files),
            all_nodes=all_nodes,
            name=register,
            final=final,
            force=force,
            device=device,
            on_epoch=printer(console),
            decoding=decoding,
        )
    if as_json:
        print_json(to_json(delivered))
    else:
        print_delivered(delivered, top)


def to_json(delivered: "Delivered") -> dict[str, Any]:
    """Return what was written as plain data; the first graph's figures stand at the top."""
    plain: dict[str, Any] = {}
    if delivered.graphs:
        graphs = [
            {"graph": str(g.file), "drawing": str(g.drawing), **g.graph.provenance}
            for g in delivered.graphs
        ]
        plain = {**graphs[0], "graphs": graphs} if len(graphs) > 1 else graphs[0]
    if delivered.about is not None:
        accuracy, quantised = delivered.about.accuracy, delivered.written.quantised
        plain |= {
            "weights": {name: str(path) for name, path in delivered.weights.items()},
            "files": {kind: str(path) for kind, path in delivered.written.files.items()},
            "differences": delivered.written.differences,
            "accuracy": accuracy and vars(accuracy),
            "same_data": delivered.same_data,
            "registered": delivered.registered,
            "int8": quantised
            and {"before": vars(quantised.before), "after": vars(quantised.after)},
        }
    return plain


def print_delivered(delivered: "Delivered", top: int) -> None:
    """Print every file with what is to be known of it, and what to do next."""
    for exported in delivered.graphs:
        click.echo(graph_line(exported))
    if 0 < len(delivered.graphs) < top:
        click.echo(f"only {len(delivered.graphs)} trials are finished")
    if any(exported.running for exported in delivered.graphs):
        click.echo("the search is still running: this is its best so far")
    for path in dict.fromkeys(path for exported in delivered.graphs for path in exported.outside):
        click.echo(
            f"on another machine, the graph needs {path} at the same place, or the new path written into it"
        )
    for line in model_lines(delivered):
        click.echo(line)
    commands = next_commands(delivered)
    if commands:
        click.echo("\nNext:")
    width = max((len(command) for command, _ in commands), default=0)
    for command, why in commands:
        click.echo(f"  {command:<{width}}  # {why}")


def graph_line(exported: "Exported") -> str:
    """Return what is written where, of one graph."""
    if "trial" not in exported.graph.provenance:
        return f"{exported.file} and {exported.drawing}"
    accuracy = percent(exported.accuracy)
    return (
        f"{exported.file} and {exported.drawing}: {exported.trial}, validation accuracy {accuracy}"
    )


def model_lines(delivered: "Delivered") -> list[str]:
    """Return what is written where, of the trained network."""
    about, written = delivered.about, delivered.written
    if about is None:
        return []
    lines = [f"{path}: node {name}" for name, path in delivered.weights.items()]
    for kind, difference in written.differences.items():
        lines.append(f"{written.files[kind]}: logits within {difference:.0e} of torch's")
    if written.quantised is not None:
        before, after = written.quantised.before, written.quantised.after
        seen = ", which it was trained on" if written.quantised.seen else ""
        lines.append(
            f"{written.files['int8']}: 8-bit integers: accuracy {percent(before.accuracy)} -> "
            f"{percent(after.accuracy)} on {written.quantised.images} validation images{seen}, "
            f"{before.latency_ms:.2f} -> {after.latency_ms:.2f} ms for an image on one core, "
            f"{before.size_bytes / 1e6:.2f} -> {after.size_bytes / 1e6:.2f} MB"
        )
    if "card" in written.files:
        lines.append(f"{written.files['card']}: the model card")
    if delivered.registered is not None:
        lines.append(f"{delivered.registered}: the network in MLflow's model registry")
    if about.accuracy is not None:
        whose = (
            "these weights"
            if about.accuracy.n == 1
            else "the training over its seeds, of which this is the first,"
        )
        lines.append(
            f"accuracy of {whose} on the {about.accuracy.split} split: {about.accuracy.text()}"
        )
    elif delivered.weights or delivered.registered:
        lines.append(
            "accuracy of these weights: not measured, as no images were left out of the training"
        )
    if not delivered.same_data:
        lines.append(
            "careful: the images here are not those that the search saw; its figures do not hold for them"
        )
    return lines


def next_commands(delivered: "Delivered") -> list[tuple[str, str]]:
    """Return commands that make sense now, each with why."""
    if delivered.about is not None:
        files = delivered.written.files
        model = files.get("weights") or files.get("onnx")
        commands = (
            [(shlex.join(["ktg", "predict", str(model), "FOLDER"]), "labels of your images")]
            if model
            else []
        )
        if delivered.registered is not None:
            commands.append(("ktg ui", "the model and the search it comes from, in MLflow's pages"))
        return commands
    graph = str(delivered.graphs[0].file)
    test = "retrain on all but the test split, then test: mean and std"
    return [
        (shlex.join(["ktg", "train", graph, "--seeds", "3"]), test),
        (shlex.join(["ktg", "graph", "show", graph]), "what teaches what, in the terminal"),
        ("ktg ui", "every trial and curve, in MLflow's pages"),
    ]
