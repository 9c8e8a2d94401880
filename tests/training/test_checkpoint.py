"""Checkpoints come back whole; hostile, damaged and foreign files are refused and never run."""

import pickle
from pathlib import Path

import pytest
import torch

from ktg.errors import WeightsError
from ktg.training.checkpoint import read_checkpoint, write_checkpoint

STATE = {
    "key": "abc",
    "epoch": 3,
    "learners": {"n0": {"network": {"w": torch.arange(3.0)}, "optimizer": {"lr": 0.1}}},
}


def test_a_state_comes_back_as_it_was(tmp_path: Path):
    write_checkpoint(STATE, tmp_path / "state.pt")
    state = read_checkpoint(tmp_path / "state.pt")
    assert torch.equal(state["learners"]["n0"]["network"]["w"], torch.arange(3.0))
    assert (state["key"], state["epoch"]) == ("abc", 3)
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


class Hostile:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_hostile_pickle_is_refused_and_not_run(tmp_path: Path):
    mark = tmp_path / "executed"
    for name, write in {"plain": pickle.dumps, "torch": None}.items():
        file = tmp_path / f"{name}.pt"
        if write:
            file.write_bytes(write({**STATE, "learners": Hostile(mark)}))
        else:
            torch.save({**STATE, "learners": Hostile(mark)}, file)
        with pytest.raises(WeightsError, match=rf"{name}.pt: is not a checkpoint"):
            read_checkpoint(file)
    assert not mark.exists()


def test_truncated_foreign_and_missing_files_are_refused(tmp_path: Path):
    write_checkpoint(STATE, tmp_path / "whole.pt")
    (tmp_path / "half.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:200])
    torch.save({"conv1.weight": torch.ones(2)}, tmp_path / "weights.pt")
    for name, problem in {
        "half.pt": "damaged",
        "weights.pt": "lacks key",
        "none.pt": "no such checkpoint",
    }.items():
        with pytest.raises(WeightsError, match=problem):
            read_checkpoint(tmp_path / name)
