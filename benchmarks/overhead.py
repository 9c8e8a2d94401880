"""Measures what share of a search's time is not training.

Runs a search with MLflow as `ktg search` does and adds up the seconds of all epochs (training steps
and validation):

    overhead = 1 - seconds of all epochs / (slots x wall seconds)

The wall seconds run from before the imports until the last record is written. So starting Ray and
its workers, building networks, training teachers on their own, waiting, and slots that are empty at
the end all count as overhead.

    # The quickstart; about four minutes on two cores.
    python benchmarks/overhead.py
    python benchmarks/overhead.py --space benchmarks/spaces/cifar10_small.yaml
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

QUICKSTART = Path(__file__).parents[1] / "search_spaces" / "quickstart.yaml"


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", type=Path, default=QUICKSTART)
    slots = "trials that run at once on this machine"
    parser.add_argument("--slots", type=int, default=os.cpu_count(), help=slots)
    args = parser.parse_args()
    space = args.space.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        result = run_search(space, args.slots)
    import measure

    measure.write(f"overhead_{space.stem}", {"space": space.name, "slots": args.slots}, result)


def run_search(path: Path, slots: int) -> dict[str, Any]:
    """Run the search and return where its time went."""
    started = time.perf_counter()
    from ktg.graph import load_space
    from ktg.searching.run import search
    from ktg.tracking import MlflowTracker, find_experiment

    with MlflowTracker("overhead") as tracker:
        result = search(load_space(path), "overhead", tracker)
    wall_s = time.perf_counter() - started
    experiment = find_experiment("overhead")
    (parent,) = experiment.searches()
    trials = [run for run in experiment.trials(parent) if run.tags.get("kind") == "trial"]
    epochs_s = [second for run in trials for _, second in experiment.history(run, "epoch_s")]
    first_s = min(run.start_s for run in trials) - parent.start_s
    return {
        "wall_s": wall_s,
        "epochs_s": sum(epochs_s),
        "epochs": len(epochs_s),
        "trials": len(trials),
        "best_val_accuracy": result.rows[0].accuracy,
        "parent_to_first_trial_s": first_s,
        "overhead": 1 - sum(epochs_s) / (slots * wall_s),
        "overhead_s_per_trial": (slots * wall_s - sum(epochs_s)) / len(trials),
    }


if __name__ == "__main__":
    main()
