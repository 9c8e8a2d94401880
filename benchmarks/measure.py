"""Times steps in turn, describes the machine, and writes result files for all benchmarks."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import torch
from options import RESULTS


def interleaved(
    steps: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return the seconds of every step in each round.

    The steps take turns, so that a machine whose speed drifts is equally fair to all.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(warm_up + rounds):
        for name, step in steps.items():
            synchronise()
            started = clock()
            step()
            synchronise()
            if number >= warm_up:
                times[name].append(clock() - started)
    return times


def clock_of(device: str) -> Callable[[], float]:
    """Return the clock for a device; for a CPU it counts processor time of this process.

    Other processes do not distort that time. It adds up all threads, so it is for one core.
    """
    return time.process_time if device == "cpu" else time.perf_counter


def synchronise() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def spread(values: list[float]) -> dict[str, float]:
    """Return n, median, and the 5th and 95th percentiles."""
    ordered = sorted(values)
    at = [ordered[min(len(ordered) - 1, round(q * (len(ordered) - 1)))] for q in (0.05, 0.95)]
    return {"n": len(values), "median": statistics.median(values), "p5": at[0], "p95": at[1]}


def ratio(times: Mapping[str, list[float]], above: str, below: str) -> dict[str, float]:
    """Return the spread of the ratio of two steps, round by round."""
    return spread([a / b for a, b in zip(times[above], times[below], strict=True)])


def machine() -> dict[str, Any]:
    """Return a description of the machine that measures."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    commit = ""
    if shutil.which("git"):
        command = ["git", "rev-parse", "--short", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        commit = done.stdout.strip()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "processor": platform.machine(),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": commit or None,
    }


def write(name: str, config: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Write benchmarks/results/NAME.json and print the result."""
    RESULTS.mkdir(exist_ok=True)
    record = {
        "command": " ".join(sys.argv),
        "config": dict(config),
        "machine": machine(),
        "result": dict(result),
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record["result"], indent=2))
