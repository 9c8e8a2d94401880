"""What leaves the system: the best trial's own graph, with where it comes from."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ktg import __version__
from ktg.drawing import draw
from ktg.errors import UserError
from ktg.files import loads, relative_paths, save
from ktg.spec import parse
from ktg.spec.graph import Scalar
from ktg.tracking import Experiment, RunRecord, find_experiment

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Exported:
    """The files that were written, and the provenance that stands in the graph's."""

    graph: Path
    drawing: Path
    provenance: dict[str, Scalar]


def export_best(experiment: str, uri: str, output: Path) -> Exported:
    """Write the graph of the best finished trial of an experiment's last search to `output`, and a drawing beside it.

    The graph is copied from the trial's own record. Raises UserError for an output that is not named as YAML, and when
    there is no such experiment, no search in it, or no finished trial.
    """
    if output.suffix not in SUFFIXES:
        raise UserError(f"{output}: a graph is a YAML file; give a name that ends in {' or '.join(SUFFIXES)}")
    found = find_experiment(experiment, uri)
    search, best = best_trial(found)
    plain = loads(found.read_artifact(best, "graph.yaml"), f"graph.yaml of {best.name}")
    provenance = provenance_of(found, search, best)
    plain["provenance"] = provenance
    graph = parse(plain)
    drawing = output.with_suffix(".svg")
    save(output, relative_paths(plain, output.absolute().parent))
    drawing.write_text(draw(graph, f"{experiment}: best graph"), encoding="utf-8")
    return Exported(output, drawing, provenance)


def best_trial(experiment: Experiment) -> tuple[RunRecord, RunRecord]:
    """Return the last search that has a finished trial, and its most accurate one (of equals, that of lower loss)."""
    searches = [run for run in experiment.searches() if run.tags.get("kind") == "search"]
    if not searches:
        raise UserError(
            f"experiment {experiment.name!r} holds no search; run `ktg search SPACE --name {experiment.name}`"
        )
    for search in searches:
        finished = [trial for trial in experiment.trials(search) if trial.state == "finished"]
        if finished:
            return search, max(finished, key=lambda trial: (trial.metrics["val_accuracy"], -trial.metrics["val_loss"]))
    raise UserError(f"experiment {experiment.name!r} has no finished trial; wait for one, or search again")


def provenance_of(experiment: Experiment, search: RunRecord, trial: RunRecord) -> dict[str, Scalar]:
    """Return where a graph comes from."""
    versions = {f"version_{name}": search.tags[f"version.{name}"] for name in ("torch", "timm", "ray", "optuna")}
    return {
        "experiment": experiment.name,
        "search_run": search.id,
        "trial": trial.name,
        "trial_run": trial.id,
        "val_accuracy": trial.metrics["val_accuracy"],
        "val_loss": trial.metrics["val_loss"],
        "data_fingerprint": search.tags["data.fingerprint"],
        "exported": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version_ktg": __version__,
        **versions,
    }
