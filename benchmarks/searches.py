"""Writes what finished searches came to: the best graph beside the baselines, from their MLflow store.

ktg search benchmarks/spaces/cats_dogs.yaml          # about ten minutes on two cores
ktg search benchmarks/spaces/cifar10_small.yaml      # about twenty
python benchmarks/searches.py cats_dogs cifar10_small
"""

import argparse
from collections import Counter
from typing import Any

import measure

from ktg.exporting.graph_files import best_trial
from ktg.graph.yaml_files import loads
from ktg.tracking import DEFAULT_URI, RunRecord, find_experiment


def main() -> None:
    """Read the last search of every experiment named and write one file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiments", nargs="+")
    parser.add_argument("--store", default=DEFAULT_URI)
    args = parser.parse_args()
    measure.write("searches", {}, {name: outcome(name, args.store) for name in args.experiments})


def outcome(name: str, store: str) -> dict[str, Any]:
    """Return the rows of one search's final table, how its trials ended, and its best graph."""
    experiment = find_experiment(name, store)
    search, best = best_trial(experiment)
    trials = experiment.trials(search)
    rows = {"best graph": row(best)}
    rows |= {trial.tags["baseline"]: row(trial) for trial in trials if "baseline" in trial.tags}
    return {
        "rows": rows,
        "states": Counter(trial.state for trial in trials),
        "seconds": (search.end_s or 0) - search.start_s,
        "best": loads(experiment.read_artifact(best, "graph.yaml"), name),
    }


def row(trial: RunRecord) -> dict[str, Any]:
    """Return the figures of a trial on the validation split."""
    return {
        "trial": trial.name,
        "accuracy": trial.metrics["val_accuracy"],
        "loss": trial.metrics["val_loss"],
    }


if __name__ == "__main__":
    main()
