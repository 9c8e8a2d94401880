"""Exports from an experiment to graphs, and from a graph to a trained network in every form."""

import dataclasses
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ktg.data import Dataset
from ktg.data.open import open_data
from ktg.errors import UserError
from ktg.exporting.formats import Formats, WrittenFormats, write_formats
from ktg.exporting.graph_files import (
    ChosenGraph,
    ExportedGraph,
    TrialChoice,
    check_free,
    choose_graphs,
    export_graphs,
    write_graph,
)
from ktg.exporting.metadata import POOLED, Accuracy, ModelMetadata
from ktg.exporting.model_file import SUFFIX, read_model, write_model
from ktg.exporting.pooled import PooledModel, train_pool
from ktg.exporting.registering import register_network, temporary_file
from ktg.exporting.retrain import (
    describe_model,
    name_weights_files,
    retrain,
    train_to_calibrate,
    write_weights,
)
from ktg.graph import Graph
from ktg.graph.canonical import live_nodes
from ktg.searching.history import read_last_search
from ktg.searching.seeds import OnEpoch
from ktg.tracking import find_experiment, name_store
from ktg.tracking.models import check_model_name
from ktg.training import Training


@dataclass(frozen=True)
class ExportResult:
    """What was written: graphs, files of weights by node, and other forms.

    `about` describes the network, None where none was trained or read. `same_data` is False when
    the images here are not those that the search saw; `registered` is the address of the version
    in MLflow's model registry.
    """

    graphs: tuple[ExportedGraph, ...]
    weights: dict[str, Path]
    written: WrittenFormats
    about: ModelMetadata | None = None
    same_data: bool = True
    registered: str | None = None


def export(
    source: str,
    uri: str,
    *,
    output: Path | None = None,
    choice: TrialChoice | None = None,
    formats: Formats | None = None,
    all_nodes: bool = False,
    name: str | None = None,
    final: bool = False,
    force: bool = False,
    calibrated: bool = True,
    pooled: bool = False,
    device: torch.device | str | None = None,
    on_epoch: OnEpoch | None = None,
    decoding: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> ExportResult:
    """Export from an experiment of the store `uri`, or from a trained model file (.safetensors).

    The graph of an experiment goes to `output` (default: best.yaml), and is trained once more if
    any format is wanted, with its own seed, on the training split, or (`final`) on the validation
    split too; then the calibration takes another training (see `train_to_calibrate`), unless it is
    left out (`calibrated`). That of a model file goes to `output` where one is given. `name` is
    that of a model in the store's registry, where the network becomes a new version.
    pooled: the greedy ensemble of all trainings instead, one model, whose members `say` names while
    they are trained. Raises UserError before any training for whatever can be known before.
    """
    choice, formats = choice or TrialChoice(), formats or Formats()
    formats.check()
    _check(choice, formats, all_nodes, name)
    if pooled:
        _check_pooled(source, output, choice, formats, for_one=all_nodes or final)
    check_free(list(formats.files.values()), force=force)
    if Path(source).suffix == SUFFIX:
        if choice != TrialChoice() or all_nodes or final or not calibrated:
            wrong = "--trial, --top, --baseline, --all-nodes, --final and --no-calibrate"
            raise UserError(f"{source}: is one network, trained already; leave out {wrong}")
        result = _from_model(
            Path(source), output, formats, force, decoding, registered=name is not None
        )
        return _register(result, Path(source), name, uri)
    if pooled:
        search = read_last_search(find_experiment(source, uri))
        if search.of > 1:
            say(search.sentence)
        found = train_pool(
            search,
            calibrated=calibrated,
            device=device,
            on_epoch=on_epoch,
            decoding=decoding,
            say=say,
        )
        return _register(_from_pool(found, formats), formats.weights, name, uri)
    file = output or Path("best.yaml")
    if not formats.files and name is None:
        graphs = tuple(export_graphs(source, uri, file, choice, force=force))
        return ExportResult(graphs, {}, WrittenFormats())
    (chosen,) = choose_graphs(source, uri, file, choice, force=force)
    graph, metric = chosen.graph, chosen.search.metric
    if all_nodes and formats.weights:
        _check_nodes(graph, formats.weights, force=force)
    training, accuracies = retrain(
        graph,
        final=final,
        device=device,
        on_epoch=on_epoch,
        decoding=decoding,
        metric=metric,
    )
    by = train_to_calibrate(graph, training) if calibrated else None
    result = _from_training(chosen, training, accuracies, formats, all_nodes, by)
    # Last: who mends what stopped the command gives it again, and nothing that is trained is lost.
    graphs = (write_graph(graph, file, force=force, search=chosen.search),)
    result = dataclasses.replace(result, graphs=graphs)
    if name is None or formats.weights is not None:
        return _register(result, formats.weights, name, uri)
    file = temporary_file(name)
    write_weights(file, graph, training, accuracies, by=by)
    result = _register(result, file, name, uri)
    file.unlink()
    return result


def _check_nodes(graph: Graph, weights: Path, *, force: bool) -> None:
    """Raise UserError where the files of all nodes of a graph cannot be written."""
    if graph.ensemble:
        raise UserError("the file of an ensemble has all its nodes in it; leave out --all-nodes")
    check_free(list(name_weights_files(weights, graph, live_nodes(graph)).values()), force=force)


def _register(result: ExportResult, file: Path | None, name: str | None, uri: str) -> ExportResult:
    """Return the result with the network registered, where a name for it is given."""
    if name is None or file is None or result.about is None:
        return result
    try:
        return dataclasses.replace(
            result, registered=register_network(file, result.about, name, uri)
        )
    except UserError as error:
        again = shlex.join(["ktg", "export", str(file), "--register", name, *name_store(uri)])
        raise UserError(f"{error}; the trained network is kept, to try again: `{again}`") from error


def _from_training(
    chosen: ChosenGraph,
    training: Training,
    accuracies: dict[str, Accuracy],
    formats: Formats,
    all_nodes: bool,
    by: Training | None,
) -> ExportResult:
    """Write the forms of the network that was trained from a graph; return them without it."""
    graph, search = chosen.graph, chosen.search
    weights: dict[str, Path] = {}
    if formats.weights:
        weights = write_weights(
            formats.weights, graph, training, accuracies, all_nodes=all_nodes, by=by
        )
    metadata = describe_model(graph, training, graph.target, accuracies.get(graph.target), by)
    written = write_formats(formats, training.scored, metadata, training.dataset)
    same_data = search is None or search.has_same_images()
    return ExportResult((), weights, written, metadata, same_data)


def _from_pool(found: PooledModel, formats: Formats) -> ExportResult:
    """Write the forms of an ensemble of several trainings."""
    weights: dict[str, Path] = {}
    if formats.weights:
        write_model(formats.weights, found.network, found.about)
        weights = {"ensemble": formats.weights}
    written = write_formats(formats, found.network, found.about, found.dataset)
    return ExportResult((), weights, written, found.about)


def _from_model(
    file: Path,
    output: Path | None,
    formats: Formats,
    force: bool,
    decoding: Callable[[int, int], None] | None,
    *,
    registered: bool,
) -> ExportResult:
    """Write the forms of a network that is trained already."""
    if formats.weights:
        raise UserError(f"{file}: is a file of weights already; leave out --weights")
    if output is None and not formats.files and not registered:
        raise UserError(
            f"{file}: say what to make of it: --onnx, --torch-export, --int8, --card, --register "
            "or -o"
        )
    network, metadata = read_model(file)
    # Before anything is written, as it may be refused.
    dataset = _images(metadata, file, decoding) if formats.int8 else None
    if output and POOLED in metadata.graph.provenance:
        trials = metadata.graph.provenance[POOLED]
        problem = f"no one graph trains its networks, which are of {trials}; leave out -o"
        raise UserError(f"{file}: {problem}")
    graphs = (write_graph(metadata.graph, output, force=force),) if output else ()
    beside = dataclasses.replace(formats, weights=file)  # for the card, which shows how to use it
    written = write_formats(beside, network, metadata, dataset)
    return ExportResult(graphs, {}, written, metadata)


def _images(
    metadata: ModelMetadata, file: Path, decoding: Callable[[int, int], None] | None
) -> Dataset:
    """Return the images that a model was trained on. Raises UserError for others."""
    dataset = open_data(metadata.graph.data, progress=decoding)
    if dataset.fingerprint != metadata.training.fingerprint:
        raise UserError(f"{file}: the images at hand are not those that this model was trained on")
    return dataset


def _check_pooled(
    source: str,
    output: Path | None,
    choice: TrialChoice,
    formats: Formats,
    *,
    for_one: bool,
) -> None:
    """Raise UserError for what cannot be asked of the ensemble of all trainings."""
    if Path(source).suffix == SUFFIX:
        raise UserError(f"{source}: --pooled is for an experiment, not for a model file")
    if choice != TrialChoice() or for_one:
        wrong = "--trial, --top, --baseline, --all-nodes and --final are for one graph"
        raise UserError(f"--pooled exports several trainings as one model; {wrong}")
    if output is not None:
        raise UserError("--pooled: no one graph trains its members; leave out -o")
    if formats.weights is None:
        raise UserError("--pooled: give --weights, the file of the ensemble")


def _check(choice: TrialChoice, formats: Formats, all_nodes: bool, name: str | None) -> None:
    if sum((choice.top > 1, choice.trial is not None, choice.baseline is not None)) > 1:
        raise UserError("--top, --trial and --baseline say different things; give one of them")
    if name is not None:
        check_model_name(name)
    if choice.top > 1 and (formats.files or name is not None):
        raise UserError(
            "--top writes several graphs; export the weights of one of them with --trial"
        )
    if all_nodes and not formats.weights:
        raise UserError(
            "--all-nodes is about files of weights; give --weights model.safetensors too"
        )
