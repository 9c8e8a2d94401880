"""Benchmarks, tried small: that of GPUs without one, and the fuzz suite on a few inputs."""

import json
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from ktg.errors import UserError

SCRIPT = Path(__file__).parents[1] / "benchmarks/gpu.sh"
FUZZ = SCRIPT.with_name("fuzz.py")
# One of each kind: compiling takes a minute, and the others are as slow as those that are left.
LEFT_OUT = ("compiled", "at once 4", "float32", "16 px, batch")
QUICK = ("--tiny", "--cpu", *(word for each in LEFT_OUT for word in ("--without", each)))


def measure(*words: object) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_what_is_measured_is_not_measured_again(tmp_path):
    file = tmp_path / "results" / "gpu.jsonl"
    done = measure(*QUICK, "--output", file)
    assert (done.returncode, done.stderr) == (0, "")
    first = file.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in first.splitlines()]
    names = [line["measurement"] for line in lines]
    assert len(names) == len(set(names)) == 6
    for line in lines:
        assert (line["device"], line["tiny"]) == ("cpu", True)
        if "CUDA graph" in line["measurement"]:
            assert line["error"] == "RuntimeError: CUDA graphs need a GPU"
        else:
            assert line["images_per_s"] > 0, line
    again = measure(*QUICK, "--output", file)
    assert again.stdout == f"gpu.py: all 6 measurements of this machine are in {file}\n"
    assert file.read_text(encoding="utf-8") == first

    # A run that was killed while it wrote: only that measurement is made again.
    file.write_text(first[: -len(first.splitlines()[-1]) // 2], encoding="utf-8")
    third = measure(*QUICK, "--output", file)
    assert third.stdout.splitlines()[0].startswith(f"{names[-1]}: ")
    assert len(third.stdout.splitlines()) == 2
    assert json.loads(file.read_text(encoding="utf-8").splitlines()[-1])["measurement"] == names[-1]


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so(tmp_path):
    done = measure("--output", tmp_path / "gpu.jsonl")
    said = "gpu.py: torch sees no GPU here; --tiny --cpu tries the script\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
    assert not any(tmp_path.iterdir())


@pytest.fixture
def rivals(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(FUZZ.parent)
    return __import__("rivals")


def test_figures_are_compared_by_seed_and_a_probe_has_one_for_all(rivals):
    sets = {"birds": rivals.RealSet("birds"), "cells": rivals.RealSet("cells")}

    def line(name: str, arm: str, seed: int | None, accuracy: float) -> dict:
        return {"set": name, "arm": arm, "seed": seed, "accuracy": accuracy}

    lines = [line("birds", "search", seed, 0.5 + seed / 10) for seed in range(3)]
    lines += [line("birds", "timm", seed, 0.4 + seed / 10) for seed in (1, 2)]
    lines += [line("birds", "probe", 0, 0.5), {"set": "birds", "arm": "search", "seed": None}]
    *_, birds, cells, mean = rivals.compare(lines, sets, "search", ("timm", "probe"))
    assert birds.split(" | ")[1:4] == ["60.0 +- 10.0", "55.0 +- 7.1", "+10.0 (+10.0 to +10.0)"]
    assert birds.split(" | ")[4:] == ["50.0", "+10.0 (-14.8 to +34.8) |"]  # 4.303 * 10 / sqrt(3)
    assert set(cells.split(" | ")[1:-1]) == {"-"}
    assert mean == "| mean |  |  | +10.0 |  | +10.0 |"


def test_a_line_that_was_cut_off_is_measured_again(rivals, tmp_path):
    read_lines = __import__("lines").read_lines
    file = tmp_path / "lines.jsonl"
    assert read_lines(file) == []
    first = {"set": "birds", "arm": "timm", "seed": 0, "accuracy": 0.5}
    rivals.record(file, first)
    file.write_text(file.read_text() + '{"set": "bi')
    assert read_lines(file) == [first]
    rivals.record(file, {**first, "seed": 1})
    assert [line["seed"] for line in read_lines(file)] == [0, 1]


def test_a_set_becomes_a_folder_as_a_user_has_it(rivals, tmp_path):
    random = np.random.default_rng(0)
    labels, pixels = np.arange(20) % 2, random.integers(0, 256, (20, 4, 4, 3), np.uint8)
    arrays = {"x_train": pixels, "y_train": labels, "x_test": pixels[:6], "y_test": labels[:6]}
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "some.npz", **arrays, classes=np.array(["a", "b"]))
    few = rivals.RealSet("some.npz", per_class=3, unlabelled=True)
    made = rivals.make_folder(tmp_path, few, tmp_path / "made")
    parts = ("train/a", "train/b", "test/a", "test/b", "unlabelled")
    counts = {part: len(list((made / "photos" / part).iterdir())) for part in parts}
    assert list(counts.values()) == [3, 3, 3, 3, 14]
    task = rivals.open_task(made, 4)
    assert (len(task.train), len(task.unlabelled), len(task.test)) == (6, 14, 6)
    assert sorted(task.labels) == [0, 0, 0, 1, 1, 1]
    # A folder without splits: a fifth of each class is for testing.
    flat = tmp_path / "data" / "flat"
    for split in ("train", "test"):
        for label in ("a", "b"):
            for file in (made / "photos" / split / label).iterdir():
                (flat / label).mkdir(parents=True, exist_ok=True)
                file.rename(flat / label / f"{split}{file.name}")
    made = rivals.make_folder(tmp_path, rivals.RealSet("flat"), tmp_path / "second")
    counts = {part: len(list((made / "photos" / part).iterdir())) for part in parts[:4]}
    assert list(counts.values()) == [5, 5, 1, 1]


def test_the_seconds_of_slots_are_divided_without_a_rest(monkeypatch):
    monkeypatch.syspath_prepend(FUZZ.parent)
    overhead = __import__("overhead")
    monkeypatch.setattr(overhead, "STARTED", 100.0)
    stamps = [
        {"what": "Ray asked", "s": 0, "at": 105},
        {"what": "worker start", "s": 3, "at": 110},
        {"what": "worker start", "s": 4, "at": 111},
        {"what": "building", "s": 1, "at": 112},
        {"what": "training", "s": 5, "at": 118},
        {"what": "validation", "s": 2, "at": 120},
    ]
    found = overhead.divide(stamps, imported=102.0, ended=121.0, slots=2)
    assert sum(found["slot_s"].values()) == 2 * 21 == 2 * found["wall_s"]
    assert found["slot_s"] == {
        "imports": 4,
        "preparing": 6,
        "starting Ray": 4,
        "worker start": 7,
        "building": 1,
        "training": 5,
        "validation": 2,
        "waiting": 11,
        "ending": 2,
    }
    assert found["overhead"] == pytest.approx(1 - 7 / 42)
    assert found["overhead_s_per_trial"] == 35


@pytest.fixture
def fuzz(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(FUZZ.parent)
    return __import__("fuzz")


@pytest.mark.slow
def test_a_few_inputs_of_each_kind_are_sentences(tmp_path):
    command = [sys.executable, FUZZ, "--count", "6", "--seed", "1", "--output", tmp_path / "f.json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    results = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert [fault for result in results for fault in result["faults"]] == []
    assert (done.returncode, len(results)) == (0, 11), done.stderr
    assert all(result["sound"] + result["sentences"] == 6 for result in results)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (None, "sound"),
        (UserError("a: is wrong"), "sentences"),
        (UserError(""), "tracebacks"),
        (ValueError("bare"), "tracebacks"),
    ],
)
def test_what_is_no_sentence_counts_as_a_traceback(fuzz, monkeypatch, tmp_path, error, what):
    def planted(*_: object) -> None:
        if error is not None:
            raise error

    monkeypatch.setitem(fuzz.KINDS, "planted", planted)
    assert fuzz.read(tmp_path, "planted", 0, seed=0)[0] == what


def test_an_input_is_made_from_its_seed_alone(fuzz):
    content = b"nodes: {n0: {model: resnet8}}"
    for change in (fuzz.mutate, fuzz.mutate_text):
        once, again, other = (change(content, random.Random(seed)) for seed in (1, 1, 2))
        assert once == again != other
