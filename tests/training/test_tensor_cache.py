"""Tensors that are made once: named, kept, shared and limited."""

import torch
from filelock import FileLock

from ktg.training.tensor_cache import make_once


def test_what_was_made_is_read_and_not_made_again(tmp_path):
    made = []

    def make() -> dict[str, torch.Tensor]:
        made.append(1)
        return {"a": torch.arange(6.0).view(2, 3).t()}  # not contiguous

    first, again = make_once("x", make, tmp_path), make_once("x", make, tmp_path)
    assert len(made) == 1
    assert torch.equal(first["a"], again["a"])
    make_once("y", make, tmp_path)
    assert len(made) == 2
    assert make_once("none", dict, tmp_path) == make_once("none", dict, tmp_path) == {}
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_was_used_longest_ago_makes_room(tmp_path, monkeypatch):
    monkeypatch.setenv("KTG_CACHE_GIB", str(4 / 2**20))  # 4 KiB
    kib = {"a": torch.zeros(512)}
    make_once("old", lambda: kib, tmp_path)
    with FileLock(tmp_path / "solo/old.lock"):  # a process uses it
        make_once("new", lambda: kib, tmp_path)
    assert {file.stem for file in tmp_path.glob("solo/*.safetensors")} == {"old"}
    make_once("newer", lambda: kib, tmp_path)
    assert {file.stem for file in tmp_path.glob("solo/*.safetensors")} == {"newer"}
