"""Checks whether the quickstart's winner is really better than the baselines.

Runs the search of search_spaces/quickstart.yaml, or of another space, once and confirms it as
`ktg search --confirm 1` does: the best graph, the baselines, and the target alone with the winner's
settings are trained again with seeds that the search has not used, and compared on the test split.

    python benchmarks/quickstart.py --seeds 10        # about ten minutes on two cores
    python benchmarks/quickstart.py --space search_spaces/quickstart_sources.yaml
"""

import contextlib
import tempfile
from pathlib import Path

import measure
from options import make_parser

import ktg
from ktg.graph import dump

SPACE = Path(__file__).parents[1] / "search_spaces" / "quickstart.yaml"


def main() -> None:
    """Measure and write the result."""
    parser = make_parser(__doc__, seeds=10)
    parser.add_argument("--space", type=Path, default=SPACE)
    args = parser.parse_args()
    space = args.space.resolve()
    # The search's store lies in the current folder, and nobody needs it afterwards.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        found = ktg.search(space, confirm=1, seeds=args.seeds)
    if found.best is None:
        raise SystemExit("no trial finished")
    result = {"test": found.confirmation, "best": dump(found.best)}
    measure.write(space.stem, {"seeds": args.seeds, "space": space.name}, result)


if __name__ == "__main__":
    main()
