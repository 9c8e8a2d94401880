"""A folder with a space, a graph and the data of both, for the tests of the commands."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Done, ktg

SPACE = """\
data: {path: tiny.npz, batch_size: 16, augment: none}
train: {epochs: 4, lr: {log: [0.01, 0.1]}}
nodes:
  n0: {model: resnet8}
  n1: {model: resnet8}
edges:
  label -> any: {}
  n1 -> n0: {gate: {choice: [through, linear]}}
search: {trials: 3}
"""
GRAPH = """\
data: {path: tiny.npz, batch_size: 16, augment: none}
train: {epochs: 4, lr: 0.05}
nodes:
  n0: {model: resnet8}
  n1: {model: resnet8}
edges:
  label -> any: {}
  n1 -> n0: {gate: linear}
"""


@pytest.fixture
def room(tmp_path: Path, tiny: Path) -> Path:
    shutil.copy(tiny, tmp_path / "tiny.npz")
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "graph.yaml").write_text(GRAPH)
    return tmp_path


@pytest.fixture
def refused(room: Path) -> Callable[..., str]:
    """Run a command that must be refused: exit code 2, nothing written, one sentence, returned."""

    def run(*words: object) -> str:
        before = listing(room)
        sentence = one_sentence(ktg(*words, folder=room))
        assert listing(room) == before
        return sentence

    return run


def listing(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def one_sentence(done: Done) -> str:
    assert done.code == 2, (done.out, done.err)
    assert done.out == ""
    assert done.err.startswith("ktg: ")
    assert done.err.count("\n") == 1, done.err
    assert "Traceback" not in done.err
    return done.err.removeprefix("ktg: ").rstrip("\n")
