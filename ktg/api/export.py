"""Exports graphs of a search, and their trained networks in every form."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.api.inputs import STORE, check_device, check_writable
from ktg.api.listener import QUIET, Listener

if TYPE_CHECKING:
    from ktg.exporting.export import ExportResult as ExportResult
    from ktg.exporting.graph_files import ExportedGraph as ExportedGraph
    from ktg.searching.seeds import OnEpoch


def export(
    experiment: str | Path,
    output: str | Path | None = None,
    *,
    trial: str | int | None = None,
    top: int = 1,
    baseline: str | None = None,
    weights: str | Path | None = None,
    all_nodes: bool = False,
    onnx: str | Path | None = None,
    int8: str | Path | None = None,
    torch_export: str | Path | None = None,
    card: str | Path | None = None,
    register: str | None = None,
    final: bool = False,
    calibrate: bool = True,
    pooled: bool = False,
    force: bool = False,
    device: str | None = None,
    tracking_uri: str = STORE,
    listener: Listener = QUIET,
    on_epoch: "OnEpoch | None" = None,
) -> "ExportResult":
    """Write the best graph of an experiment (or a chosen one), and its trained network.

    The arguments are the options of `ktg export`; `experiment` may also be a .safetensors file of
    ktg. on_epoch: called with the seed, each epoch, and how many there are.
    """
    is_model = Path(experiment).suffix == ".safetensors"  # its graph goes to `output` alone
    if output is not None or not (pooled or is_model):
        check_writable(output or "best.yaml")
    files = {"weights": weights, "onnx": onnx, "int8": int8, "torch_export": torch_export}
    files |= {"card": card}
    paths = {kind: None if file is None else check_writable(file) for kind, file in files.items()}
    check_device(device)

    from ktg.exporting.export import export
    from ktg.exporting.formats import Formats
    from ktg.exporting.graph_files import TrialChoice

    result = export(
        str(experiment),
        tracking_uri,
        output=None if output is None else Path(output),
        choice=TrialChoice(top, None if trial is None else str(trial), baseline),
        formats=Formats(**paths),
        all_nodes=all_nodes,
        name=register,
        final=final,
        calibrated=calibrate,
        pooled=pooled,
        force=force,
        device=device,
        on_epoch=on_epoch,
        decoding=listener.decoding,
        say=listener.say,
    )
    search = result.graphs[0].search if result.graphs else None
    if search is not None and search.of > 1:
        listener.say(search.sentence)
    return result


def dump_exported(delivered: "ExportResult") -> dict[str, Any]:
    """Return what was written as plain data; the first graph's figures stand at the top."""
    from ktg.exporting.metadata import POOLED

    plain: dict[str, Any] = {}
    if delivered.graphs:
        graphs = [
            {"graph": str(g.file), "drawing": str(g.drawing), **g.graph.provenance}
            for g in delivered.graphs
        ]
        plain = {**graphs[0], "graphs": graphs} if len(graphs) > 1 else graphs[0]
        search = delivered.graphs[0].search
        plain |= {} if search is None else {"search": search.to_json()}
    if delivered.about is None:
        return plain
    if POOLED in (origin := delivered.about.graph.provenance):  # by no one graph
        plain = dict(origin)
    accuracy, quantised = delivered.about.accuracy, delivered.written.quantised
    sizes = quantised and {"before": vars(quantised.before), "after": vars(quantised.after)}
    return plain | {
        "weights": {name: str(path) for name, path in delivered.weights.items()},
        "files": {kind: str(path) for kind, path in delivered.written.files.items()},
        "differences": delivered.written.differences,
        "accuracy": accuracy and vars(accuracy),
        "same_data": delivered.same_data,
        "registered": delivered.registered,
        "int8": sizes,
    }
