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

`cpu_s` has processor seconds instead, which other work on the machine distorts little: those of the
driver, of Ray's own processes, and of the workers by what they do; `overhead_cpu` is the share that
is neither training nor validation.

    # The quickstart; about four minutes on two cores.
    python benchmarks/overhead.py
    python benchmarks/overhead.py --space benchmarks/spaces/cifar10_small.yaml
"""

import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from options import make_parser

STARTED = time.time()
QUICKSTART = Path(__file__).parents[1] / "search_spaces" / "quickstart.yaml"
STAMPS = "KTG_STAMPS"
Pair = tuple[float, float]


def main() -> None:
    """Measure and write the result."""
    parser = make_parser(__doc__)
    parser.add_argument("--space", type=Path, default=QUICKSTART)
    parser.add_argument("--trials", type=int, help="in place of what the space says")
    parser.add_argument("--name", help="of the result, instead of the space's")
    slots = "trials that run at once on this machine"
    parser.add_argument("--slots", type=int, default=os.cpu_count(), help=slots)
    args = parser.parse_args()
    space = args.space.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ[STAMPS] = str(Path(folder, "stamps"))
        result = run_search(space, args.slots, args.trials)
        os.chdir(Path(__file__).parent)
    import measure

    config = {"space": space.name, "slots": args.slots, "trials": args.trials}
    measure.write(f"overhead_{args.name or space.stem}", config, result)


def run_search(path: Path, slots: int, trials: int | None) -> dict[str, Any]:
    """Run the search and return where its time went."""
    from ktg.api.inputs import load_space_file
    from ktg.searching import run, worker
    from ktg.tracking import MlflowTracker

    @contextmanager
    def start_ray(*args: Any) -> Iterator[Any]:
        stamp("Ray asked", 0)
        with plain(*args) as ray:
            yield ray
            servers.append(sum_servers())

    imported, plain = time.time(), run.start_ray
    servers: list[float] = []
    space = load_space_file(path)
    search = dataclasses.replace(space.search, concurrent=slots)
    if trials is not None:
        search = dataclasses.replace(search, trials=trials)
    worker.Worker, run.start_ray = make_worker(), start_ray  # type: ignore[misc]
    with MlflowTracker("overhead") as tracker:
        result = run.search(dataclasses.replace(space, search=search), "overhead", tracker)
    ended = time.time()
    stamps = [json.loads(line) for line in Path(os.environ[STAMPS]).read_text().splitlines()]
    return {
        **divide(stamps, imported, ended, slots),
        **divide_cpu(stamps, time.process_time(), sum(servers)),
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


def divide_cpu(stamps: list[dict[str, Any]], driver_s: float, servers_s: float) -> dict[str, Any]:
    """Return the processor seconds of all processes by what they went to, and their overhead."""
    seconds = {"driver": driver_s, "Ray": servers_s}
    for what in ("worker start", "building", "training", "validation"):
        seconds[what] = sum(each["cpu_s"] for each in stamps if each["what"] == what)
    # A worker has used all of it by its last stamp.
    last = {each["process"]: each["all_cpu_s"] for each in stamps if each["what"] != "Ray asked"}
    seconds["between"] = sum(last.values()) - sum(list(seconds.values())[2:])
    total = sum(seconds.values())
    return {
        "cpu_s": {what: round(each, 2) for what, each in seconds.items()},
        "overhead_cpu": 1 - (seconds["training"] + seconds["validation"]) / total,
    }


def sum_servers() -> float:
    """Return the processor seconds of Ray's processes that are no workers of ours."""
    import psutil

    found = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if not process.name().startswith("ray::Stamped"):
                times = process.cpu_times()
                found += times.user + times.system
    return found


def stamp(what: str, seconds: float, cpu_s: float = 0.0) -> None:
    """Note that something has ended now and took so long, by the clock and of the processor."""
    line = {"what": what, "s": seconds, "at": time.time(), "cpu_s": cpu_s}
    line |= {"process": os.getpid(), "all_cpu_s": time.process_time()}
    with Path(os.environ[STAMPS]).open("a") as file:
        file.write(json.dumps(line) + "\n")


def add_since(began: Pair, known: Pair = (0.0, 0.0)) -> Pair:
    """Return seconds by the clock and of the processor: those known, and those since `began`."""
    return known[0] + time.time() - began[0], known[1] + time.process_time() - began[1]


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
                began = time.time(), time.process_time()
                found = plain(training)
                self.validated = add_since(began, self.validated)
                return found

            Training._validate = validate  # type: ignore[method-assign]
            super().setup(config)
            since_start = time.time() - psutil.Process().create_time()
            stamp("worker start", since_start, time.process_time())

        def step(self) -> dict[str, Any]:
            """Train an epoch; note what building, steps and validation took."""
            self.validated, began = (0.0, 0.0), (time.time(), time.process_time())
            if self.training is None:
                self._open_training()
                stamp("building", *add_since(began))
                began = time.time(), time.process_time()
            result = super().step()
            wall_s, cpu_s = add_since(began)
            stamp("training", wall_s - self.validated[0], cpu_s - self.validated[1])
            stamp("validation", *self.validated)
            return result

    return Stamped


if __name__ == "__main__":
    main()
