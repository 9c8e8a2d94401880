"""The benchmark of GPUs, tried on small networks and without one."""

import json
import subprocess
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[1] / "benchmarks/gpu.sh"
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
