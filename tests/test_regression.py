"""What a user gets, figure by figure, compared with what was recorded before in `regression.json`.

Only the command line is called, so that the code behind it may move. A search, trainings, affinity
scores and fractals run on one thread of the CPU, and the search trains one graph at a time:
nothing then depends on time or chance.

Where the recording was made - same libraries, same CPU - every figure must be equal to the last
bit. Elsewhere sums are added in another order, and figures are only compared as far as rounding
lets them: see `FIGURE`.

    python tests/test_regression.py --record    # writes regression.json anew, from the code in use
"""

import hashlib
import json
import math
import os
import platform
import re
import sqlite3
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
RECORDING = HERE / "regression.json"
SPACE = HERE / "regression_space.yaml"
TABLE = HERE / "affinity" / "tables" / "tmlr_benchmark.csv"
THREADS = ("OMP", "MKL", "OPENBLAS", "NUMBA")
LIBRARIES = ("torchvision", "numpy", "scipy", "scikit-learn", "optuna", "numba", "pillow")
BESIDE = {"epoch_s", "images_per_s", "peak_memory_mib"}  # what depends on the machine's load

# How far figures may lie from those recorded on another machine. Measured with other instruction
# sets (no AVX, AVX2, AVX-512): a loss in these few epochs moved by up to 5e-4 of itself, a score by
# 1e-6, an accuracy not at all. Ten times as much is allowed for figures, and 0.03 for accuracies,
# which is three of the 100 training images. Over the 40 epochs of a search rounding grows until
# another graph wins: the accuracy of a baseline moved by 0.056 there. So of a search only what the
# sampler draws before it has results to learn from is compared, and whether the baselines learned.
FIGURE, ACCURACY, LEARNED = 5e-3, 0.03, 0.1
DRAWN_BLINDLY = 10  # trials, baselines included: what Optuna's TPE wants to see before it learns

DIGITS = {"name": "digits", "per_class": 10, "batch_size": 20}
GRAPHS: dict[str, dict[str, Any]] = {
    "alone": {
        "data": DIGITS,
        "train": {"epochs": 3, "lr": 0.02},
        "nodes": {"n0": {"model": "resnet8"}},
        "edges": {"label -> n0": {}},
    },
    "taught": {
        "data": {**DIGITS, "augment": "none"},
        "train": {
            "epochs": 3,
            "lr": 0.05,
            "label_smoothing": 0.1,
            "schedule": "step",
            "milestones": [2],
            "warmup_epochs": 1,
        },
        "nodes": {
            "n0": {"model": "resnet8"},
            "n1": {"model": "resnet14"},
            "n2": {"model": "wide_resnet16_1", "optimizer": "adamw", "lr": 0.003},
        },
        "edges": {
            "label -> n0": {},
            "label -> n1": {"gate": "linear"},
            "label -> n2": {},
            "n1 -> n0": {"gate": "linear", "temperature": 2.0},
            "n0 -> n1": {"gate": "correct", "loss": "js"},
            "n2 -> n1": {"gate": "correct", "over": "kept", "weight": "learned"},
            "n1 -> n2": {"gate": "inverse", "loss": "dkd"},
        },
    },
    "frozen": {
        "data": {**DIGITS, "augment": "randaugment"},
        "train": {
            "epochs": 4,
            "lr": 0.05,
            "clip_norm": 5.0,
            "aggregate": "mean",
            "ema_decay": 0.5,
        },
        "sources": {"mine": {"path": "alone.safetensors"}},
        "nodes": {
            "n0": {"model": "resnet14"},
            "n1": {
                "model": "resnet8",
                "source": "mine",
                "augment": "basic",
                "frozen_epochs": 1,
                "unfreeze_every": 1,
                "backbone_lr_scale": 0.5,
                "layer_decay": 0.8,
            },
        },
        "edges": {
            "label -> n0": {},
            "label -> n1": {},
            "n1 -> n0": {"loss": "attention", "weight": 2.0},
            "n0 -> n1": {"loss": "feature", "gate": "linear", "maps": 2},
        },
    },
}


def fingerprint() -> dict[str, Any]:
    """Return what rounding depends on: the libraries that compute, and the CPU."""
    import torch

    return {
        "torch": torch.__version__,  # says which build it is, too
        "libraries": {name: version(name) for name in LIBRARIES},
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "cpu": cpu_name(),
    }


def cpu_name() -> str:
    """Return the kind of CPU, as far as the system tells it: a name may stand for several."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
    said = dict(reversed([[part.strip() for part in line.partition(":")[::2]] for line in lines]))
    found = [said[key] for key in ("model name", "cpu family", "model", "stepping") if key in said]
    return " ".join(found) or platform.processor()


def command(*words: object, folder: Path) -> str:
    """Run the command line on one thread of the CPU, and return what it printed."""
    beside = {f"{name}_NUM_THREADS": "1" for name in THREADS} | {"CUDA_VISIBLE_DEVICES": ""}
    own = {"KTG_CACHE": str(folder / "cache"), "KTG_ZOO": str(folder / "zoo")}
    program = [sys.executable, "-c", "from ktg.cli import main; main()"]
    done = subprocess.run(
        [*program, *map(str, words)],
        cwd=folder,
        env=os.environ | beside | own | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"ktg {' '.join(map(str, words))}: {done.stderr[-2000:]}"
    return done.stdout


def called(*words: object, folder: Path) -> Any:
    """Run the command line, and return the JSON that it printed."""
    return json.loads(command(*words, "--json", folder=folder))


def search(folder: Path) -> dict[str, Any]:
    """Search a space of three networks, one trial at a time: its trials, and its winner."""
    space = yaml.safe_load(SPACE.read_text(encoding="utf-8"))
    # What version 1 of the format means stays, whatever is the default now.
    space |= {"version": 1}
    space["search"] |= {"concurrent": 1, "cpus_per_trial": 1, "gpus_per_trial": 0}
    (folder / "space.yaml").write_text(yaml.safe_dump(space, sort_keys=False), encoding="utf-8")
    found = called("search", "space.yaml", "--trials", 12, "--seed", 0, folder=folder)
    report = called("report", found["name"], "--no-retrain", folder=folder)
    counts = ("finished", "stopped", "failed", "duplicates", "epochs", "epochs_saved")
    told = ("trial", "state", "baseline", "epoch", "values", "val_accuracy", "reason")
    return {
        "counts": {key: found[key] for key in counts},
        "rows": [
            {key: row[key] for key in ("what", "trial", "accuracy", "loss")}
            for row in found["rows"]
        ],
        "winner": found["best"],
        "trials": [{key: trial[key] for key in told} for trial in report["trials"]],
    }


def training(folder: Path) -> dict[str, Any]:
    """Train three graphs: every figure of every epoch, and the test result."""
    return {name: trained(name, folder) for name in GRAPHS}


def trained(name: str, folder: Path) -> dict[str, Any]:
    """Train a graph and keep its weights: the figures of its epochs, and the test result."""
    graph = folder / f"{name}.yaml"
    graph.write_text(yaml.safe_dump(GRAPHS[name], sort_keys=False), encoding="utf-8")
    weights = folder / f"{name}.safetensors"
    words = ("train", graph.name, "--device", "cpu", "--weights", weights.name, "--force")
    store = folder / "runs.db"
    store.unlink(missing_ok=True)  # of a graph trained before this one
    found = called(*words, "--tracking-uri", f"sqlite:///{store}", folder=folder)
    (run,) = found["runs"]
    return {"test": {key: run[key] for key in ("accuracy", "loss")}, "epochs": epochs_of(store)}


def epochs_of(store: Path) -> list[dict[str, float]]:
    """Return the figures of each epoch of the only training in a store."""
    asked = (
        "select m.step, m.key, m.value from metrics m join runs r on m.run_uuid = r.run_uuid "
        "where r.name like 'seed %' order by m.step, m.key"
    )
    connection = sqlite3.connect(store)
    rows = connection.execute(asked).fetchall()
    connection.close()
    epochs: dict[int, dict[str, float]] = {}
    for step, key, value in rows:
        if key not in BESIDE and not key.startswith("system/"):
            epochs.setdefault(step, {})[key] = value
    return [epochs[step] for step in sorted(epochs)]


def affinity(folder: Path) -> dict[str, Any]:
    """Correlate a published table, and score two candidates on digits."""
    if not (folder / "alone.safetensors").is_file():
        trained("alone", folder)
    correlated = called("affinity", "correlate", TABLE, "--group", "dataset", folder=folder)
    among = ("--among", "resnet8@none", "--among", "resnet8@alone.safetensors")
    words = ("affinity", "rank", "digits", "--sample", 300, "--device", "cpu")
    ranked = called(*words, *among, folder=folder)
    told = ("scores", "not_applicable", "images", "layer", "dimensions", "parameters")
    scores = {
        name: {key: measured[key] for key in told}
        for name, measured in ranked["candidates"].items()
    }
    return {"correlated": correlated, "order": list(ranked["candidates"]), "candidates": scores}


def fractals(folder: Path) -> dict[str, Any]:
    """Draw sheets of two formulas: a hash of the pixels, and how bright they are."""
    return {family: sheet(family, folder) for family in ("fractaldb", "svd")}


def sheet(family: str, folder: Path) -> dict[str, Any]:
    """Draw one sheet."""
    size = ("--rows", 2, "--columns", 4, "--size", 64, "--points", 2000)
    words = ("source", "fractal", "sheet", "--family", family, "-o", f"{family}.png")
    command(*words, *size, folder=folder)
    with Image.open(folder / f"{family}.png") as picture:
        pixels = np.asarray(picture)
    return {
        "shape": list(pixels.shape),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "mean": float(pixels.mean()),
    }


PARTS = {"search": search, "training": training, "affinity": affinity, "fractals": fractals}


def differences(old: Any, new: Any, equal: Any, where: str = "") -> list[str]:
    """Return what is not as it was, a line each; `equal` compares two values at a place."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        lost = [
            f"{where}.{key}: {'gone' if key in old else 'new'}"
            for key in keys
            if not (key in old and key in new)
        ]
        parts = [(key, old[key], new[key]) for key in keys if key in old and key in new]
    elif isinstance(old, list) and isinstance(new, list):
        lost = [] if len(old) == len(new) else [f"{where}: {len(new)} and not {len(old)}"]
        parts = [(str(at), *pair) for at, pair in enumerate(zip(old, new, strict=False))]
    else:
        return [] if equal(where, old, new) else [f"{where}: {new!r} and not {old!r}"]
    return lost + [
        line for key, a, b in parts for line in differences(a, b, equal, f"{where}.{key}")
    ]


def exactly(where: str, old: Any, new: Any) -> bool:
    """Return whether two values are the same to the last bit."""
    return type(old) is type(new) and old == new


def nearly(where: str, old: Any, new: Any) -> bool:
    """Return whether two values are the same but for rounding."""
    if not (isinstance(old, float) and isinstance(new, float)):
        return where.endswith(".sha256") or exactly(where, old, new)
    if "accuracy" in where or "learned" in where:
        return abs(old - new) <= (LEARNED if "learned" in where else ACCURACY)
    return math.isclose(old, new, rel_tol=FIGURE, abs_tol=1e-9)


def reproducible(part: str, found: dict[str, Any]) -> dict[str, Any]:
    """Return what of a part is the same on every machine, but for rounding."""
    if part != "search":
        return found
    blindly = found["trials"][:DRAWN_BLINDLY]
    learned = {t["baseline"]: t["val_accuracy"][-1] for t in blindly if t["baseline"]}
    return {"drawn": [trial["values"] for trial in blindly], "learned": learned}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all parts share."""
    return tmp_path_factory.mktemp("regression")


@pytest.mark.parametrize("part", PARTS)
def test_nothing_changes_for_a_user(part: str, room: Path):
    recording = json.loads(RECORDING.read_text(encoding="utf-8"))
    old, new = recording[part], json.loads(json.dumps(PARTS[part](room)))
    if recording["fingerprint"] == fingerprint():
        changed = differences(old, new, exactly)
    else:
        changed = differences(reproducible(part, old), reproducible(part, new), nearly)
    assert not changed, "\n".join([f"{part}: {len(changed)} differences", *changed[:20]])


def record() -> None:
    """Write the recording anew."""
    with tempfile.TemporaryDirectory() as name:
        found = {part: run(Path(name)) for part, run in PARTS.items()}
    text = json.dumps({"fingerprint": fingerprint(), **found}, indent=1)
    lists = re.compile(r"\[[^][{}]*\]")  # of plain values: on one line
    text = lists.sub(lambda found: " ".join(found.group().split()), text)
    RECORDING.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--record"]:
        sys.exit("usage: python tests/test_regression.py --record")
    record()
