"""Kills parts of a search again and again (kill -9), resumes it, and checks the store.

The parts are its driver, a worker, the raylet and the GCS of Ray, in turn. Every other kill of a
driver comes at a random moment after the start of the process, all others within three seconds
after the first new epoch has reached the store. A worker is replaced; after the others the search
is resumed, by one command or by two at once, of which one must be refused. A driver whose Ray died
must say so and end with code 1.

A search is soon over, so there are as many as the kills need; each is one line of the file of
results, and what is there already is not done again. When a search is over, no trial that was seen
finished may be lost or trained again, no epoch may be stored twice, no graph trained twice, the
budget must be spent exactly, no run may be left RUNNING, and neither files of undelivered records
nor processes of Ray may be left behind.

    python benchmarks/chaos.py              # ten kills of each part, by one resume and by two
    python benchmarks/chaos.py --kills 2 --parts driver raylet --resumes 1
    python benchmarks/chaos.py --table      # what is in the file: kills, and what did not hold
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

from lines import append_line, read_lines
from options import RESULTS, make_parser

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
# How the names of a part's processes begin, and whether their parent is the driver (else the
# raylet). Other processes called ray:: are the raylet's own: it dies with them.
PARTS = {
    "driver": (("",), True),
    "worker": (("ray::Worker", "ray::IDLE"), False),
    "raylet": (("raylet",), True),
    "gcs": (("gcs_server",), True),
}
REFUSED = 2
EPOCHS = "metrics where key = 'val_accuracy'"
# What must be empty, or 0, when a search is over.
FAULTS = (
    *("trials", "running", "interrupted", "graphs_twice", "wrong_epochs", "left_behind"),
    *("lost_or_repeated", "processes"),
)


def main() -> None:
    """Kill, resume and check until every part has been killed often enough."""
    parser = make_parser(__doc__)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS / "chaos.jsonl")
    parser.add_argument("--kills", type=int, default=10, help="of each part")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument(
        "--resumes", nargs="+", type=int, choices=[1, 2], default=[1, 2], help="at once"
    )
    parser.add_argument("--trials", type=int, default=54, help="the space has no more graphs")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--json", action="store_true", help="print one search and write no file")
    args = parser.parse_args()
    if args.table:
        show(args.output, args.parts)
        return
    for resumes in args.resumes:
        while plan := plan_kills(args, resumes):
            seed = len(read_lines(args.output))
            with tempfile.TemporaryDirectory() as folder:
                result = run_search(Path(folder), plan, args.trials, resumes, random.Random(seed))
            if args.json:
                print(json.dumps(result))
                return
            print(json.dumps(result), flush=True)
            append_line(args.output, {"resumes": resumes, "seed": seed, **result})


def plan_kills(args: argparse.Namespace, resumes: int) -> list[str]:
    """Return the parts that are still to be killed, in turn, the least killed first."""
    done = count_kills([] if args.json else read_lines(args.output), resumes)
    left = {part: args.kills - done[part] for part in args.parts}
    order = sorted(args.parts, key=lambda part: -left[part])
    return [part for turn in range(args.kills) for part in order if left[part] > turn]


def count_kills(rounds: list[dict[str, Any]], resumes: int) -> Counter[str]:
    """Return how often each part was killed in searches with so many resumes at once."""
    found: Counter[str] = Counter()
    for each in rounds:
        if each["resumes"] == resumes:
            found.update(each["kills"])
    return found


def show(file: Path, parts: list[str]) -> None:
    """Print the kills of each part, and everything that did not hold."""
    rounds = read_lines(file)
    for resumes in (1, 2):
        kills = count_kills(rounds, resumes)
        searches = sum(each["resumes"] == resumes for each in rounds)
        print(f"{resumes} at once, {searches} searches:", *(f"{p} {kills[p]}" for p in parts))
    ended = [second for each in rounds for second in each["ended_s_after_death_of_ray"]]
    if ended:
        print(f"after the death of Ray the driver ended within {max(ended)} s, {len(ended)} times")
    refused = sum_up(rounds, "second_resumes_refused")
    print(f"second resumes refused: {refused}; finished trials: {sum_up(rounds, 'finished')}")
    for key in FAULTS:
        print(f"{key}: {[each[key] for each in rounds if each[key]]}")


def sum_up(rounds: list[dict[str, Any]], key: str) -> int:
    """Return the sum of a figure."""
    return sum(each[key] for each in rounds)


def run_search(
    folder: Path, plan: list[str], trials: int, resumes: int, chance: random.Random
) -> dict[str, Any]:
    """Return what was seen on the way, and what is wrong in the end (nothing, if all is well)."""
    (folder / "chaos.yaml").write_text(SPACE % trials)
    seen: dict[str, tuple[float, float | None]] = {}
    lost: list[str] = []
    pids: list[int] = []
    kills: list[str] = []
    epochs: list[int] = []
    ended_s: list[float] = []
    refused = no_starts = 0
    while True:
        running, losers = start(folder, resumes)
        refused += losers
        pids.append(running.pid)
        part, killed = "worker", 0.0
        while part == "worker" and len(kills) < len(plan):
            part = plan[len(kills)]
            any_time = part == "driver" and bool(kills.count("driver") % 2)
            if not kill(running, part, folder, chance, any_time=any_time):
                break
            killed = time.monotonic()
            kills.append(part)
            print(f"{len(kills)}: killed {part}", file=sys.stderr, flush=True)
            epochs.append(count(folder, EPOCHS))
        out, err = running.communicate()
        took_s, code = time.monotonic() - killed, running.returncode
        print(f"the driver ended with {code}, {took_s:.1f} s later", file=sys.stderr, flush=True)
        lost += [name for name, was in seen.items() if read_finished(folder).get(name) != was]
        seen |= read_finished(folder)
        if running.returncode == 0:
            break
        if running.returncode == 1 and "go on with: ktg search chaos --resume" in err:
            ended_s.append(round(time.monotonic() - killed, 1))
        elif running.returncode == 1 and "Ray did not start" in err:  # of a machine with much to do
            no_starts += 1
        elif running.returncode != -signal.SIGKILL:
            raise SystemExit(f"the search ended with {running.returncode}: {out}{err}")
    wrong = find_faults(folder, trials) | {"lost_or_repeated": sorted(set(lost))}
    wrong["processes"] = find_left_processes(pids)
    return {
        "kills": dict(Counter(kills)),
        "starts": len(pids),
        "second_resumes_refused": refused,
        "starts_without_ray": no_starts,
        "ended_s_after_death_of_ray": ended_s,
        "epochs_in_store_at_kills": epochs,
        "finished": len(seen),
        **wrong,
    }


def start(folder: Path, resumes: int) -> tuple["subprocess.Popen[str]", int]:
    """Start the search, or resume it if it has begun; return who drives it, and how many do not."""
    if not (count(folder, "experiments where name = 'chaos'") and count(folder, "runs")):
        return start_one(folder), 0
    running = [start_one(folder, "--resume") for _ in range(resumes)]
    refused = 0
    while len(running) > 1:
        time.sleep(0.1)
        for each in running:
            if each.poll() is None:
                continue
            if each.returncode != REFUSED:  # it has driven the search to its end
                others = [one for one in running if one is not each]
                return each, refused + sum(one.wait() == REFUSED for one in others)
            _, err = each.communicate()
            if "is still running, in process" not in err:
                raise SystemExit(f"a second resume said: {err}")
            running.remove(each)
            refused += 1
            break
    return running[0], refused


def start_one(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """Start one process of `ktg search`."""
    store = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "KTG_CACHE": str(folder / "cache"),
    }
    pipe = subprocess.PIPE
    command = [*KTG, "search", "chaos.yaml", *words]
    return subprocess.Popen(
        command, cwd=folder, env=os.environ | store, stdout=pipe, stderr=pipe, text=True
    )


def kill(
    running: "subprocess.Popen[str]",
    part: str,
    folder: Path,
    chance: random.Random,
    *,
    any_time: bool,
) -> bool:
    """Kill a part of the search at a random moment; return False when it was over before."""
    if any_time:
        time.sleep(chance.uniform(0, 20))
    else:
        before = count(folder, EPOCHS)
        while running.poll() is None and count(folder, EPOCHS) == before:
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 3))
    while running.poll() is None:
        found = [running.pid] if part == "driver" else find_processes(running.pid, part)
        with suppress(ProcessLookupError):
            if found:
                os.kill(chance.choice(found), signal.SIGKILL)
                return True
        time.sleep(0.05)
    return False


def find_processes(driver: int, part: str) -> list[int]:
    """Return the processes of a part of the Ray that a driver has started."""
    names, below_driver = PARTS[part]
    parents = [driver] if below_driver else find_processes(driver, "raylet")
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):  # it has just ended
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            command = (place / "cmdline").read_text().split("\0")[0]
            if parent in parents and Path(command).name.startswith(names):
                found.append(int(place.name))
    return sorted(found)


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
        "trials": sum(not {"baseline", "race_of"} & run.tags.keys() for run in trained) - trials,
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
