"""Tensors that are made once: named, kept, shared and limited."""

import os

import pytest
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


@pytest.mark.parametrize("left", [0, 20])
def test_a_file_that_a_power_cut_has_left_torn_is_made_again(tmp_path, left):
    made = {"a": torch.arange(6.0)}
    make_once("x", lambda: made, tmp_path)
    file = tmp_path / "solo/x.safetensors"
    file.write_bytes(file.read_bytes()[:left])
    for make in (lambda: made, dict):  # the second time it is read
        assert torch.equal(make_once("x", make, tmp_path)["a"], made["a"])


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    written = []

    def note(handle):
        assert not (tmp_path / "solo/x.safetensors").exists()
        written.append(os.fstat(handle).st_ino)

    monkeypatch.setattr(os, "fsync", note)
    make_once("x", dict, tmp_path)
    assert written == [(tmp_path / "solo/x.safetensors").stat().st_ino]
