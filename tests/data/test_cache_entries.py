"""Entries of the cache are made once, whole, and by whoever comes first."""

import os
import threading

import pytest

from ktg.data.cache_entries import make_entry
from ktg.data.cache_limit import remove_unless_held


def test_of_many_who_want_an_entry_one_makes_it(tmp_path):
    made = []

    def write(folder):
        made.append(1)
        (folder / "x").write_text("whole")

    threads = [
        threading.Thread(target=make_entry, args=(tmp_path / "a.kind", write)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert (tmp_path / "a.kind/x").read_text() == "whole"


@pytest.mark.parametrize("resume", [False, True])
def test_what_fails_leaves_no_entry_and_is_gone_on_with_only_on_demand(tmp_path, resume):
    seen = []

    def write(folder):
        seen.append(sorted(path.name for path in folder.iterdir()))
        (folder / f"{len(seen)}").write_text("")
        if len(seen) == 1:
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        make_entry(tmp_path / "a.kind", write, resume=resume)
    assert not (tmp_path / "a.kind").exists()
    make_entry(tmp_path / "a.kind", write, resume=resume)
    assert seen == [[], ["1"] if resume else []]
    assert not list(tmp_path.glob("*.tmp"))


def test_entries_used_longest_ago_make_room(tmp_path, monkeypatch):
    monkeypatch.setenv("KTG_CACHE_GIB", str(1500 / 2**30))
    (tmp_path / "old.kind").mkdir()
    (tmp_path / "old.kind/x").write_bytes(bytes(1000))
    make_entry(tmp_path / "new.kind", lambda folder: (folder / "x").write_bytes(bytes(1000)))
    assert [path.name for path in tmp_path.glob("*.kind")] == ["new.kind"]


@pytest.mark.parametrize("error", [ValueError, EOFError, FileNotFoundError])
def test_what_cannot_be_read_is_made_again(tmp_path, error):
    entry = tmp_path / "a.kind"
    entry.mkdir()
    (entry / "x").touch()  # as a power cut leaves it

    def read(entry):
        if not (entry / "x").read_text():
            raise error

    held = make_entry(entry, lambda folder: (folder / "x").write_text("whole"), read=read)
    assert (entry / "x").read_text() == "whole"
    assert not remove_unless_held(entry)
    del held
    assert remove_unless_held(entry)


def test_a_lack_of_rights_or_descriptors_is_no_fault_of_an_entry(tmp_path):
    make_entry(tmp_path / "a.kind", lambda folder: (folder / "x").touch())

    def read(entry):
        raise OSError(24, "Too many open files")

    with pytest.raises(OSError, match="Too many"):
        make_entry(tmp_path / "a.kind", lambda folder: None, read=read)
    assert (tmp_path / "a.kind/x").exists()


def test_all_files_of_an_entry_are_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    written = []

    def note(handle):
        assert not (tmp_path / "a.kind").exists()
        written.append(os.fstat(handle).st_ino)

    def write(folder):
        for name in "xy":
            (folder / name).write_text(name)

    monkeypatch.setattr(os, "fsync", note)
    make_entry(tmp_path / "a.kind", write)
    assert sorted(written) == sorted(path.stat().st_ino for path in (tmp_path / "a.kind").iterdir())
