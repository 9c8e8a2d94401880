"""Checks whether the quickstart's winner is really better than the baselines.

Runs the search of search_spaces/quickstart.yaml once and confirms it as `ktg search --confirm 1`
does: the best graph, the baselines, and the target alone with the winner's settings are trained
again with seeds that the search has not used, and compared on the test split.

    python benchmarks/quickstart.py --seeds 20        # about ten minutes on two cores
"""

import argparse
import contextlib
import tempfile
from pathlib import Path

import measure

import ktg
from ktg.graph import dump

SPACE = Path(__file__).parents[1] / "search_spaces" / "quickstart.yaml"


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    # The search's store lies in the current folder, and nobody needs it afterwards.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        found = ktg.search(SPACE, confirm=1, seeds=args.seeds)
    if found.best is None:
        raise SystemExit("no trial finished")
    result = {"test": found.confirmation, "best": dump(found.best)}
    measure.write("quickstart", {"seeds": args.seeds}, result)


if __name__ == "__main__":
    main()
