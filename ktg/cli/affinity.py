"""`ktg affinity`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ktg.cli.decoding import Decoding
from ktg.cli.load import checked_graph, checked_space
from ktg.cli.options import as_json, check_device, check_store, print_json, tracking_uri, warner
from ktg.errors import UserError, did_you_mean, not_one_of
from ktg.spec import Data, SourceFile
from ktg.spec.affinity import SMALLER_IS_BETTER, ScoreName, TauRank

if TYPE_CHECKING:
    from rich.console import Console

    from ktg.affinity.candidate import Candidate
    from ktg.affinity.correlation import Figures
    from ktg.affinity.ranking import Measured
    from ktg.affinity.table import Table

_TAU = {"score": "by score", "accuracy": "by accuracy", "none": "the mean of those by score and by accuracy"}


@click.group()
def affinity() -> None:
    """Ask which pretrained weights suit a data set, and how far to trust the answer."""


@affinity.command(epilog="Example: ktg affinity rank photos/ --among resnet18@imagenet --among resnet18@birds.pth")
@click.argument("data")
@click.option("--among", multiple=True, required=True, metavar="MODEL@SOURCE", help="A candidate; give several.")
@click.option("--score", default="parc", show_default=True, help="The score to sort by.")
@click.option("--sample", type=click.IntRange(2), default=2000, show_default=True, help="Training images to look at.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the sample.")
@click.option("--device", help="cpu, cuda, cuda:1; default: a GPU if there is one.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Draw the ranking into this folder, as SVG.")
@tracking_uri
@as_json
def rank(
    data: str,
    among: tuple[str, ...],
    score: str,
    sample: int,
    seed: int,
    device: str | None,
    output: Path | None,
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Sort pretrained weights by how well they seem to suit DATA, without training.

    DATA is a folder, an .npz, a data set known by name, or a graph or search space (its data and its sources).
    Only training images are looked at.
    """
    chosen = checked_score(score)
    spec, sources = described(data)
    check_device(device)
    check_store(tracking_uri)
    into = folder(output) if output else None

    from rich.console import Console

    from ktg.affinity.candidate import parse
    from ktg.affinity.plots import ranking
    from ktg.affinity.ranking import BASELINES, ordered
    from ktg.affinity.record import EXPERIMENT, record, recorded, table
    from ktg.tracking import MlflowTracker

    candidates = parse(among, sources)
    console = Console(stderr=as_json, highlight=False)
    tracker = MlflowTracker(EXPERIMENT, tracking_uri, warn=warner(console))
    with tracker, recorded(tracker, data, score) as run:
        found, failed = measure_all(candidates, spec, sources, sample, seed, device, console)
        found = {name: found[name] for name in ordered(found, chosen)}
        panels = {name: [one.value(name) for one in found.values()] for name in (score, *BASELINES)}
        chart = ranking(f"Pretrained weights for {data}, by {score}", list(found), panels)
        record(tracker, run, found, failed, chart)
    if into:
        (into / "ranking.svg").write_bytes(chart)
    if as_json:
        print_json({"data": data, "score": score} | table(found, failed))
    else:
        print_ranking(found, failed, score, console)


@affinity.command(epilog="Example: ktg affinity correlate results.csv --group dataset -o plots")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--accuracy", help="Column of the accuracy; default: accuracy, acc or test_accuracy.")
@click.option("--group", help="Column that names the data set of a row: figures for each, and their means.")
@click.option("--baseline", multiple=True, help="Column that a score should beat; default: those known as such.")
@click.option(
    "--tau-rank",
    type=click.Choice(get_args(TauRank)),
    default="none",
    show_default=True,
    help="Weigh models in the weighted tau by their rank by score, by accuracy, or neither (the mean of both).",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the bootstrap.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Draw every score into this folder, as SVG.")
@as_json
def correlate(
    table: Path,
    accuracy: str | None,
    group: str | None,
    baseline: tuple[str, ...],
    tau_rank: TauRank,
    seed: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Say how well each score column of TABLE, a CSV with a row for each model, foretells accuracy.

    Every column of numbers but the accuracy is a score. Lines that start with # are comments.
    """
    from ktg.affinity.correlation import beaten
    from ktg.affinity.correlation import correlate as run
    from ktg.affinity.table import read_table

    read = read_table(table, accuracy, group)
    found = run(read, tau_rank, seed)
    baselines = checked_baselines(baseline, list(found))
    beats = {name: beaten(found, name, baselines) for name in baselines if found[name].spearman is not None}
    drawn = draw_correlations(read, found, baselines, folder(output)) if output else []
    if as_json:
        print_json(
            {
                "accuracy": read.accuracy_name,
                "group": group,
                "tau_rank": tau_rank,
                "baselines": {name: {"beats": count, "of": of} for name, (count, of) in beats.items()},
                "scores": {name: figures.to_json() for name, figures in found.items()},
                "plots": [str(path) for path in drawn],
            }
        )
        return
    print_correlations(read, found, baselines, tau_rank)
    for name, (count, of) in beats.items():
        click.echo(f"{name}, which asks nothing of the data, beats {count} of {of} scores.")
    if drawn:
        click.echo(f"{len(drawn)} drawings in {output}")


def checked_score(name: str) -> ScoreName:
    """Return the affinity score of this name. Raises SpecError where there is none."""
    names: tuple[ScoreName, ...] = get_args(ScoreName)
    for known in names:
        if name == known:
            return known
    raise not_one_of("--score", name, "an affinity score", names, most=len(names))


def described(data: str) -> tuple[Data, Mapping[str, SourceFile]]:
    """Return the data set that the user means, and the sources named beside it (in a graph or search space)."""
    from ktg.data.names import NAMES
    from ktg.files import load
    from ktg.space import is_space

    path = Path(data).expanduser()
    if path.suffix in (".yaml", ".yml"):
        if is_space(load(path)):
            space = checked_space(path)
            graph = space.bind(space.default())
        else:
            graph = checked_graph(path)
        return graph.data, graph.sources
    if path.exists():
        return Data(path=str(path.absolute())), {}
    if data in NAMES:
        return Data(name=data), {}
    hint = did_you_mean(data, NAMES)
    raise UserError(f"{data}: is no folder, no .npz and no YAML that is there, and no data set known by name.{hint}")


def measure_all(
    candidates: "list[Candidate]",
    spec: Data,
    sources: Mapping[str, SourceFile],
    sample: int,
    seed: int,
    device: str | None,
    console: "Console",
) -> "tuple[dict[str, Measured], dict[str, str]]":
    """Return what was measured of each candidate, and why others could not be. Raises UserError if none could."""
    import torch

    from ktg.affinity.ranking import measured
    from ktg.data import open_data

    with Decoding(console) as decoding:
        data = open_data(spec, progress=decoding)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    found: dict[str, Measured] = {}
    failed: dict[str, str] = {}
    for number, candidate in enumerate(candidates, 1):
        with console.status(f"{candidate.name} ({number} of {len(candidates)})") as status:

            def show_progress(done: int, total: int, status: Any = status, name: str = candidate.name) -> None:
                status.update(f"{name}: {done} of {total} images")

            try:
                found[candidate.name] = measured(
                    candidate, data, sources=sources, sample=sample, seed=seed, device=place, progress=show_progress
                )
            except UserError as error:
                failed[candidate.name] = str(error)
    if not found:
        raise UserError("; ".join(failed.values()))
    return found, failed


def print_ranking(found: "dict[str, Measured]", failed: dict[str, str], score: str, console: "Console") -> None:
    """Print the candidates, the best first, with baselines; then all other scores; then what could not be had."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from ktg.affinity.ranking import BASELINES

    columns = list(dict.fromkeys((score, *BASELINES)))
    shown = Table(title=f"By {score}, beside the baselines", title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("")
    shown.add_column("candidate", overflow="fold")
    for column in (*columns, "seconds"):
        shown.add_column(column.replace("_", "\n"), justify="right", no_wrap=True)
    for place, (name, one) in enumerate(found.items(), 1):
        seconds = f"{one.forward_s + sum(one.score_s.values()):.1f}"
        shown.add_row(str(place), name.replace("@", "\n@"), *(brief(one.value(column)) for column in columns), seconds)
    console.print(shown)
    rest = Table(title="All scores", title_justify="left", box=SIMPLE_HEAD)
    rest.add_column("score")
    for place in range(1, len(found) + 1):
        rest.add_column(str(place), justify="right")
    reasons: dict[str, list[str]] = {}
    for name in get_args(ScoreName):
        for place, one in enumerate(found.values(), 1):
            if name in one.not_applicable:
                reasons.setdefault(f"{name} {one.not_applicable[name]}", []).append(str(place))
        if name not in columns and any(name in one.scores for one in found.values()):
            rest.add_row(labelled(name), *(brief(one.value(name)) for one in found.values()))
    console.print(rest)
    for reason, places in reasons.items():
        console.print(f"Not applicable to {', '.join(places)}: {reason}.")
    for name, reason in failed.items():
        console.print(f"Not measured: {name}: {reason}", style="yellow", markup=False)
    layers = ", ".join(
        f"{place} {one.layer} {'x'.join(map(str, one.dimensions))}" for place, one in enumerate(found.values(), 1)
    )
    console.print(f"Feature maps: {layers}; {next(iter(found.values())).images} training images.")


def labelled(name: str) -> str:
    """Return a score's name with an arrow that shows which way is meant to be better."""
    return f"{name} {chr(0x2193) if name.lower() in SMALLER_IS_BETTER else chr(0x2191)}"


def brief(value: float | None) -> str:
    """Return a score as text of a few digits."""
    if value is None:
        return "n/a"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 10 * size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g}"


def checked_baselines(given: tuple[str, ...], columns: list[str]) -> list[str]:
    """Return the columns that are baselines. Raises UserError for one that is not there."""
    from ktg.affinity.correlation import BASELINES

    for name in given:
        if name not in columns:
            raise UserError(f"--baseline: there is no score column {name!r}; columns: {', '.join(columns)}")
    return list(given) or [name for name in columns if name.lower() in BASELINES]


def folder(path: Path) -> Path:
    """Return a folder for output, made if it is not there. Raises UserError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made a folder for drawings: {error.strerror}") from None
    return path


def draw_correlations(read: "Table", found: dict[str, "Figures"], baselines: list[str], into: Path) -> list[Path]:
    """Write a drawing of each score and one of all, and return their paths."""
    from ktg.affinity.plots import correlations, scatter

    drawings = {name: scatter(read, name, figures) for name, figures in found.items()}
    drawings["correlations"] = correlations(found, baselines)
    paths = []
    for name, content in drawings.items():
        path = into / f"{''.join(letter if letter.isalnum() or letter in '-_.' else '_' for letter in name)}.svg"
        path.write_bytes(content)
        paths.append(path)
    return paths


def print_correlations(read: "Table", found: dict[str, "Figures"], baselines: list[str], tau_rank: TauRank) -> None:
    """Print the figures, the best score in its intended direction first."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Grid

    from ktg.affinity.correlation import oriented

    groups = len(read.parts())
    what = f"{len(read.accuracy)} rows" if groups == 1 else f"means over {groups} groups, {len(read.accuracy)} rows"
    shown = Grid(title=f"Correlation with {read.accuracy_name}: {what}", title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("score", no_wrap=True, min_width=12)
    for column in ("Spearman", "95 %", "weighted\ntau", "Kendall", "Pearson", "regret"):
        shown.add_column(column, justify="right", no_wrap=True)
    against = []
    for name in sorted(found, key=lambda name: -oriented(name, found[name])):
        figures = found[name]
        against += [name] if oriented(name, figures) < 0 and figures.spearman is not None else []
        shown.add_row(labelled(name), *cells(figures), style="bold yellow" if name in baselines else None)
    console = Console(highlight=False)
    console.print(shown)
    for line in (
        "Arrows: whether a larger or a smaller score is meant to be better. 95 %: bootstrap over models.",
        f"Weighted tau: hyperbolic weights by rank, {_TAU[tau_rank]}.",
        f"Regret: {read.accuracy_name} lost by taking the model that the score puts first.",
    ):
        console.print(line)
    constant = [name for name, figures in found.items() if figures.spearman is None]
    if constant:
        console.print(f"Undefined, because the column is constant: {', '.join(constant)}.")
    if against:
        console.print(f"Against the intended direction: {', '.join(against)}.")


def cells(figures: "Figures") -> list[str]:
    """Return the figures of one score as text."""
    interval = figures.interval
    values = (figures.weighted_tau, figures.kendall, figures.pearson, figures.regret)
    return [
        number(figures.spearman),
        f"{interval[0]:.2f}..{interval[1]:.2f}" if interval else "-",
        *(number(value) for value in values),
    ]


def number(value: float | None) -> str:
    """Return a figure as text; a dash if it is undefined."""
    return "-" if value is None else f"{value:.3f}"
