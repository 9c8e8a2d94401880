"""What leaves the system: a trial's own graph, the best if nothing else is asked for, with where it comes from."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ktg.errors import UserError, did_you_mean, show
from ktg.graph import Graph, dump, parse
from ktg.graph.drawing import draw
from ktg.graph.paths import list_files, make_paths_relative
from ktg.graph.spec import Scalar
from ktg.graph.yaml_files import loads, save
from ktg.local import atomic_write
from ktg.tracking import Experiment, RunRecord, find_experiment
from ktg.version import __version__

SUFFIXES = (".yaml", ".yml")
VERSIONS = ("torch", "timm", "ray", "optuna")
_USABLE = ("finished", "stopped")


@dataclass(frozen=True)
class Wanted:
    """Which trials of a search: the `top` best ones, or one by its name or number, or a baseline by its name."""

    top: int = 1
    trial: str | None = None
    baseline: str | None = None


@dataclass(frozen=True)
class Exported:
    """A graph and the files it was written to; `outside` are the absolute paths in it that stay on this machine."""

    graph: Graph
    file: Path
    drawing: Path
    outside: tuple[str, ...]
    running: bool

    @property
    def accuracy(self) -> float:
        """The trial's accuracy on the validation split, in [0, 1]."""
        return float(self.graph.provenance["val_accuracy"])

    @property
    def trial(self) -> str:
        """The trial's name."""
        return str(self.graph.provenance["trial"])


def export_graphs(
    experiment: str, uri: str, output: Path, wanted: Wanted | None = None, *, force: bool = False
) -> list[Exported]:
    """Write graphs of an experiment's last search, and a drawing beside each; the best one to `output`.

    Of several the files are `best-1.yaml`, `best-2.yaml` and so on. A graph is copied from the
    trial's own record.
    Raises UserError for an output that is not named as YAML, or is there already (unless `force`),
    and when there is no such experiment, search or trial in a state to be exported; nothing is
    written then.
    """
    wanted = wanted or Wanted()
    files = graph_files(output, wanted.top)
    check_free([*files, *(file.with_suffix(".svg") for file in files)], force=force)
    found = find_experiment(experiment, uri)
    search, trials = choose(found, wanted)
    graphs = [_graph(found, search, trial) for trial in trials]
    running = search.state == "running"
    pairs = zip(graphs, files, strict=False)  # there may be fewer finished trials than asked for
    return [write_graph(graph, file, force=force, running=running) for graph, file in pairs]


def graph_files(output: Path, top: int) -> list[Path]:
    """Return the names of the files that `top` graphs go to; raise UserError unless they are named as YAML."""
    if output.suffix not in SUFFIXES:
        raise UserError(
            f"{output}: a graph is a YAML file; give a name that ends in {' or '.join(SUFFIXES)}"
        )
    return (
        [output]
        if top == 1
        else [output.with_stem(f"{output.stem}-{place}") for place in range(1, top + 1)]
    )


def check_free(files: Sequence[Path], *, force: bool) -> None:
    """Raise UserError for the first of the files that has no folder, or is there already and may not be overwritten."""
    for file in files:
        if not file.absolute().parent.is_dir():
            raise UserError(f"{file}: there is no folder {file.absolute().parent}; create it first")
        if not force and os.path.lexists(file):
            raise UserError(
                f"{file}: is there already; give --force to overwrite it, or another name"
            )


def choose(experiment: Experiment, wanted: Wanted) -> tuple[RunRecord, list[RunRecord]]:
    """Return the newest search that holds what is wanted, and its trials, the most accurate first.

    Of trials with equal accuracy that of lower loss comes first. By its name a stopped trial can be
    had too.
    """
    searches = experiment.of_kind("search")
    if not searches:
        raise UserError(
            f"experiment {experiment.name!r} holds no search; run `ktg search SPACE --name {experiment.name}`"
        )
    known: list[RunRecord] = []
    for search in searches:
        trials = [
            trial for trial in experiment.trials(search) if trial.tags.get("kind") != "duplicate"
        ]
        chosen = _among(trials, wanted)
        if chosen:
            return search, chosen
        known = known or trials
    raise _none(experiment.name, known, wanted)


def _among(trials: list[RunRecord], wanted: Wanted) -> list[RunRecord]:
    if wanted.trial is not None:
        return [
            trial for trial in trials if _is_called(trial, wanted.trial) and trial.state in _USABLE
        ]
    finished = [
        trial for trial in trials if trial.state == "finished" and "val_accuracy" in trial.metrics
    ]
    if wanted.baseline is not None:
        return [trial for trial in finished if trial.tags.get("baseline") == wanted.baseline]
    ranked = sorted(
        finished,
        key=lambda trial: (-trial.metrics["val_accuracy"], trial.metrics.get("val_loss", 0.0)),
    )
    return ranked[: wanted.top]


def _is_called(trial: RunRecord, name: str) -> bool:
    """Whether `name` is a trial's name, or its number: 7 and 0007 are trial-0007, also where that is a baseline."""
    number = re.match(r"trial-(\d+)\b", trial.name)
    return name == trial.name or bool(number and name.isdecimal() and int(name) == int(number[1]))


def _none(name: str, trials: list[RunRecord], wanted: Wanted) -> UserError:
    """Return the error for an experiment without what is wanted."""
    if wanted.trial is not None:
        same = [trial for trial in trials if _is_called(trial, wanted.trial)]
        if same:
            reason = f" ({same[0].tags['reason']})" if "reason" in same[0].tags else ""
            state = {"failed": "it failed", "running": "it still runs"}.get(
                same[0].state, f"it was {same[0].state}"
            )
            return UserError(
                f"{same[0].name} of experiment {name!r} has no result: {state}{reason}"
            )
        names = sorted(trial.name for trial in trials)
        span = f"it has {names[0]} to {names[-1]}" if names else "it has none"
        return UserError(
            f"no trial {show(wanted.trial)} in experiment {name!r}; {span}.{did_you_mean(wanted.trial, names)}"
        )
    if wanted.baseline is not None:
        names = [
            trial.tags["baseline"]
            for trial in trials
            if "baseline" in trial.tags and trial.state == "finished"
        ]
        guess = did_you_mean(wanted.baseline, names)
        listed = ", ".join(names) or "none"
        return UserError(
            f"no finished baseline {show(wanted.baseline)} in experiment {name!r}; it has: {listed}.{guess}"
        )
    return UserError(f"experiment {name!r} has no finished trial; wait for one, or search again")


def _graph(experiment: Experiment, search: RunRecord, trial: RunRecord) -> Graph:
    """Return a trial's own graph, with where it comes from."""
    plain = loads(experiment.read_artifact(trial, "graph.yaml"), f"graph.yaml of {trial.name}")
    plain["provenance"] = provenance_of(experiment, search, trial)
    return parse(plain)


def provenance_of(experiment: Experiment, search: RunRecord, trial: RunRecord) -> dict[str, Scalar]:
    """Return where a graph comes from; what an older ktg did not write down is `unknown`."""
    versions = {
        f"version_{name}": search.tags.get(f"version.{name}", "unknown") for name in VERSIONS
    }
    return {
        "experiment": experiment.name,
        "search_run": search.id,
        "trial": trial.name,
        "trial_run": trial.id,
        "val_accuracy": trial.metrics["val_accuracy"],
        "val_loss": trial.metrics["val_loss"],
        "data_fingerprint": search.tags.get("data.fingerprint", "unknown"),
        "exported": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version_ktg": __version__,
        **versions,
    }


def write_graph(
    graph: Graph, output: Path, *, force: bool = False, running: bool = False
) -> Exported:
    """Write one graph as YAML, and its drawing beside it; raise UserError as `export_graphs` does."""
    graph_files(output, 1)
    drawing = output.with_suffix(".svg")
    check_free([output, drawing], force=force)
    plain = make_paths_relative(dump(graph), output.absolute().parent)
    title = ": ".join(
        str(graph.provenance[key]) for key in ("experiment", "trial") if key in graph.provenance
    )
    save(output, plain)
    with atomic_write(drawing) as temporary:
        temporary.write_text(draw(graph, title or output.stem), encoding="utf-8")
    return Exported(graph, output, drawing, outside(plain), running)


def outside(plain: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the absolute paths that a graph names: files that must be taken along to another machine."""
    return tuple(path for path in list_files(parse(plain)) if Path(path).is_absolute())
