"""The cache stays below its limit, and nothing that a process uses is removed."""

import contextlib
import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ktg.data import cache_limit
from ktg.data.cache import DecodeOptions, open_cached
from ktg.data.cache_limit import (
    VARIABLE,
    hold,
    hold_for_now,
    read_limit_bytes,
    remove_unless_held,
    trim,
)
from ktg.data.decode import Geometry
from ktg.data.open import open_data
from ktg.data.undecoded import wrap_array
from ktg.errors import DataError, UserError
from ktg.graph import Data


def make(folder: Path, *names: str) -> list[Path]:
    """Make entries of 1 KiB each, used one after the other."""
    entries = [folder / name for name in names]
    for time, entry in enumerate(entries):
        entry.mkdir()
        (entry / "pixels.npy").write_bytes(bytes(1024))
        os.utime(entry, (time, time))
    return entries


def test_what_was_used_longest_ago_goes_first(tmp_path: Path, monkeypatch):
    entries = make(tmp_path, *"abcd")
    monkeypatch.setenv(VARIABLE, str(2 / 2**20))
    os.utime(entries[0])
    trim(entries)
    assert sorted(tmp_path.iterdir()) == [entries[0], entries[3]]
    trim(entries)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_this_or_another_process_holds_is_kept(tmp_path: Path, monkeypatch):
    entries = make(tmp_path, *"abc")
    monkeypatch.setenv(VARIABLE, "0")
    code = (
        "import sys; from pathlib import Path; from ktg.data.cache_limit import hold;"
        "print(hold(Path(sys.argv[1])), flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(entries[0])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "True\n"
        assert hold(entries[1])
        trim(entries)
        assert sorted(tmp_path.iterdir()) == entries[:2]
        other.communicate("\n")
    trim(entries)
    assert list(tmp_path.iterdir()) == [entries[1]]


def test_an_entry_that_is_made_again_is_held_again(tmp_path: Path):
    (entry,) = make(tmp_path, "a")
    assert hold(entry)
    entry.rename(tmp_path / "old")
    assert not hold(entry)
    make(tmp_path, "a")
    assert hold(entry)
    assert not remove_unless_held(entry)


def test_an_entry_is_held_for_as_long_as_somebody_wants(tmp_path: Path):
    (entry,) = make(tmp_path, "a")
    first, second = hold_for_now(entry), hold_for_now(entry)
    assert first is not None and second is not None
    del first
    assert not remove_unless_held(entry)
    del second
    assert remove_unless_held(entry)
    assert hold_for_now(entry) is None


def test_an_entry_that_may_be_read_but_not_touched_is_held(tmp_path: Path, monkeypatch):
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    (entry,) = make(tmp_path, "a")
    monkeypatch.setattr(os, "utime", refuse)  # as for what another user has made
    assert hold(entry)
    assert not remove_unless_held(entry)


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """Let this process open nothing, as where it has too much open or no right to read."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_entry_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch):
    (entry,) = make(tmp_path, "a")
    with no_more_files(), pytest.raises(OSError, match="Too many open files"):
        hold(entry)
    monkeypatch.setenv("KTG_CACHE", str(tmp_path))
    images = wrap_array(np.zeros((4, 6, 6, 3), np.uint8))
    options = DecodeOptions(None, "crop", Geometry(6, 3), "always", "error")
    open_cached(images, options, "t")
    monkeypatch.setattr(cache_limit, "_held", {})  # as in a process that finds the entry
    problem = "^t: decoded images cannot be kept in .*Too many open files.*KTG_CACHE"
    with no_more_files(), pytest.raises(DataError, match=problem):
        open_cached(images, options, "t")


@pytest.mark.parametrize("text", ["many", "-1", "nan"])
def test_what_is_no_size(monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(UserError, match=f"^KTG_CACHE_GIB: '{text}' is not a size in GiB"):
        read_limit_bytes()


def test_decoded_images_that_nobody_uses_make_room(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(VARIABLE, "0")
    old = tmp_path / "cache/images/0.pixels"
    old.parent.mkdir(parents=True)
    make(old.parent, "0.pixels", "0.index", "unfinished.pixels.tmp")
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=images, y=np.arange(40) % 2)
    data = open_data(Data(path=str(tmp_path / "a.npz")))
    kept = {path.name for path in old.parent.iterdir() if path.is_dir()}
    assert not {"0.pixels", "0.index"} & kept
    assert "unfinished.pixels.tmp" in kept
    assert data.train.read([0]).shape == (1, 8, 8, 3)  # its own entry is in use, whatever its size
