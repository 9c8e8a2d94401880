"""Writes the best graph and the baselines of finished searches, read from their MLflow store.

Search first, then run this in the same folder:

ktg search benchmarks/spaces/cats_dogs.yaml          # about ten minutes on two cores
ktg search benchmarks/spaces/cifar10_small.yaml      # about twenty
python benchmarks/searches.py cats_dogs cifar10_small
"""

from collections import Counter
from typing import Any

import measure
from options import make_parser

from ktg.searching.history import read_last_search
from ktg.searching.stored_search import StoredTrial
from ktg.tracking import DEFAULT_URI, find_experiment


def main() -> None:
    """Read the last search of every named experiment and write one file."""
    parser = make_parser(__doc__)
    parser.add_argument("experiments", nargs="+")
    parser.add_argument("--store", default=DEFAULT_URI)
    args = parser.parse_args()
    measure.write(
        "searches", {}, {name: read_outcome(name, args.store) for name in args.experiments}
    )


def read_outcome(name: str, store: str) -> dict[str, Any]:
    """Return the rows of one search's final table, how its trials ended, and its best graph."""
    search = read_last_search(find_experiment(name, store))
    rows = {"best graph": row(search.best)}
    rows |= {trial.baseline: row(trial) for trial in search.trials if trial.baseline}
    return {
        "rows": rows,
        "states": Counter(run.state for run in search.children),
        "seconds": search.wall_s,
        "best": search.best.plain_graph,
    }


def row(trial: StoredTrial) -> dict[str, Any]:
    """Return the accuracy and loss of a trial on the validation split."""
    return {"trial": trial.run.name, "accuracy": trial.accuracy, "loss": trial.loss}


if __name__ == "__main__":
    main()
