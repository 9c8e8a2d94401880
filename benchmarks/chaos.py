"""Kills the driver of a search again and again (kill -9), resumes it, and checks the store.

Every other kill comes at a random moment after the start of the process, the others within three
seconds after the first new epoch has reached the store. When the search is over, no trial that was
seen finished may be lost or trained again, no epoch may be stored twice, no graph trained twice,
the budget must be spent exactly, no run may be left RUNNING, and neither files of undelivered
records nor processes of Ray may be left behind.

    python benchmarks/chaos.py                       # 12 kills; about six minutes on two idle cores
    python benchmarks/chaos.py --kills 2 --json      # what the tests run
"""

import argparse
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

SPACE = """
data: {name: digits, per_class: 5, batch_size: 25}
train: {epochs: 4, lr: {choice: [0.1, 0.07, 0.05, 0.03, 0.02, 0.015, 0.01, 0.005]}}
nodes: {n0: {model: resnet8}, n1: {model: resnet8}}
edges:
  label -> n0: {gate: through}
  any -> any: {gate: {choice: [through, cutoff, linear]}}
search: {trials: %d, cpus_per_trial: 1}
"""
KTG = [str(Path(sys.executable).with_name("ktg"))]


def main() -> None:
    """Kill, resume, check, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the result and write no file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run_search(Path(folder), args.kills, args.trials, random.Random(args.seed))
    if args.json:
        print(json.dumps(result))
        return
    import measure

    measure.write("chaos", {"kills": args.kills, "trials": args.trials, "seed": args.seed}, result)


def run_search(folder: Path, kills: int, trials: int, chance: random.Random) -> dict[str, Any]:
    """Return what was seen on the way, and what is wrong in the end (nothing, if all is well)."""
    (folder / "chaos.yaml").write_text(SPACE % trials)
    seen: dict[str, tuple[float, float | None]] = {}
    lost: list[str] = []
    pids: list[int] = []
    epochs: list[int] = []
    done = None
    while done is None:
        any_time = bool(len(epochs) % 2)
        running = start(folder)
        pids.append(running.pid)
        if len(epochs) < kills and kill(running, folder, chance, any_time=any_time):
            epochs.append(count(folder, "metrics where key = 'val_accuracy'"))
        else:
            out, err = running.communicate()
            done = running.returncode
            if done:
                raise SystemExit(f"the search ended with {done}: {out}{err}")
        lost += [name for name, was in seen.items() if read_finished(folder).get(name) != was]
        seen |= read_finished(folder)
    wrong = find_faults(folder, trials) | {"lost_or_repeated": sorted(set(lost))}
    wrong["processes"] = find_left_processes(pids)
    counts = {"kills": len(epochs), "epochs_in_store_at_kills": epochs, "finished": len(seen)}
    return {**counts, **wrong}


def start(folder: Path) -> "subprocess.Popen[str]":
    """Start the search, or resume it if it has begun."""
    begun = count(folder, "experiments where name = 'chaos'") and count(folder, "runs")
    command = [*KTG, "search", "chaos.yaml", *(["--resume"] if begun else [])]
    store = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "KTG_CACHE": str(folder / "cache"),
    }
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env=os.environ | store, stdout=pipe, stderr=pipe, text=True
    )


def kill(
    running: "subprocess.Popen[str]", folder: Path, chance: random.Random, *, any_time: bool
) -> bool:
    """Kill the driver at a random moment; return False when it was over before."""
    if any_time:
        time.sleep(chance.uniform(0, 20))
    else:
        before = count(folder, "metrics")
        while running.poll() is None and count(folder, "metrics") == before:
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 3))
    if running.poll() is not None:
        return False
    running.send_signal(signal.SIGKILL)
    running.communicate()
    return True


def count(folder: Path, rows: str) -> int:
    """Return the number of rows in the store, 0 while there is none."""
    try:
        with closing(sqlite3.connect(f"file:{folder}/mlflow.db?mode=rw", uri=True)) as store:
            return int(store.execute(f"select count(*) from {rows}").fetchone()[0])
    except sqlite3.Error:
        return 0


def read_finished(folder: Path) -> dict[str, tuple[float, float | None]]:
    """Return the accuracy and the time of the end of each finished trial in the store, by name."""
    from ktg.errors import UserError
    from ktg.tracking import find_experiment

    try:
        found = find_experiment("chaos", f"sqlite:///{folder}/mlflow.db")
        runs = [run for search in found.searches() for run in found.trials(search)]
    except UserError:  # killed before there was anything
        return {}
    return {
        run.name: (run.metrics["val_accuracy"], run.end_s)
        for run in runs
        if run.state == "finished"
    }


def find_faults(folder: Path, trials: int) -> dict[str, Any]:
    """Return what is wrong with the store of a search that is over."""
    from ktg.tracking import find_experiment

    found = find_experiment("chaos", f"sqlite:///{folder}/mlflow.db")
    searches = found.searches()
    runs = [run for search in searches for run in found.trials(search)]
    trained = [run for run in runs if run.tags["kind"] == "trial"]
    keys, names = (
        Counter(values) for values in ([r.tags["key"] for r in trained], [r.name for r in trained])
    )
    epochs = {run.name: [step for step, _ in found.history(run, "val_accuracy")] for run in trained}
    return {
        "searches": len(searches),
        "trials": sum("baseline" not in run.tags for run in trained) - trials,
        "running": [run.name for run in (*searches, *runs) if run.status == "RUNNING"],
        "interrupted": [run.name for run in trained if run.state == "interrupted"],
        "graphs_twice": [name for name, times in (keys + names).items() if times > 1],
        "wrong_epochs": [
            name for name, steps in epochs.items() if steps != list(range(1, len(steps) + 1))
        ],
        "left_behind": sorted(path.name for path in folder.rglob("*undelivered-*")),
    }


def find_left_processes(pids: Sequence[int], patience_s: float = 30.0) -> list[str]:
    """Return the command lines of the processes that drivers with these pids left running."""
    session = re.compile(rf"session_[\d_-]+_({'|'.join(map(str, pids))})\b")
    deadline = time.monotonic() + patience_s
    while True:
        lines = []
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has just ended
                line = process.read_text().replace("\0", " ").strip()
                if session.search(line):
                    lines.append(line)
        left = sorted(lines)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.5)


if __name__ == "__main__":
    main()
