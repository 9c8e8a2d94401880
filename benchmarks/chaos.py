"""Kills the driver of one search (kill -9) again and again, resumes it each time, and checks what the store holds.

Every other kill comes at a random moment from the start of the process on; the others up to three
seconds after the first new epoch has reached the store. When the search is over: no trial that was
seen finished is lost or was trained again, no epoch is there twice, no graph was trained twice, the
budget is spent exactly, no run is left RUNNING, and neither files of undelivered records nor
processes of Ray are left behind.

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
        result = survived(Path(folder), args.kills, args.trials, random.Random(args.seed))
    if args.json:
        print(json.dumps(result))
        return
    import measure

    measure.write("chaos", {"kills": args.kills, "trials": args.trials, "seed": args.seed}, result)


def survived(folder: Path, kills: int, trials: int, chance: random.Random) -> dict[str, Any]:
    """Return what was seen on the way and what is wrong in the end, which should be nothing."""
    (folder / "chaos.yaml").write_text(SPACE % trials)
    seen: dict[str, tuple[float, float | None]] = {}
    lost: list[str] = []
    pids: list[int] = []
    epochs: list[int] = []
    done = None
    while done is None:
        at_once = bool(len(epochs) % 2)
        running = start(folder)
        pids.append(running.pid)
        if len(epochs) < kills and kill(running, folder, chance, at_once=at_once):
            epochs.append(count(folder, "metrics where key = 'val_accuracy'"))
        else:
            out, err = running.communicate()
            done = running.returncode
            if done:
                raise SystemExit(f"the search ended with {done}: {out}{err}")
        lost += [name for name, was in seen.items() if finished(folder).get(name) != was]
        seen |= finished(folder)
    wrong = {
        **faults(folder, trials),
        "lost_or_repeated": sorted(set(lost)),
        "processes": left_running(pids),
    }
    return {
        "kills": len(epochs),
        "epochs_in_store_at_kills": epochs,
        "finished": len(seen),
        **wrong,
    }


def start(folder: Path) -> "subprocess.Popen[str]":
    """Start the search, or go on with it where there is one."""
    resume = (
        ["--resume"]
        if count(folder, "experiments where name = 'chaos'") and count(folder, "runs")
        else []
    )
    command = [*KTG, "search", "chaos.yaml", *resume]
    store = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "KTG_CACHE": str(folder / "cache"),
    }
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env=os.environ | store, stdout=pipe, stderr=pipe, text=True
    )


def kill(
    running: "subprocess.Popen[str]", folder: Path, chance: random.Random, *, at_once: bool
) -> bool:
    """Kill the driver at a random moment; return False when it was over before."""
    if at_once:
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


def finished(folder: Path) -> dict[str, tuple[float, float | None]]:
    """Return accuracy and time of the end of every trial that the store calls finished, by name."""
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


def faults(folder: Path, trials: int) -> dict[str, Any]:
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


def left_running(pids: Sequence[int], patience_s: float = 30.0) -> list[str]:
    """Return the command lines of processes that drivers with these pids have left, if they do not end soon."""
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
