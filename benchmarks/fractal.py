"""Measures how fast one core draws FractalDB, and checks that it is the official FractalDB.

Draws 256 x 256 pixels of 100,000 points as 3x3 patches and counts pictures per second of wall time
and of processor time (which differ if the machine is shared): with ten sets of masks per walk, with
one per walk (every picture a new walk), and with walks that are still in memory. In the same rounds
`tests/plain_fractal.py`, a plain loop over points with Pillow for the patches, draws the same
picture, so the ratios hold even if the speed of the machine drifts.

    python benchmarks/fractal.py                    # a minute
    python benchmarks/fractal.py --search           # searches for all 1,000 categories, too; two
    python benchmarks/fractal.py --search --write   # and rewrites ktg's categories.npz with them
"""

import itertools
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
import numpy as np
from options import make_parser

from ktg.data.formula.fractal import (
    FractalDB,
    catalogue,
    list_settings,
    load_categories,
    render,
    search_categories,
)
from ktg.data.formula.image_writer import write_folder
from ktg.data.formula.stream import Stream

TESTS = Path(__file__).parents[1] / "tests"
SIZE, POINTS, SCALE, SEED = 256, 100_000, 0.4, 0
WALKS, MASKS, FLIPS = 20, 10, 4


def main() -> None:
    """Measure and write the result."""
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--search", action="store_true", help="find all 1,000 categories")
    parser.add_argument("--write", action="store_true", help="save them as the categories of ktg")
    args = parser.parse_args()
    result: dict[str, Any] = measure_speeds(args.rounds) | {"memory": measure_growth()}
    if args.search:
        result["search"] = search_all(args.write)
    config = {"size": SIZE, "points": POINTS, "scale": SCALE, "seed": SEED, "patch": True}
    measure.write("fractal", config | {"rounds": args.rounds}, result)


def steps(folder: Path) -> dict[str, tuple[int, Callable[[], object]]]:
    """Return the steps to time by name: how many pictures a step draws, and its function."""
    sys.path.append(str(TESTS))
    import plain_fractal

    systems = load_categories(WALKS)
    forgetful = FractalDB(systems, SCALE, SIZE, POINTS, seed=SEED, memory_bytes=0)
    variants = np.random.default_rng(SEED).integers(0, 25, WALKS)
    first = np.arange(WALKS) * forgetful.instances + variants * MASKS * FLIPS
    ten = (first[:, None] + FLIPS * np.arange(MASKS)).ravel()

    def ten_per_walk() -> None:
        Stream(FractalDB(systems, SCALE, SIZE, POINTS, seed=SEED)).read(ten)

    known = Stream(FractalDB(systems, SCALE, SIZE, POINTS, seed=SEED))
    known.read(ten)
    written = FractalDB(systems[:1], SCALE, SIZE, POINTS, masks=1, seed=SEED)
    numbered = itertools.count()
    one = {"scale": SCALE, "row": 2, "size": SIZE, "points": POINTS, "patch": True, "seed": SEED}
    return {
        "plain program": (1, lambda: plain_fractal.render(systems[0], SIZE, POINTS, SEED)),
        "render, with the masks of Python's random": (1, lambda: render(systems[0], **one)),
        "one per walk": (WALKS, lambda: Stream(forgetful).read(first)),
        "ten per walk": (len(ten), ten_per_walk),
        "walk in memory": (len(ten), lambda: known.read(ten)),
        "written as PNG files, four flips per walk": (
            written.instances,
            lambda: write_folder(written, folder / str(next(numbered)), list_settings(written)),
        ),
    }


def measure_speeds(rounds: int) -> dict[str, Any]:
    """Return pictures per second of every step, and their ratio to the plain program's."""
    with tempfile.TemporaryDirectory() as folder:
        timed = steps(Path(folder))
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in timed}
        for number in range(rounds + 1):
            for name, (pictures, step) in timed.items():
                wall, processor = time.perf_counter(), time.process_time()
                step()
                walls, processors = time.perf_counter() - wall, time.process_time() - processor
                if number:  # the first round compiles
                    seconds[name].append((walls / pictures, processors / pictures))
    plain = seconds["plain program"]
    return {
        name: {
            "per wall second": measure.spread([1 / wall for wall, _ in taken]),
            "per processor second": measure.spread([1 / processor for _, processor in taken]),
            "times the plain program": measure.spread(
                [one[0] / ours[0] for one, ours in zip(plain, taken, strict=True)]
            ),
        }
        for name, taken in seconds.items()
    }


def measure_growth() -> dict[str, int]:
    """Return how many bytes this process grows by as it draws 1,500 pictures of random walks."""
    limit = 2**25
    stream = Stream(
        FractalDB(load_categories(100), SCALE, SIZE, POINTS, seed=SEED, memory_bytes=limit)
    )
    rows = np.random.default_rng(SEED).integers(0, len(stream), (100, 15))
    stream.read(rows[0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for batch in rows:
        stream.read(batch)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"limit_bytes": limit, "grown_bytes": 1024 * grown}


def search_all(write: bool) -> dict[str, Any]:
    """Search for the 1,000 categories; return the time taken and how many of them equal ktg's."""
    generator, started = np.random.RandomState(catalogue.SEARCH_SEED), time.perf_counter()
    found = list(itertools.islice(search_categories(generator), 1000))
    taken = time.perf_counter() - started
    if write:
        catalogue.save_categories(
            Path(catalogue.__file__).with_name("categories.npz"), found, generator
        )
    known = load_categories(1000)
    same = [np.array_equal(ours, theirs) for ours, theirs in zip(found, known, strict=True)]
    following = np.array_equal(next(search_categories(generator)), load_categories(1001)[1000])
    return {
        "found": len(found),
        "equal to ktg's, bit by bit": sum(same),
        "goes on alike": following,
        "wall_s": taken,
    }


if __name__ == "__main__":
    main()
