"""Exports the graphs of a search's trials as files: the best, or others that are asked for."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktg.errors import UserError, did_you_mean, show
from ktg.graph import Graph, dump, parse
from ktg.graph.drawing import draw
from ktg.graph.paths import list_files, make_paths_relative
from ktg.graph.space import MetricName
from ktg.graph.vocabulary import Scalar
from ktg.graph.yaml_files import ENDINGS, save
from ktg.local import check_ending, check_name_length, write_text
from ktg.searching.history import find_searches, read_last_search, read_newest_search
from ktg.searching.score import KEYS, VAL_ACCURACY, VAL_LOSS, cut_score, to_value
from ktg.searching.stored_search import StoredSearch, StoredTrial
from ktg.tracking import Experiment, find_experiment
from ktg.version import __version__
from ktg.wording import format_utc

ONCE = "one training"
VERSIONS = ("torch", "timm", "ray", "optuna")


@dataclass(frozen=True)
class TrialChoice:
    """Which trials to export: the `top` best ones, one by its name or number, or one baseline."""

    top: int = 1
    trial: str | None = None
    baseline: str | None = None


@dataclass(frozen=True)
class ChosenGraph:
    """A graph of a stored search, with where it comes from in it, and the file that it goes to."""

    graph: Graph
    file: Path
    search: StoredSearch


@dataclass(frozen=True)
class ExportedGraph:
    """A graph, the files it was written to, and the search that it comes from.

    `outside` are the absolute paths in it, which another machine may lack.
    """

    graph: Graph
    file: Path
    drawing: Path
    outside: tuple[str, ...]
    search: StoredSearch | None = None

    @property
    def accuracy(self) -> float:
        """The trial's accuracy on the validation split, in [0, 1]: see `basis`."""
        return float(self.graph.provenance["val_accuracy"])

    @property
    def basis(self) -> str:
        """What the accuracy is of: one training, or so many with new seeds."""
        return read_basis(self.graph)

    @property
    def trial(self) -> str:
        """The trial's name."""
        return str(self.graph.provenance["trial"])

    @property
    def running(self) -> bool:
        """Whether the search was still running, so that a better graph may come."""
        return self.search is not None and self.search.state == "running"


def read_basis(graph: Graph) -> str:
    """Return what the accuracy in a graph's provenance is of; an older ktg did not say it."""
    return str(graph.provenance.get("val_accuracy_of", ONCE))


def export_graphs(
    experiment: str,
    uri: str,
    output: Path,
    choice: TrialChoice | None = None,
    *,
    force: bool = False,
) -> list[ExportedGraph]:
    """Write graphs of an experiment's last search, each with a drawing; the best one to `output`.

    Of several the files are `best-1.yaml`, `best-2.yaml` and so on. Raises what `choose_graphs`
    does; nothing is written then.
    """
    return [
        write_graph(one.graph, one.file, force=force, search=one.search)
        for one in choose_graphs(experiment, uri, output, choice, force=force)
    ]


def choose_graphs(
    experiment: str,
    uri: str,
    output: Path,
    choice: TrialChoice | None = None,
    *,
    force: bool = False,
) -> list[ChosenGraph]:
    """Return graphs of an experiment's last search and their files; the best one's is `output`.

    A graph is copied from the trial's own record. Raises UserError for an output that is not named
    as YAML, or is there already (unless `force`), and when there is no such experiment, search or
    trial in a state to be exported.
    """
    choice = choice or TrialChoice()
    files = name_graph_files(output, choice.top)
    check_free([*files, *(file.with_suffix(".svg") for file in files)], force=force)
    trials = choose_trials(find_experiment(experiment, uri), choice)
    graphs = [parse(one.plain_graph | {"provenance": _describe_origin(one)}) for one in trials]
    pairs = zip(graphs, files, strict=False)  # there may be fewer finished trials than asked for
    return [ChosenGraph(graph, file, trials[0].search) for graph, file in pairs]


def name_graph_files(output: Path, top: int) -> list[Path]:
    """Return the files that `top` graphs go to: best.yaml, or best-1.yaml, best-2.yaml ...

    Raises UserError unless `output` is named as YAML.
    """
    check_ending(output, "a graph is a YAML file", *ENDINGS)
    if top == 1:
        return [output]
    return [output.with_stem(f"{output.stem}-{place}") for place in range(1, top + 1)]


def check_free(files: Sequence[Path], *, force: bool) -> None:
    """Raise UserError for the first file that cannot be written, before any work for it is done.

    It has no folder, a name that is too long, or it exists and needs `force`.
    """
    for file in files:
        check_name_length(file)
        if not file.absolute().parent.is_dir():
            raise UserError(f"{file}: there is no folder {file.absolute().parent}; create it first")
        # A link that leads nowhere exists too: writing through it would surprise.
        if not force and os.path.lexists(file):
            raise UserError(
                f"{file}: is there already; give --force to overwrite it, or another name"
            )


def choose_trials(experiment: Experiment, choice: TrialChoice) -> list[StoredTrial]:
    """Return the chosen trials, all of one search, the best first.

    The best ones are those of the last search (see `ktg.searching.history`). A trial or a baseline
    that is named is that of the newest search which has it, whatever became of it there; a stopped
    trial can be named too. Raises UserError where there is none, or where it has no result.
    """
    if choice.trial is None and choice.baseline is None:
        return read_last_search(experiment).ranked[: choice.top]
    read_newest_search(experiment)  # raises where there is none
    searches = find_searches(experiment, "such baseline" if choice.trial is None else "such trial")
    for search in searches:
        named = [trial for trial in search.trials if _is_meant(trial, choice)]
        usable = [trial for trial in named if _is_usable(trial, choice)]
        if named and not usable:
            raise _describe_useless(named[-1])
        if named:
            return usable[::-1]  # of two baselines of one name the later one counts
    known: list[StoredTrial] = next((one.trials for one in searches if one.trials), [])
    raise _describe_missing(experiment.name, known, choice)


def _is_meant(trial: StoredTrial, choice: TrialChoice) -> bool:
    """Return whether a trial is the baseline, or the trial, that was named."""
    if choice.trial is None:
        return trial.baseline == choice.baseline
    return _is_called(trial, choice.trial)


def _is_usable(trial: StoredTrial, choice: TrialChoice) -> bool:
    """Return whether a graph has a result: as a baseline only if it was trained to its end."""
    stopped = choice.trial is not None and trial.state == "stopped"
    return trial.has_result or (stopped and VAL_ACCURACY in trial.run.metrics)


def _is_called(trial: StoredTrial, name: str) -> bool:
    """Return whether `name` is a trial's name, or its number: 7 and 0007 are trial-0007.

    So is the baseline `trial-0007 (alone)`, as tables and sentences name it.
    """
    number = re.match(r"trial-(\d+)\b", trial.run.name)
    is_number = bool(number and name.isdecimal() and int(name) == int(number[1]))
    return name in (trial.run.name, trial.name) or is_number


def _describe_useless(trial: StoredTrial) -> UserError:
    """Return the error for a trial that was named and has no result."""
    run, search = trial.run, trial.search
    where = f"experiment {search.experiment.name!r}"
    if search.of > 1:
        where += f", search {search.number} of {search.of},"
    words = {"failed": "it failed", "running": "it still runs"}
    word = words.get(trial.state, f"it was {trial.state}")
    reason = f" ({run.tags['reason']})" if "reason" in run.tags else ""
    return UserError(f"{run.name} of {where} has no result: {word}{reason}")


def _describe_missing(name: str, trials: list[StoredTrial], choice: TrialChoice) -> UserError:
    """Return the error for an experiment without the trial or the baseline that was named."""
    if choice.trial is None:
        names = [trial.baseline for trial in trials if trial.baseline and trial.state == "finished"]
        guess = did_you_mean(str(choice.baseline), names)
        which, listed = show(choice.baseline), ", ".join(names) or "none"
        return UserError(
            f"no finished baseline {which} in experiment {name!r}; it has: {listed}.{guess}"
        )
    names = sorted(trial.run.name for trial in trials)
    span = f"it has {names[0]} to {names[-1]}" if names else "it has none"
    guess = did_you_mean(choice.trial, names)
    return UserError(f"no trial {show(choice.trial)} in experiment {name!r}; {span}.{guess}")


def collect_provenance(trial: StoredTrial) -> dict[str, Scalar]:
    """Return where a trial's graph comes from; what an older ktg did not record is `unknown`."""
    search, tags = trial.search, trial.search.run.tags
    return {
        "experiment": search.experiment.name,
        "search_run": search.run.id,
        "trial": trial.run.name,
        "trial_run": trial.run.id,
        "val_accuracy": trial.run.metrics[VAL_ACCURACY],
        "val_accuracy_of": ONCE,
        "val_loss": trial.run.metrics.get(VAL_LOSS, "unknown"),
        "data_fingerprint": tags.get("data.fingerprint", "unknown"),
        "exported": format_utc(time.time()),
        "version_ktg": __version__,
        **{f"version_{name}": tags.get(f"version.{name}", "unknown") for name in VERSIONS},
    }


def describe_figures(
    metric: MetricName, score: float, runs: int, accuracy: float
) -> dict[str, Scalar]:
    """Return what a search found of a graph, by the metric and by accuracy, and of how many runs.

    score: by the metric, higher is better: the mean of `runs` trainings with new seeds, or of the
    one training where there are none; accuracy: of that one training, in [0, 1].
    """
    key = KEYS[metric]
    figures: dict[str, Scalar] = {VAL_ACCURACY: accuracy, f"{VAL_ACCURACY}_of": ONCE}
    if runs or metric != "accuracy":
        basis = f"the mean of {runs} trainings with new seeds" if runs > 1 else ONCE
        figures |= {key: to_value(metric, cut_score(metric, score)), f"{key}_of": basis}
    return figures


def _describe_origin(trial: StoredTrial) -> dict[str, Scalar]:
    """Return where a trial's graph comes from, and how good it is, as far as new seeds tell."""
    raced = trial.search.find_contestant(trial)
    score, runs = (trial.score, 0) if raced is None else (raced.mean, raced.runs)
    figures = describe_figures(trial.search.metric, score, runs, trial.run.metrics[VAL_ACCURACY])
    return collect_provenance(trial) | figures


def write_graph(
    graph: Graph, output: Path, *, force: bool = False, search: StoredSearch | None = None
) -> ExportedGraph:
    """Write one graph as YAML, and its drawing beside it. Raises what `export_graphs` does."""
    name_graph_files(output, 1)
    drawing = output.with_suffix(".svg")
    check_free([output, drawing], force=force)
    plain = make_paths_relative(dump(graph), output.absolute().parent)
    origin = graph.provenance
    title = ": ".join(str(origin[key]) for key in ("experiment", "trial") if key in origin)
    save(output, plain)
    write_text(drawing, draw(graph, title or output.stem))
    return ExportedGraph(graph, output, drawing, list_outside(plain), search)


def list_outside(plain: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the absolute paths that a graph names: files that another machine must have too."""
    return tuple(path for path in list_files(parse(plain)) if Path(path).is_absolute())
