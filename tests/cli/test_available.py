"""`ktg source list` says what a model can start from, and what is on this machine."""

import json
from pathlib import Path

import pytest
import torch
from command import ktg
from zoos import filled


@pytest.fixture(autouse=True)
def zoo(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(
        "KTG_ZOO", str(filled(tmp_path, ("animals", "resnet8"), ("fractaldb", "alexnet")).folder)
    )
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def listed(folder: Path, *words: str) -> dict[str, tuple[bool | None, str]]:
    found = json.loads(ktg("source", "list", *words, "--json", folder=folder).out)
    assert found["faults"] == []
    return {row["source"]: (row["here"], row["about"]) for row in found["sources"]}


def test_a_model_of_ktg(tmp_path: Path):
    found = listed(tmp_path, "--model", "resnet8")
    assert list(found) == ["none", "imagenet", "fractaldb", "zoo/animals", "PATH"]
    assert found["imagenet"] == (False, "none are published for this model")
    assert found["fractaldb"] == (False, "make it: ktg source pretrain fractaldb --model resnet8")
    assert found["zoo/animals"] == (True, "animals")


def test_a_model_of_torchvision_with_and_without_its_file(tmp_path: Path):
    found = listed(tmp_path, "--model", "torchvision/alexnet")
    assert list(found) == ["none", "imagenet", "fractaldb", "PATH"]
    assert found["fractaldb"][0] is True
    here, about = found["imagenet"]
    assert (here, about.startswith("downloaded at first use: https://")) == (False, True)
    file = tmp_path / "hub" / "checkpoints" / about.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    file.touch()
    assert listed(tmp_path, "--model", "alexnet")["imagenet"] == (True, f"cached: {file}")


def test_all_of_them_on_80_columns(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = ktg("source", "list", folder=tmp_path)
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 80
    for source in ("none", "imagenet", "zoo/animals", "fractaldb", "PATH"):
        assert f"\n  {source} " in done.out
    done = ktg("source", "list", "--model", "resnt8", folder=tmp_path)
    assert (done.code, done.err.endswith("Did you mean 'resnet8'?\n")) == (2, True)
