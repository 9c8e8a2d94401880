"""Commands whose output nobody reads, or that no disk takes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import graph_file

KTG = str(Path(sys.executable).with_name("ktg"))
FULL = Path("/dev/full")


def test_a_reader_that_has_enough_is_told_of_and_nothing_else_happens(tmp_path):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [KTG, "--help"], stdout=write, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False
    )
    os.close(write)
    said = "ktg: nobody reads standard output any more; the rest of it is dropped\n"
    assert (done.returncode, done.stderr) == (0, said)


@pytest.mark.slow
@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence(tmp_path):
    for words in (["--help"], ["--version"], ["zoo", "list", "--json"]):
        with FULL.open("w") as full:
            done = subprocess.run(
                [KTG, *words], stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path
            )
        assert done.returncode == 1
        why = "No space left on device; the rest of it is dropped"
        assert done.stderr == f"ktg: standard output cannot be written: {why}\n"


def test_what_can_be_written_is_as_it_was(tmp_path):
    done = subprocess.run([KTG, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ktg, version ")
    assert done.stderr == ""


@pytest.mark.slow
def test_a_search_goes_on_when_nobody_reads_what_it_prints(tiny, tmp_path):
    plan = {"trials": 2, "sampler": "grid", "baselines": False, "race_share": 0}
    lrs = {"lr": {"choice": [0.05, 0.1]}}
    graph_file(tmp_path / "space.yaml", tiny, train=lrs, search=plan | {"cpus_per_trial": 1})
    search = f"{KTG} search space.yaml | head -1"
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", search],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("space: 1 hole, ")
    assert done.stderr == "ktg: nobody reads standard output any more; the rest of it is dropped\n"
    status = subprocess.run(
        [KTG, "status", "space"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert "space: finished" in status.stdout
    assert "2 finished" in status.stdout
