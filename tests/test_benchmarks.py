"""Benchmarks, tried small: that of GPUs without one, and the fuzz suite on a few inputs."""

import json
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

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
def fuzz(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(FUZZ.parent)
    return __import__("fuzz")


@pytest.mark.slow
def test_a_few_inputs_of_each_kind_are_sentences(tmp_path):
    command = [sys.executable, FUZZ, "--count", "6", "--seed", "1", "--output", tmp_path / "f.json"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    results = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert [fault for result in results for fault in result["faults"]] == []
    assert (done.returncode, len(results)) == (0, 7), done.stderr
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
