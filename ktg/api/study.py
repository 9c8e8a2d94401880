"""Says how well affinity scores predict accuracy: from a table, or from a study that makes one."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ktg.api import inputs
from ktg.api.affinity import read_input
from ktg.api.listener import QUIET, Listener
from ktg.errors import DataError, UserError
from ktg.graph.holes import TauRank
from ktg.local import check_ending

if TYPE_CHECKING:
    from ktg.affinity.correlation import ScoreCorrelation as ScoreCorrelation
    from ktg.affinity.study import StudyRow as StudyRow
    from ktg.affinity.study import Target
    from ktg.affinity.table import Table

TAU_RANKS: tuple[TauRank, ...] = get_args(TauRank)


@dataclass(frozen=True)
class Correlations:
    """The figures of each score column of a table, and which columns are baselines."""

    table: "Table"
    figures: "Mapping[str, ScoreCorrelation]"
    baselines: tuple[str, ...]
    tau_rank: TauRank = "none"
    group: str | None = None

    def by_strength(self) -> "list[tuple[str, ScoreCorrelation, float]]":
        """Return names, figures and correlations in the intended direction, the strongest first."""
        from ktg.affinity.correlation import orient

        rows = [(name, found, orient(name, found)) for name, found in self.figures.items()]
        return sorted(rows, key=lambda row: -row[2])

    def beaten_by(self) -> dict[str, tuple[int, int]]:
        """Return how many scores each baseline beats, and of how many."""
        from ktg.affinity.correlation import count_beaten

        return {
            name: count_beaten(dict(self.figures), name, list(self.baselines))
            for name in self.baselines
            if self.figures[name].spearman is not None
        }

    def draw(self) -> dict[str, bytes]:
        """Return an SVG drawing of each score and one of all, by the names of their files."""
        from ktg.affinity.plots import draw_correlations, draw_scatter

        drawn = {
            name: draw_scatter(self.table, name, found) for name, found in self.figures.items()
        }
        drawn["correlations"] = draw_correlations(self.figures, self.baselines)
        return {re.sub(r"[^\w.-]", "_", name) + ".svg": svg for name, svg in drawn.items()}

    def to_json(self) -> dict[str, Any]:
        """Return all figures as plain data, with how many scores each baseline beats."""
        beats = {name: {"beats": n, "of": of} for name, (n, of) in self.beaten_by().items()}
        return {
            "accuracy": self.table.accuracy_name,
            "group": self.group,
            "tau_rank": self.tau_rank,
            "baselines": beats,
            "scores": {name: found.to_json() for name, found in self.figures.items()},
        }


@dataclass(frozen=True)
class Study:
    """The rows of a study, the table they make as CSV, and how its scores correlate with accuracy.

    `correlations` is None where there are too few rows; `problem` says so then.
    """

    rows: "list[StudyRow]"
    text: str
    correlations: Correlations | None
    problem: str

    def to_json(self) -> dict[str, Any]:
        """Return the rows and the correlations as plain data."""
        found = self.correlations.to_json() if self.correlations else {"scores": {}}
        return {"rows": [row.to_json() for row in self.rows]} | found


def correlate(
    table: str | Path, *, accuracy: str | None = None, group: str | None = None
) -> "dict[str, ScoreCorrelation]":
    """Return how well each score column of a CSV predicts its accuracy column."""
    return dict(correlate_table(table, accuracy=accuracy, group=group).figures)


def correlate_table(
    table: str | Path,
    *,
    accuracy: str | None = None,
    group: str | None = None,
    baselines: Iterable[str] = (),
    tau_rank: TauRank = "none",
    seed: int = 0,
) -> Correlations:
    """Return the figures of each score column of a CSV, as `ktg affinity correlate` prints them.

    accuracy: its column; default: one known as such. group: the column that names the data set of
    a row. baselines: columns that a score should beat; default: those known as such.
    tau_rank: by what models weigh in the weighted tau. seed: of the bootstrap.
    """
    from ktg.affinity.correlation import correlate
    from ktg.affinity.table import read_table

    read = read_table(Path(table), accuracy, group)
    found = correlate(read, tau_rank, seed)
    return Correlations(read, found, find_baselines(baselines, list(found)), tau_rank, group)


def find_baselines(given: Iterable[str], columns: list[str]) -> tuple[str, ...]:
    """Return the columns that are baselines. Raises UserError for one that is not there."""
    from ktg.affinity.correlation import BASELINES

    given = tuple(given)
    for name in given:
        if name not in columns:
            listed = ", ".join(columns)
            raise UserError(f"--baseline: there is no score column {name!r}; columns: {listed}")
    return given or tuple(name for name in columns if name.lower() in BASELINES)


def study(
    *spaces: str | Path,
    among: Iterable[str] = (),
    seeds: int = 3,
    sample: int = 2000,
    test: bool = False,
    device: str | None = None,
    tracking_uri: str | None = inputs.STORE,
) -> "list[StudyRow]":
    """Fine-tune every candidate on the data of each space or graph, and score it.

    among: `MODEL@SOURCE` texts; default: what the target of each space can be.
    test: also read the test split, once at the end of every training.
    `ktg.affinity.study.table_text` makes the rows the table that `ktg.correlate` reads. A candidate
    that failed says so in its row.
    """
    return run_study(
        *spaces,
        among=among,
        seeds=seeds,
        sample=sample,
        test=test,
        device=device,
        tracking_uri=tracking_uri,
    ).rows


def run_study(
    *spaces: str | Path,
    among: Iterable[str] = (),
    seeds: int = 3,
    sample: int = 2000,
    test: bool = False,
    device: str | None = None,
    output: Path | None = None,
    plots: Path | None = None,
    tracking_uri: str | None = inputs.STORE,
    listener: Listener = QUIET,
    progress: Callable[[str, int, int], None] | None = None,
) -> Study:
    """Run a study as `study` does, and record its table and drawings in MLflow.

    output: also write the table to this file. plots: also write the drawings into this folder.
    progress: called with what is trained, how many epochs are done, and how many there are.
    """
    targets = plan_targets(spaces, tuple(among))
    inputs.check_device(device)
    inputs.check_store(tracking_uri)
    if output:
        check_ending(inputs.check_writable(output), "the table of a study is CSV", ".csv")
    folder = inputs.make_folder(plots) if plots else None

    from ktg.affinity.record import EXPERIMENT
    from ktg.affinity.study import format_table
    from ktg.affinity.study import study as run
    from ktg.local import write_text
    from ktg.models.network import choose_device

    params = {"seeds": seeds, "test": test}
    with inputs.open_tracker(EXPERIMENT, tracking_uri, listener) as tracker:
        parent = tracker.start("study", params=params, tags={"kind": "study"})
        rows = run(
            targets,
            seeds,
            tracker,
            parent,
            test=test,
            sample=sample,
            device=choose_device(device),
            progress=progress,
            decoding=listener.decoding,
        )
        text = format_table(rows, test)
        listed = json.dumps([row.to_json() for row in rows], indent=1)
        tracker.artifact(parent, "table.csv", text)
        tracker.artifact(parent, "study.json", listed)
        if output:
            write_text(output, text)
        found, problem = correlate_text(text)
        drawings = found.draw() if found else {}
        for name, content in drawings.items():
            tracker.artifact(parent, f"plots/{name}", content)
        if folder:
            write_drawings(drawings, folder)
        tracker.end(parent, "finished" if found else "failed")
    return Study(rows, text, found, problem)


def write_drawings(drawings: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write drawings into a folder, and return their paths."""
    for name, content in drawings.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in drawings]


def plan_targets(spaces: tuple[str | Path, ...], among: tuple[str, ...]) -> "list[Target]":
    """Return the data sets and candidates to study.

    Raises UserError for two files of one name, and for too few candidates to correlate.
    """
    from ktg.affinity.study import Target
    from ktg.affinity.table import LEAST_ROWS

    targets = []
    for name in spaces:
        given = read_input(str(name))
        if given.graph is None:
            raise UserError(f"{name}: says nothing of how to train; give a search space or a graph")
        candidates = given.choose_candidates(among)
        if len(candidates) < LEAST_ROWS:
            problem = f"{len(candidates)} candidates; a correlation needs at least {LEAST_ROWS}"
            advice = "give them as options of the target's source, or with --among"
            raise UserError(f"{name}: {problem}: {advice}")
        targets.append(Target(Path(name).stem, given.graph, candidates))
    names = [target.name for target in targets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        problem = "two files of this name; the rows of the table could not be told apart"
        raise UserError(f"{twice}: {problem}")
    return targets


def correlate_text(text: str) -> tuple[Correlations | None, str]:
    """Return the correlations of a table in CSV text, or None and why there are none."""
    from ktg.affinity.correlation import correlate
    from ktg.affinity.table import parse_table

    lines = [line for line in text.splitlines() if not line.startswith("#")]
    sets = {line.partition(",")[0] for line in lines} - {"dataset"}
    try:
        read = parse_table(text, "the study", group="dataset" if len(sets) > 1 else None)
    except DataError as error:
        return None, str(error)
    found = correlate(read)
    group = "dataset" if read.groups else None
    return Correlations(read, found, find_baselines((), list(found)), group=group), ""
