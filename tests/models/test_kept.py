"""Weights that stay in memory: the same as those read anew, and never more of them than allowed."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from ktg.models.kept import Kept, file_stamp, size_bytes


def state(floats: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.zeros(floats)}


@given(names=st.lists(st.integers(1, 6), max_size=30), most=st.integers(0, 60))
def test_what_is_returned_is_what_was_read_and_memory_is_bounded(names, most):
    kept, read = Kept(), []
    kept.keep(most)
    for name in names:
        got = kept.get(name, lambda name=name: read.append(name) or state(name))
        assert got["weight"].numel() == name
        assert sum(map(size_bytes, kept._states.values())) <= most
    if most >= 4 * sum(range(1, 7)):
        assert len(read) == len(set(names))
    if not most:
        assert read == names


def test_of_two_that_do_not_fit_the_one_used_last_stays():
    kept = Kept()
    kept.keep(8)
    read = []
    for name in ("a", "b", "a", "c", "a", "b"):
        kept.get(name, lambda name=name: read.append(name) or state(1))
    assert read == ["a", "b", "c", "b"]
    kept.keep(0)
    assert not kept._states


def test_a_file_that_was_replaced_has_another_stamp(tmp_path):
    file = tmp_path / "weights.pth"
    absent = file_stamp(file)
    file.write_bytes(b"one")
    first = file_stamp(file)
    assert file_stamp(file) == first != absent
    (tmp_path / "new").write_bytes(b"two")
    (tmp_path / "new").replace(file)
    assert file_stamp(file) != first
