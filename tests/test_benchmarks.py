"""Benchmarks, tried small: that of GPUs without one, and the fuzz suite on a few inputs."""

import functools
import importlib
import json
import random
import subprocess
import sys
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from ktg.errors import UserError
from ktg.graph.canonical import canonical_key

SCRIPT = Path(__file__).parents[1] / "benchmarks/gpu.sh"
FUZZ = SCRIPT.with_name("fuzz.py")
RESULTS = SCRIPT.with_name("results")
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
def load(monkeypatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(FUZZ.parent)
    return importlib.import_module


@pytest.fixture
def rivals(load) -> ModuleType:
    return load("rivals")


def write_lines(file: Path, *lines: dict) -> Path:
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


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
    read_lines = importlib.import_module("lines").read_lines
    file = tmp_path / "lines.jsonl"
    assert read_lines(file) == []
    first = {"set": "birds", "arm": "timm", "seed": 0, "accuracy": 0.5}
    rivals.record(file, first)
    file.write_text(file.read_text() + '{"set": "bi')
    assert read_lines(file) == [first]
    rivals.record(file, {**first, "seed": 1})
    assert [line["seed"] for line in read_lines(file)] == [0, 1]


@pytest.mark.parametrize("script", ["folder", "proof"])
def test_no_seeds_measure_nothing_and_are_refused(load, monkeypatch, capsys, script):
    monkeypatch.setattr(sys, "argv", [script, "shared", "--seeds", "0"])
    with pytest.raises(SystemExit):
        load(script).main()
    said = "argument --seeds: '0' is no number of seeds; allowed: 1 and more\n"
    assert capsys.readouterr().err.endswith(said)


def test_a_probe_of_what_a_search_came_to_has_the_budget_of_the_search(load, tmp_path):
    folder = load("folder")
    probe = {"set": "wbc4", "arm": "probe", "budget": None, "seed": 0, "accuracy": 0.8}
    lines = [{**probe, "size": size} for size in (0, 96)]
    args = Namespace(output=write_lines(tmp_path / "lines.jsonl", *lines), seeds=5)

    def find(size: int, budget: str) -> tuple[str | None, list[int], int]:
        args.size, args.budget = size, budget
        keys, _, missing = folder.find_missing(args, "wbc4", "probe")
        return keys["budget"], missing, len(folder.read_budget(args))

    assert find(96, "6m") == find(96, "30m") == (None, [], 1)
    assert find(0, "6m") == ("6m", [], 1)
    assert find(0, "30m") == ("30m", [0], 0)
    # What was measured before is not measured again.
    args = Namespace(output=RESULTS / "folder.jsonl", seeds=5, size=0, budget="6m")
    assert [folder.find_missing(args, name, "probe")[2] for name in folder.SETS] == [[]] * 6


def test_lines_of_other_settings_are_no_lines_of_these(load, monkeypatch, capsys, tmp_path):
    unknown, read_lines = load("unknown"), load("lines").read_lines
    known = read_lines(RESULTS / "unknown.jsonl")[0]
    other = {**known, "seed": 1, "settings": {**known["settings"], "size": 64}}
    file = write_lines(tmp_path / "lines.jsonl", known, other)
    # In place of a minute of training.
    monkeypatch.setattr(
        unknown, "measure", lambda _, name, seed: {**other, "set": name, "seed": seed}
    )
    options = ["unknown.py", "shared", "-o", str(file)]
    monkeypatch.setattr(sys, "argv", [*options, "--size", "64", "--seeds", "1"])
    unknown.main()
    assert "flowers (2 seeds)" in capsys.readouterr().out
    measured = [(line["set"], line["seed"]) for line in read_lines(file)[2:]]
    assert measured == [("flowers", 0), ("rsscn7", 0)]
    monkeypatch.setattr(sys, "argv", [*options, "--table"])
    unknown.main()
    assert "flowers (1 seeds)" in capsys.readouterr().out


def test_a_line_of_the_study_is_of_all_its_settings(load):
    study = load("teachers_study")
    lines = load("lines").read_lines(RESULTS / "teachers_study.jsonl")
    keys = {study.find_key(line) for line in lines}
    assert len(keys) == len(lines)
    for line in lines:
        assert study.find_key({**line, "views": 2}) not in keys
        other = "imagenet" if line["model"] == "resnet20" else "none"
        assert study.find_key({**line, "source": other}) not in keys
    # These began from nothing, at the side and length that docs/studies.md says.
    (settings,) = {key[5:9] for key in keys if key[1] == "resnet20"}
    assert settings == (32, 3000, 8, "none")
    assert {key[5:9] for key in keys if key[1] != "resnet20"} == {(96, 100, 8, "imagenet")}


def test_every_arm_whose_right_images_are_kept_has_a_graph(load, tmp_path):
    runs = load("choice_runs")
    args = Namespace(shared=tmp_path, **runs.SETTINGS)
    graphs = {arm: runs.make_graph(args, "flowers", 0, seed, arm) for arm, seed in runs.PLAN}
    assert {arm: len(graph.nodes) for arm, graph in graphs.items()} == {
        "probe": 1,
        "alone, 100 steps": 1,
        "mutual": 2,
        "kl, T 2": 2,
        "kl, T 2, labelled images only": 2,
    }


@pytest.mark.parametrize("way", ["tpe canonical, grace 8", "tpe not told of stopped"])
def test_every_way_of_telling_a_sampler_is_replayed_on_photographs(load, monkeypatch, way):
    efficiency = load("search_efficiency")
    table = efficiency.open_table("flowers")
    known = functools.partial(efficiency.list_known_baselines, table)
    monkeypatch.setattr(efficiency.queues, "baselines", known)
    space = efficiency.Remembering(**vars(table.space))
    values = efficiency.list_values(table)
    assert all(canonical_key(space.bind(own)) == key for key, own in values.items())
    curve = efficiency.play_search(space, table, efficiency.WAYS[way], 0, 128, 2)
    assert len(curve) == 129
    assert 0.3 < curve[-1] < 1


def test_a_cosine_ends_where_a_head_learns_first(rivals, monkeypatch):
    """An epoch of the head takes a second, and one of the whole network three."""
    passed, rates = [0.0], []
    monkeypatch.setattr(rivals, "time", SimpleNamespace(perf_counter=lambda: passed[0]))
    layers = {"flat": nn.Flatten(), "body": nn.Linear(48, 4), "classifier": nn.Linear(4, 2)}

    def fit(head_share: float) -> tuple[int, int]:
        network, passed[0] = nn.Sequential(OrderedDict(layers)), 0.0
        rates.clear()
        whole = 0

        def loss_of(_: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
            nonlocal whole
            learns = network.body.weight.requires_grad
            passed[0] += 3 if learns else 1
            whole += learns
            return network(images).square().mean()

        pixels = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
        return rivals.fit(network, pixels, loss_of, 100, head_share), whole

    hook = register_optimizer_step_pre_hook(
        lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"])
    )
    try:
        # Of 0.97 of 100 seconds a quarter is the head's.
        assert fit(0.25) == (25 + 24, 24)
        assert rates[-1] < 0.01 * max(rates)
        assert fit(0.0) == (32, 32)
        assert rates[-1] < 0.01 * max(rates)
    finally:
        hook.remove()


def test_tables_of_interrupted_benchmarks_have_holes(load):
    scores = {"accuracy": 0.5, "balanced_accuracy": 0.5}
    run = {"set": "wbc4", "weights": "imagenet_035", **scores}
    trained = [{**run, "side": 96, "epochs": 12, "seed": seed} for seed in (0, 1)]
    probe = {**run, "side": 128, "epochs": 0, "seed": 0, "balanced_accuracy": 0.6}
    row = load("sides").show([*trained, probe], "imagenet_035", 12)[4]
    assert row.split(" | ")[:3] == ["| wbc4", "- (-)", "60.0 (+10.0 (+10.0 to +10.0))"]

    found = {"set": "wbc4", "arm": "search", "size": 64, "budget": "6m", **scores}
    once, longer = [{**found, "seed": None}], [{**found, "times": 3, "seed": 0}]
    rows = load("refit").compare(once, longer)
    assert rows[2:] == ["| wbc4, search, 64 px, 6m | - | 50.0 (x 3) | - |"]


def test_a_table_of_graphs_goes_on_where_its_last_line_was_cut_off(load, monkeypatch, tmp_path):
    table, out = load("table"), tmp_path / "table.jsonl"
    space = tmp_path / "space.yaml"
    space.write_text("""
data: {name: digits, per_class: 5, batch_size: 25}
train: {epochs: 1, lr: {choice: [0.1, 0.03]}}
nodes: {n0: {model: resnet8}}
edges: {label -> n0: {}}
""")
    monkeypatch.setattr(table, "SPACE", space)
    monkeypatch.setattr(sys, "argv", ["table.py", "--out", str(out)])
    table.main()
    first, second = out.read_text().splitlines()
    out.write_text(f"{first}\n{second[:20]}")
    table.main()
    again = out.read_text().splitlines()
    assert again[0] == first
    assert [json.loads(line)["key"] for line in again] == [
        json.loads(line)["key"] for line in (first, second)
    ]


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
def fuzz(load) -> ModuleType:
    return load("fuzz")


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
