"""Measures the time from the end of a trial to the first training step of the next in its slot.

The search of ktg with its MLflow tracker is compared with a naive script: a function that opens the
data, builds the graph and reports, run by Ray Tune with its defaults in a fresh process for every
trial. Both import torch and timm and train the same two networks (MobileNetV2-0.35 with weights
from a file, and a ResNet8) for one epoch a trial.

With s slots, trial k + s begins in the slot that the k-th end has freed. So the mean turnover is
(sum of all starts but the first s - sum of all ends but the last s) / (trials - s). It does not
contain the start of Ray and of its first workers.

    python benchmarks/turnover.py             # about five minutes on two cores
"""

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import measure
import torch
from options import make_parser

from ktg.graph import SearchSpace, dump, parse, parse_space
from ktg.searching import worker
from ktg.training import Training, train

MODEL = "mobilenetv2_035"


class Stamped(worker.Worker):
    """Trains as the worker of ktg does, and notes when trials begin and end."""

    def setup(self, config: dict[str, Any]) -> None:
        """Let trainings note their first step, before the worker begins."""
        stamp_first_steps()
        super().setup(config)

    def step(self) -> dict[str, Any]:
        """Note the end of the last epoch."""
        result = super().step()
        if result["done"]:
            stamp("end")
        return result


def stamp(what: str) -> None:
    """Append the time of an event to the file of stamps."""
    with Path(os.environ["KTG_STAMPS"]).open("a") as file:
        file.write(f"{what} {time.time()}\n")


def stamp_first_steps() -> None:
    """Let every training of this process note its first step."""
    plain = Training.step

    def step(self: Training, *args: Any, **kwargs: Any) -> Any:
        if not hasattr(self, "noted"):
            self.noted = True
            stamp("start")
        return plain(self, *args, **kwargs)

    Training.step = step  # type: ignore[method-assign]


def naive(config: dict[str, Any]) -> None:
    """Train a graph as a first script would."""
    from ray import tune

    torch.set_num_threads(1)
    stamp_first_steps()
    for epoch in train(parse(json.loads(config["graph"])), device="cpu"):
        tune.report({"val_accuracy": epoch.metrics()["val_accuracy"]})
    stamp("end")


def main() -> None:
    """Measure both ways and write the result."""
    parser = make_parser(__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--naive-trials", type=int, default=16)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    result = {}
    for slots in args.slots:
        ours = measure_turnover(run_ktg, args.trials, slots)
        theirs = measure_turnover(run_naive, args.naive_trials, slots)
        ratio = theirs["mean_s"] / ours["mean_s"]
        result[f"{slots} slots"] = {"ktg": ours, "naive": theirs, "ratio": ratio}
    measure.write("turnover", {"model": MODEL, **vars(args)}, result)


def measure_turnover(run: Any, trials: int, slots: int) -> dict[str, float]:
    """Run trials in a folder of their own and return the seconds of a turnover."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KTG_STAMPS"] = str(Path(folder, "stamps"))
        Path(folder, "stamps").touch()
        began = time.perf_counter()
        run(space(Path(folder), trials, slots), Path(folder))
        wall_s = time.perf_counter() - began
        events = [line.split() for line in Path(folder, "stamps").read_text().splitlines()]
    starts, ends = (
        sorted(float(at) for what, at in events if what == kind) for kind in ("start", "end")
    )
    gaps = [start - end for start, end in zip(starts[slots:], ends, strict=False)]
    mean = (sum(starts[slots:]) - sum(ends[: len(ends) - slots])) / (len(starts) - slots)
    median = statistics.median(gaps)
    return {"trials": len(starts), "mean_s": mean, "median_s": median, "wall_s": wall_s}


def space(folder: Path, trials: int, slots: int) -> SearchSpace:
    """Return a space of short trials on two networks, one of them with weights from a file."""
    import timm

    weights = folder / "weights.pth"
    torch.save(timm.create_model(MODEL, num_classes=10).state_dict(), weights)
    return parse_space(
        {
            "data": {"name": "digits", "per_class": 10, "batch_size": 25},
            "train": {"epochs": 1, "lr": {"log": [0.01, 0.1]}},
            "sources": {"mine": {"path": str(weights)}},
            "nodes": {"n0": {"model": MODEL, "source": "mine"}, "n1": {"model": "resnet8"}},
            "edges": {
                "label -> any": {},
                "any -> any": {"gate": {"choice": ["through", "linear"]}},
            },
            "search": {"trials": trials, "concurrent": slots, "baselines": False},
        }
    )


def run_ktg(searched: SearchSpace, folder: Path) -> None:
    """Search as `ktg search` does."""
    from ktg.searching.run import search
    from ktg.tracking import MlflowTracker

    worker.Worker = Stamped  # type: ignore[misc]
    with MlflowTracker("turnover", f"sqlite:///{folder}/mlflow.db") as tracker:
        search(searched, "turnover", tracker)


def run_naive(searched: SearchSpace, folder: Path) -> None:
    """Train as many graphs of the space with the naive function."""
    import random

    import ray
    from ray import tune

    chance, graphs = random.Random(0), []
    for _ in range(searched.search.trials):
        lr = {"train.lr": chance.uniform(0.01, 0.1)}
        graphs.append(json.dumps(dump(searched.bind(searched.default() | lr))))
    ray.init(num_cpus=searched.search.concurrent, include_dashboard=False, log_to_driver=False)
    config = {"graph": tune.grid_search(graphs)}
    tune.run(naive, config=config, storage_path=str(folder / "ray"), verbose=0)
    ray.shutdown()


if __name__ == "__main__":
    main()
