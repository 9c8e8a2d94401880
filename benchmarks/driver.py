"""Measures what a search costs its driver: CPU, memory, and the load it can bear.

Everything in the search is real (Ray, ASHA, TPE, the queue, the MLflow tracker on SQLite, the live
block on a terminal) except the training: a worker waits for `--epoch-s` seconds and reports the
metrics of one real epoch, with an accuracy derived from the graph. Ray is given as many CPUs as
trials should run at once.

The CPU time is that of all threads of the driver process, from the moment all slots are busy to the
end of the last trial. Searches with one epoch a trial and with many, both without early stopping,
give two equations for the cost of a trial and of a report. Ray's servers (gcs_server, raylet) and
the workers share the cores with the driver, so the rates measured here are lower bounds. The part
`costs` measures a search with MLflow and one without a store; the part `knee` finds the rate of
trials or reports above which slots stay empty.

    python benchmarks/driver.py --part costs       # about ten minutes on two cores
    python benchmarks/driver.py --part memory      # random points: TPE's time is the part `sampler`
    python benchmarks/driver.py --part sampler
    python benchmarks/driver.py --part knee
"""

import contextlib
import itertools
import json
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import measure
from options import make_parser
from rich.console import Console

from ktg.graph import SearchSpace, parse_space
from ktg.searching import ray_run, run, worker
from ktg.searching.cluster import start_ray
from ktg.searching.progress import Progress
from ktg.searching.search_queue import SearchQueue
from ktg.searching.trial import Trial
from ktg.tracking import MemoryTracker, MlflowTracker, Tracker
from ktg.training import train

NODES = ("n0", "n1", "n2")
MLFLOW, NONE = "mlflow", "no store"


class Event(NamedTuple):
    """Says what happened, and what the driver had used by then."""

    what: str
    wall_s: float
    cpu_s: float
    rss_mb: float
    waited: float  # the worker waited so long for the reported epoch, in units of --epoch-s


class Watch(Progress):
    """Shows the progress block of ktg and notes the driver's CPU and memory at each event."""

    events: ClassVar[list[Event]] = []

    def on_start(self, trial: Trial) -> None:
        """Note the proposal of a trial."""
        self._note("started")
        super().on_start(trial)

    def on_epoch(self, trial: Trial) -> None:
        """Note a report."""
        quality = trial.accuracy * trial.graph.train.epochs / trial.epoch
        self._note("reported", waiting(quality))
        super().on_epoch(trial)

    def on_end(self, trial: Trial) -> None:
        """Note an end."""
        self._note("closed")
        super().on_end(trial)

    def _note(self, what: str, waited: float = 0.0) -> None:
        used = time.process_time(), read_rss_mb()
        self.events.append(Event(what, time.perf_counter(), *used, waited))


def main() -> None:
    """Measure one part and add it to the result."""
    parser = make_parser(__doc__)
    parser.add_argument("--part", choices=["costs", "memory", "sampler", "knee"], required=True)
    parser.add_argument("--concurrent", type=int, nargs="+", default=[64, 128])
    parser.add_argument(
        "--epoch-s", type=float, nargs="+", help="seconds an epoch takes; default: by the part"
    )
    parser.add_argument("--trials", type=int, default=5000, help="of the part `memory`")
    args = parser.parse_args()
    ray_run.Progress = Watch  # type: ignore[attr-defined]
    metrics = one_epoch()
    if args.part == "costs":
        for n in args.concurrent:
            measured = costs(n, metrics, (args.epoch_s or [4.0])[0])
            save("costs", {str(n): measured}, len(metrics))
    elif args.part == "memory":
        measured = memory(args.trials, args.concurrent[0], metrics, (args.epoch_s or [0.2])[0])
        save("memory", measured, len(metrics))
    elif args.part == "sampler":
        save("sampler", sampler(args.trials, args.concurrent[0]), len(metrics))
    else:
        for n, wait in itertools.product(args.concurrent, args.epoch_s or [4.0, 1.0, 0.25]):
            measured = {f"{n} at once, epochs of {wait:g} s": knee(n, wait, metrics)}
            save("knee", measured, len(metrics))


def save(part: str, found: dict[str, Any], metrics: int) -> None:
    """Add the numbers of a part to the result file; its other parts stay."""
    place = measure.RESULTS / "driver.json"
    before = json.loads(place.read_text())["result"] if place.exists() else {}
    config = {"metrics": metrics, "nodes": len(NODES)}
    measure.write("driver", config, before | {part: before.get(part, {}) | found})


def one_epoch() -> dict[str, float]:
    """Return the metrics of a real epoch, so that reports have a realistic size."""
    searched = space(1, 1, 1)
    return next(iter(train(searched.bind(searched.default()), device="cpu"))).metrics()


def space(trials: int, epochs: int, concurrent: int, **settings: Any) -> SearchSpace:
    """Return three networks with all gates to search: 4^9 graphs, a continuum of learning rates."""
    gate = {"gate": {"choice": ["through", "cutoff", "linear", "correct"]}}
    return parse_space(
        {
            "data": {"name": "digits", "per_class": 10},
            "train": {"epochs": epochs, "lr": {"log": [0.003, 0.3]}},
            "nodes": {name: {"model": {"choice": ["resnet8", "resnet14"]}} for name in NODES},
            "edges": {"label -> n0": {"gate": "through"}, "label -> any": gate, "any -> any": gate},
            "search": {"trials": trials, "concurrent": concurrent, "baselines": False, **settings},
        }
    )


def waiting(quality: float) -> float:
    """Return how long an epoch of a graph takes, 1 on average; its quality is in [0, 1)."""
    return 0.5 + quality


def stub(metrics: dict[str, float], wait_s: float) -> type:
    """Return a worker that waits instead of training.

    Ray ships it by value, so that it imports neither torch nor ktg.
    """
    import hashlib

    from ray import tune

    class Stub(tune.Trainable):  # type: ignore[misc]
        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            digest = hashlib.sha256(new_config["graph"].encode()).digest()
            self.quality = int.from_bytes(digest[:4], "big") / 2**32
            self.epochs, self.epoch = json.loads(new_config["graph"])["train"]["epochs"], 0
            return True

        def step(self) -> dict[str, Any]:
            time.sleep(wait_s * waiting(self.quality))
            self.epoch += 1
            accuracy = self.quality * self.epoch / self.epochs
            reported = json.dumps({**metrics, "val_accuracy": accuracy})
            return {
                "val_accuracy": accuracy,
                "epoch": self.epoch,
                "metrics": reported,
                "done": self.epoch >= self.epochs,
            }

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            """Nothing is to be saved."""

    return Stub


def costs(concurrent: int, metrics: dict[str, float], wait_s: float) -> dict[str, Any]:
    """Return CPU milliseconds per trial and per report, with MLflow and without a store."""
    found: dict[str, Any] = {}
    for tracker in (MLFLOW, NONE):
        # With one epoch a trial, epochs are four times as long: otherwise the driver would be busy
        # all the time, and its CPU time would only say that.
        short = space(6 * concurrent, 1, concurrent, scheduler="none")
        few = run_search(short, metrics, 4 * wait_s, tracker)
        long = space(2 * concurrent, 16, concurrent, scheduler="none")
        many = run_search(long, metrics, wait_s, tracker)
        (a, b), (c, d) = ([s["trials"], s["reports"]] for s in (few, many))
        found[tracker] = {"runs": [few, many]}
        y, z = 1000 * few["cpu_s"], 1000 * many["cpu_s"]
        trial, report = (y * d - b * z) / (a * d - b * c), (a * z - c * y) / (a * d - b * c)
        found[tracker] |= {"driver_ms_per_trial": trial, "driver_ms_per_report": report}
    return found


def memory(
    trials: int, concurrent: int, metrics: dict[str, float], wait_s: float
) -> dict[str, Any]:
    """Return the driver's memory and CPU along a search of thousands of trials with ASHA."""
    run_search(space(trials, 8, concurrent, sampler="random"), metrics, wait_s)
    closed = [event for event in Watch.events if event.what == "closed"]
    reports = sum(event.what == "reported" for event in Watch.events)
    marks = [closed[min(i, len(closed) - 1)] for i in range(0, len(closed), 500)] + [closed[-1]]
    rows = [
        {
            "wall_s": mark.wall_s - marks[0].wall_s,
            "cpu_s": mark.cpu_s - marks[0].cpu_s,
            "rss_mb": round(mark.rss_mb),
        }
        for mark in marks
    ]
    half = [event.rss_mb for event in closed[len(closed) // 2 :]]
    return {
        "trials": len(closed),
        "reports": reports,
        "mb_per_1000_trials_second_half": 2000 * (half[-1] - half[0]) / len(closed),
        "every_500_trials": rows,
    }


def sampler(trials: int, concurrent: int) -> dict[str, float]:
    """Return the CPU milliseconds of a proposal of TPE after so many trials, without Ray."""
    chance, queue = random.Random(0), SearchQueue(space(trials, 8, concurrent))
    running, found = [], {}
    began = time.process_time()
    while trial := queue.propose():
        running.append(trial)
        if len(running) >= concurrent:
            ended = running.pop(chance.randrange(concurrent))
            epoch = chance.choice([1, 1, 1, 1, 2, 2, 4, 8])
            metrics = {"val_accuracy": chance.random(), "val_loss": 1.0}
            queue.record_epoch(ended, epoch, metrics, 1)
            queue.close(ended)
        if trial.number % 500 == 0:
            found[str(trial.number)] = 1000 * (time.process_time() - began) / 500
            began = time.process_time()
    return found


def knee(concurrent: int, wait_s: float, metrics: dict[str, float]) -> dict[str, Any]:
    """Return how busy so many slots are with trials of many epochs, and with trials of one.

    A slot is busy while its worker waits as if it trained. Counting begins when all slots are busy
    and ends when the last trial has begun, because later slots are empty for lack of trials.
    """
    found = {}
    for what, epochs, trials in (("reports", max(8, round(32 / wait_s)), 2), ("trials", 1, 8)):
        run_search(
            space(trials * concurrent, epochs, concurrent, scheduler="none"), metrics, wait_s
        )
        rest = after_start(Watch.events, concurrent)
        last = max(i for i, event in enumerate(rest) if event.what == "started")
        counted = count_events(rest[: last + 1])
        waited_s = wait_s * sum(event.waited for event in rest[: last + 1])
        found[what] = {
            f"{what}_per_s": counted[what] / counted["wall_s"],
            "slots_busy": waited_s / (concurrent * counted["wall_s"]),
            "driver_busy": counted["cpu_s"] / counted["wall_s"],
            **counted,
        }
    return found


def run_search(
    searched_space: SearchSpace, metrics: dict[str, float], wait_s: float, tracker: str = MLFLOW
) -> dict[str, Any]:
    """Run one search and return what it cost once its workers had started."""
    concurrent = searched_space.search.concurrent or 1
    Watch.events.clear()
    worker.Worker = stub(metrics, wait_s)  # type: ignore[misc,assignment]
    # An abandoned tracker gives up after a minute; until then it may still write into the folder.
    room = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with room as folder, terminal() as console, start_ray(cpus=concurrent):
        store = f"sqlite:///{folder}/mlflow.db"
        with open_tracker(tracker, store) as opened:
            storage = Path(folder, "ray")
            run.search(searched_space, "driver", opened, console=console, storage=storage)
    return count_events(after_start(Watch.events, concurrent))


@contextlib.contextmanager
def open_tracker(tracker: str, store: str) -> Iterator[Tracker]:
    """Yield a tracker of the kind that is measured."""
    if tracker == NONE:
        yield MemoryTracker()
        return
    with MlflowTracker("driver", store) as mlflow_tracker:
        yield mlflow_tracker


def after_start(events: Sequence[Event], concurrent: int) -> Sequence[Event]:
    """Return the events after as many reports as there are slots: by then all workers run."""
    reports = [i for i, event in enumerate(events) if event.what == "reported"]
    return events[reports[min(concurrent, len(reports) - 1)] :]


def count_events(events: Sequence[Event]) -> dict[str, Any]:
    """Return counts, wall and CPU seconds from the first to the last event."""
    first, last = events[0], events[-1]
    return {
        "trials": sum(event.what == "closed" for event in events),
        "reports": sum(event.what == "reported" for event in events),
        "wall_s": last.wall_s - first.wall_s,
        "cpu_s": last.cpu_s - first.cpu_s,
        "rss_mb": round(last.rss_mb),
    }


@contextlib.contextmanager
def terminal() -> Iterator[Console]:
    """Yield a console that draws as on a terminal and discards what it draws."""
    with Path(os.devnull).open("w") as nowhere:
        yield Console(file=nowhere, force_terminal=True, width=120)


def read_rss_mb() -> float:
    """Return the memory that this process holds now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    main()
