"""Measures where each second of a search's slots goes.

Runs a search with MLflow as `ktg search` does, with a worker that notes what it does. A slot is a
place for one trial at a time; slots x wall seconds are what a search could train in. They run from
before the imports until the last record is written, and are divided into

    imports         of the process that drives the search
    preparing       reading the space, opening images, measuring what is asked for
    starting Ray    until the first worker's process begins
    worker start    its process and imports, until it takes the first trial
    building        networks, weights and teachers of a trial, before its first step
    training        the steps
    validation      after epochs
    waiting         between a worker's epochs and trials: Ray, the driver, and slots that are empty
    ending          choosing, and writing the last records

    # The quickstart; about four minutes on two cores.
    python benchmarks/overhead.py
    python benchmarks/overhead.py --space benchmarks/spaces/cifar10_small.yaml
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

STARTED = time.time()
QUICKSTART = Path(__file__).parents[1] / "search_spaces" / "quickstart.yaml"
STAMPS = "KTG_STAMPS"


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
        os.environ[STAMPS] = str(Path(folder, "stamps"))
        result = run_search(space, args.slots)
        os.chdir(Path(__file__).parent)
    import measure

    measure.write(f"overhead_{space.stem}", {"space": space.name, "slots": args.slots}, result)


def run_search(path: Path, slots: int) -> dict[str, Any]:
    """Run the search and return where its time went."""
    from ktg.api.inputs import load_space_file
    from ktg.searching import run, worker
    from ktg.tracking import MlflowTracker

    def start_ray(*args: Any) -> Any:
        stamp("Ray asked", 0)
        return plain(*args)

    imported, plain = time.time(), run.start_ray
    worker.Worker, run.start_ray = make_worker(), start_ray  # type: ignore[misc]
    with MlflowTracker("overhead") as tracker:
        result = run.search(load_space_file(path), "overhead", tracker)
    ended = time.time()
    lines = Path(os.environ[STAMPS]).read_text().splitlines()
    return {
        **divide([json.loads(line) for line in lines], imported, ended, slots),
        "best_val_accuracy": result.rows[0].accuracy,
    }


def divide(
    stamps: list[dict[str, Any]], imported: float, ended: float, slots: int
) -> dict[str, Any]:
    """Return the seconds of all slots by what they went to, and the shares of the total."""
    begun = min(each["at"] - each["s"] for each in stamps if each["what"] == "worker start")
    prepared = min(each["at"] for each in stamps if each["what"] == "Ray asked")
    last = max(each["at"] for each in stamps if each["what"] != "Ray asked")
    seconds = {
        "imports": slots * (imported - STARTED),
        "preparing": slots * (prepared - imported),
        "starting Ray": slots * (begun - prepared),
    }
    for what in ("worker start", "building", "training", "validation"):
        seconds[what] = sum(each["s"] for each in stamps if each["what"] == what)
    in_workers = sum(seconds[what] for what in list(seconds)[3:])
    seconds["waiting"] = slots * (last - begun) - in_workers
    seconds["ending"] = slots * (ended - last)
    total = slots * (ended - STARTED)
    trials = sum(each["what"] == "building" for each in stamps)
    return {
        "wall_s": ended - STARTED,
        "trials": trials,
        "epochs": sum(each["what"] == "training" for each in stamps),
        "slot_s": {what: round(each, 2) for what, each in seconds.items()},
        "share": {what: round(each / total, 4) for what, each in seconds.items()},
        "overhead": 1 - (seconds["training"] + seconds["validation"]) / total,
        "overhead_s_per_trial": (total - seconds["training"] - seconds["validation"]) / trials,
    }


def stamp(what: str, seconds: float) -> None:
    """Note that something has ended now and took so long."""
    with Path(os.environ[STAMPS]).open("a") as file:
        file.write(json.dumps({"what": what, "s": seconds, "at": time.time()}) + "\n")


def make_worker() -> type:
    """Return ktg's worker, which notes what it does."""
    from ktg.searching.worker import Worker
    from ktg.training import Training

    class Stamped(Worker):
        def setup(self, config: dict[str, Any]) -> None:
            """Note how long the process has been there, and let trainings tell validation."""
            import psutil

            plain = Training._validate

            def validate(training: Training) -> Any:
                began = time.time()
                found = plain(training)
                self.validated += time.time() - began
                return found

            Training._validate = validate  # type: ignore[method-assign]
            super().setup(config)
            stamp("worker start", time.time() - psutil.Process().create_time())

        def step(self) -> dict[str, Any]:
            """Train an epoch; note what building, steps and validation took."""
            self.validated, began = 0.0, time.time()
            if self.training is None:
                self._open_training()
                stamp("building", time.time() - began)
                began = time.time()
            result = super().step()
            stamp("training", time.time() - began - self.validated)
            stamp("validation", self.validated)
            return result

    return Stamped


if __name__ == "__main__":
    main()
