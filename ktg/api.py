"""The commands of `ktg` as functions of Python, under the same names: `import ktg; ktg.search("space.yaml")`.

`import ktg` loads none of this, and this module nothing heavy, until a function is called. Graphs and spaces may be
given as paths, as plain data (what YAML gives; relative paths begin in the working folder), or parsed. A mistake is a
`ktg.errors.UserError` in one sentence. What the command line keeps in `mlflow.db` these functions keep there too;
`tracking_uri=None` keeps nothing.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.errors import UserError, show

if TYPE_CHECKING:
    from ktg.affinity.correlation import Figures
    from ktg.affinity.ranking import Measured
    from ktg.confirming.graph import Confirmed
    from ktg.confirming.verdict import Confirmation
    from ktg.exporting.classifier import Classifier, Prediction
    from ktg.exporting.deliver import Delivered
    from ktg.exporting.pixels import Picture
    from ktg.pretraining.pretrain import Pretrained
    from ktg.reporting.status import Status
    from ktg.searching.outcome import Result
    from ktg.searching.supply import Missing
    from ktg.space import SearchSpace
    from ktg.spec import Graph
    from ktg.studying import Row
    from ktg.tracking import Tracker

    GraphLike = Graph | Mapping[str, Any] | str | Path
    SpaceLike = SearchSpace | Mapping[str, Any] | str | Path

STORE = "sqlite:///mlflow.db"


def check(file: str | Path) -> dict[str, Any]:
    """Return what a space, a graph, a folder or an .npz of images is and would cost; raise UserError if it is wrong."""
    from ktg.cli.check import describe

    return describe(Path(file), {})


def search(
    space: "SpaceLike",
    *,
    name: str | None = None,
    trials: int | None = None,
    seed: int | None = None,
    address: str | None = None,
    storage: str | Path | None = None,
    missing_sources: "Missing" = "stop",
    confirm: int | None = None,
    seeds: int = 5,
    tracking_uri: str | None = STORE,
) -> "Result":
    """Search a space for its best graph, and return that graph (`.best`) with the baselines beside it (`.rows`).

    name: of the experiment; default: the space's own, or its file's. trials, seed: instead of what the space says.
    address: a Ray cluster to join. storage: a folder for Ray's files; on a cluster one that all machines share.
    missing_sources: whether options that cannot be supplied with weights stop the search or are left out.
    confirm: then confirm so many best graphs with so many `seeds`; `.confirmation` is the JSON of `ktg.confirm`.
    The page of `ktg report` is kept with the search. To go on with one that was interrupted there is
    `ktg search --resume`.
    """
    import dataclasses

    from rich.console import Console

    from ktg.cli.confirm import run as confirmed
    from ktg.cli.load import experiment_name
    from ktg.cli.report import keep_report
    from ktg.confirming.check import check_test
    from ktg.searching.run import search as run

    loaded = _space(space)
    plan = loaded.search
    plan = dataclasses.replace(plan, trials=trials or plan.trials, seed=plan.seed if seed is None else seed)
    loaded = dataclasses.replace(loaded, search=plan)
    experiment = experiment_name(loaded, Path(space) if isinstance(space, str | Path) else Path("search"), name)
    if confirm is not None:
        if tracking_uri is None:
            raise UserError("confirm: needs a store to read the search from; give a tracking_uri")
        check_test(loaded, confirm)
    with _tracker(experiment, tracking_uri) as tracker:
        place = Path(storage) if storage else None
        result = run(loaded, experiment, tracker, missing_sources=missing_sources, address=address, storage=place)
    if tracking_uri is not None and result.best is not None and not result.interrupted:
        if confirm is not None:
            top = min(confirm, result.finished)
            found = confirmed(experiment, top, seeds, tracking_uri, Console(quiet=True), address, place)
            result = dataclasses.replace(result, confirmation=found.to_json())
        keep_report(experiment, tracking_uri)
    return result


def confirm(
    experiment: str,
    *,
    top: int = 1,
    seeds: int = 5,
    address: str | None = None,
    storage: str | Path | None = None,
    tracking_uri: str = STORE,
) -> "Confirmation":
    """Train the best graphs and the baselines of an experiment's last search again with new seeds, and test them.

    Returns what `ktg confirm` prints: `.sentence` says whether the best graph is better than each baseline. What an
    earlier call has finished is not trained again.
    """
    from rich.console import Console

    from ktg.cli.confirm import run
    from ktg.cli.report import keep_report

    place = Path(storage) if storage else None
    confirmation = run(experiment, top, seeds, tracking_uri, Console(quiet=True), address, place)
    keep_report(experiment, tracking_uri)
    return confirmation


def train(
    graph: "GraphLike",
    *,
    seeds: int = 1,
    weights: str | Path | None = None,
    name: str = "train",
    device: str | None = None,
    force: bool = False,
    tracking_uri: str | None = STORE,
) -> "Confirmed":
    """Train a graph on all but the test split, over several seeds, then read that split once: mean and deviation.

    weights: keep the network of the first seed in this .safetensors file, which must not be there unless `force`.
    name: of the experiment, where the graph is no file.
    """
    from ktg.confirming.graph import confirm

    loaded = _graph(graph)
    file = Path(weights) if weights is not None else None
    if file is not None:
        from ktg.exporting.formats import check_weights_file

        check_weights_file(file, force=force)
    with _tracker(Path(graph).stem if isinstance(graph, str | Path) else name, tracking_uri) as tracker:
        confirmed = confirm(loaded, seeds, tracker, device=device)
    if file is not None:
        from ktg.exporting.trained import write_confirmed

        write_confirmed(file, loaded, confirmed)
    return confirmed


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
    force: bool = False,
    device: str | None = None,
    tracking_uri: str = STORE,
) -> "Delivered":
    """Write the best graph of an experiment (or a chosen one), and the trained network in the forms that are asked for.

    The arguments are the options of `ktg export`; `experiment` may also be a .safetensors file of ktg.
    """
    from ktg.exporting.best import Wanted
    from ktg.exporting.deliver import deliver
    from ktg.exporting.formats import Formats

    given = {"weights": weights, "onnx": onnx, "int8": int8, "torch_export": torch_export, "card": card}
    return deliver(
        str(experiment),
        tracking_uri,
        output=None if output is None else Path(output),
        wanted=Wanted(top, None if trial is None else str(trial), baseline),
        formats=Formats(**{kind: None if file is None else Path(file) for kind, file in given.items()}),
        all_nodes=all_nodes,
        name=register,
        final=final,
        force=force,
        device=device,
    )


def load(model: str | Path, device: str | None = None) -> "Classifier":
    """Return a trained model, a .safetensors or .onnx file of ktg: `.predict(images)`, `.classes`, `.about`."""
    from ktg.exporting import classifier

    return classifier.load(model, device)


def predict(
    model: "Classifier | str | Path",
    images: "Picture | Iterable[Picture]",
    *,
    batch_size: int = 64,
    device: str | None = None,
) -> "list[Prediction]":
    """Return what a model says of images: paths, folders, patterns, bytes, arrays (H, W[, 3]) uint8, Pillow images.

    Raises DataError at the first that cannot be read; `ktg.load(model).stream(images)` goes on instead.
    """
    from ktg.exporting.classifier import Classifier
    from ktg.exporting.find import spelled_out

    classifier = model if isinstance(model, Classifier) else load(model, device)
    return classifier.predict(spelled_out(images), batch_size)


def serve(model: str | Path, port: int = 5001, *, device: str | None = None) -> None:
    """Answer requests for labels over HTTP, by MLflow's scoring server, for this machine only, until Ctrl-C."""
    from ktg.exporting.pyfunc import serve as run

    run(model, port, device=device)


def ui(port: int = 5000, tracking_uri: str = STORE) -> None:
    """Show searches and trials in MLflow's pages, for this machine only, until Ctrl-C."""
    from ktg.tracking import serve_ui

    serve_ui(tracking_uri, port)


def draw(graph: "GraphLike", title: str = "") -> str:
    """Return a graph's drawing as SVG, which `ktg graph show -o` writes."""
    from ktg import drawing

    return drawing.draw(_graph(graph), title)


def report(
    experiment: str, output: str | Path | None = None, *, retrain: bool | None = None, tracking_uri: str = STORE
) -> dict[str, Any]:
    """Return the numbers of the report on an experiment's last search, as `ktg report --json` prints them.

    output: write the page to this file, and keep it with the search in MLflow.
    retrain: train the best graph again for its mistakes; default: if that takes under a minute.
    """
    from ktg.cli.options import check_writable
    from ktg.cli.report import ARTIFACT, write_page
    from ktg.reporting.page import report_page
    from ktg.reporting.record import read_search
    from ktg.reporting.report import report as make
    from ktg.tracking import attach, find_experiment

    if output is not None:
        check_writable(Path(output))
    record = read_search(find_experiment(experiment, tracking_uri))
    data = make(record, retrain=retrain)
    if output is not None:
        page = report_page(data, record.space.holes)
        write_page(Path(output), page)
        attach(experiment, tracking_uri, record.run.run, ARTIFACT, page)
    return data


def compare(*experiments: str, output: str | Path | None = None, tracking_uri: str = STORE) -> dict[str, Any]:
    """Return the last searches of several experiments side by side, as `ktg compare --json` prints them.

    output: write the comparison as an HTML page to this file.
    """
    from ktg.cli.compare import check_several
    from ktg.cli.options import check_writable
    from ktg.cli.report import write_page
    from ktg.reporting.compare import compare as make
    from ktg.reporting.page import compare_page
    from ktg.reporting.record import read_search
    from ktg.tracking import find_experiment

    check_several(experiments)
    if output is not None:
        check_writable(Path(output))
    data = make([read_search(find_experiment(name, tracking_uri)) for name in experiments])
    if output is not None:
        write_page(Path(output), compare_page(data))
    return data


def searches(*, tracking_uri: str = STORE) -> "list[Status]":
    """Return how the last search of every experiment of a store stands, the newest first."""
    from ktg.reporting.status import statuses
    from ktg.tracking import find_experiments

    return statuses(find_experiments(tracking_uri))


def status(experiment: str, *, tracking_uri: str = STORE) -> "Status":
    """Return how the last search of an experiment stands: its state, trials by state, the best so far."""
    from ktg.reporting.status import status_of
    from ktg.tracking import find_experiment

    return status_of(find_experiment(experiment, tracking_uri))


def stop(experiment: str, *, tracking_uri: str = STORE) -> None:
    """Ask the running search of an experiment to end as after Ctrl-C."""
    from ktg.tracking import request_stop

    request_stop(experiment, tracking_uri)


def rank(
    data: str | Path,
    among: Iterable[str] = (),
    *,
    score: str = "parc",
    sample: int = 2000,
    seed: int = 0,
    device: str | None = None,
) -> "dict[str, Measured]":
    """Return what affinity says of pretrained weights, the best by `score` first, as `ktg affinity rank` does.

    data: a folder, an .npz, a data set known by name, or the file of a graph or search space.
    among: `MODEL@SOURCE` texts; default: what the target of the search space can be.
    Nothing is written to MLflow. Raises UserError for a candidate that cannot be measured.
    """
    from rich.console import Console

    from ktg.affinity.ranking import ordered
    from ktg.cli.affinity.asked import asked, checked_score, measure_all

    chosen, given = checked_score(score), asked(str(data))
    found, failed = measure_all(given, given.among(tuple(among)), sample, seed, device, None, Console(quiet=True))
    if failed:
        raise UserError("; ".join(failed.values()))
    return {name: found[name] for name in ordered(found, chosen)}


def correlate(table: str | Path, *, accuracy: str | None = None, group: str | None = None) -> "dict[str, Figures]":
    """Return how well each score column of a CSV foretells its accuracy column, as `ktg affinity correlate` does."""
    from ktg.affinity.correlation import correlate as run
    from ktg.affinity.table import read_table

    return run(read_table(Path(table), accuracy, group))


def study(
    *spaces: str | Path,
    among: Iterable[str] = (),
    seeds: int = 3,
    sample: int = 2000,
    test: bool = False,
    device: str | None = None,
    tracking_uri: str | None = STORE,
) -> "list[Row]":
    """Fine-tune every candidate on the data of each space or graph and score it, as `ktg affinity study` does.

    among: `MODEL@SOURCE` texts; default: what the target of each space can be.
    test: also read the test split, once at the end of every training. `ktg.studying.table_text` makes the rows the
    table that `ktg.correlate` reads. A candidate that failed says so in its row.
    """
    from ktg.affinity.record import EXPERIMENT
    from ktg.cli.affinity.study import checked_targets
    from ktg.cli.options import check_device
    from ktg.models.device import device_of
    from ktg.studying import study as run
    from ktg.tracking import ending

    targets = checked_targets(tuple(map(str, spaces)), tuple(among))
    check_device(device)
    with _tracker(EXPERIMENT, tracking_uri) as tracker:
        parent = tracker.start("study", params={"seeds": seeds, "test": test}, tags={"kind": "study"})
        with ending(tracker, parent):
            return run(targets, seeds, tracker, parent, test=test, sample=sample, device=device_of(device))


def pretrain(
    data: str,
    *,
    model: str | None = None,
    name: str | None = None,
    preset: str | None = None,
    replace: bool = False,
    device: str | None = None,
    tracking_uri: str | None = STORE,
    **options: Any,
) -> "Pretrained":
    """Pretrain a network and keep it in the zoo, as `ktg source pretrain` does; return its card.

    data: a formula, a data set known by name, a folder, an .npz, or the file of a graph of one node.
    options: size, per_class, epochs, batch_size, lr, seed, source; of a formula classes, points and scale.
    """
    from ktg.cli.pretrain import described_graph
    from ktg.pretraining.pretrain import pretrain as run

    graph = described_graph(data, model, preset, **options)
    called = name or (graph.data.name if not data.endswith((".yaml", ".yml")) else None) or Path(data).stem
    with _tracker("pretraining", tracking_uri) as tracker:
        return run(graph, called, tracker, replace=replace, device=device)


def _graph(given: "GraphLike") -> "Graph":
    """Return a graph with every name in it checked."""
    from ktg.canonical import check_taught
    from ktg.cli.load import check_names, checked_graph
    from ktg.paths import absolute_paths
    from ktg.spec import Graph, parse

    if isinstance(given, str | Path):
        return checked_graph(Path(given))
    graph = given if isinstance(given, Graph) else parse(absolute_paths(_mapping(given), Path.cwd()))
    check_names(graph)
    check_taught(graph)
    return graph


def _space(given: "SpaceLike") -> "SearchSpace":
    """Return a search space with every option in it checked."""
    from ktg.cli.load import check_names, checked_space
    from ktg.models.names import zoo_sources
    from ktg.paths import absolute_paths
    from ktg.space import SearchSpace, parse_space

    if isinstance(given, str | Path):
        return checked_space(Path(given))
    if isinstance(given, SearchSpace):
        return given
    return parse_space(absolute_paths(_mapping(given), Path.cwd()), check_names, zoo_sources)


def _mapping(given: object) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise UserError(f"expected a path, plain data or a parsed graph or space, got {show(given)}")
    return given


def _tracker(experiment: str, uri: str | None) -> "AbstractContextManager[Tracker]":
    from ktg.tracking import MemoryTracker, MlflowTracker

    return nullcontext(MemoryTracker()) if uri is None else MlflowTracker(experiment, uri)
