"""What the cache holds is counted, and cleared of what no process uses."""

from pathlib import Path

import numpy as np
import pytest

from ktg.api.cache import CachedKind, clear_cache, find_entries, show_cache
from ktg.data.cache_limit import hold
from ktg.data.open import open_data
from ktg.graph import Data

KINDS = ("images", "archives", "views", "teachers", "answers")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))
    for name in ("images/a.pixels", "images/b.index", "solo", "undelivered"):
        (tmp_path / "cache" / name).mkdir(parents=True)
    for name in ("images/a.pixels/pixels.npy", "solo/c.safetensors", "undelivered/d"):
        (tmp_path / "cache" / name).write_bytes(bytes(1024))
    return tmp_path / "cache"


def test_nothing_is_kept_before_anything_was_done(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))
    assert show_cache().kept == tuple(CachedKind(kind, 0, 0) for kind in KINDS)
    assert clear_cache() == show_cache()
    assert not (tmp_path / "cache").exists()


def test_every_kind_is_counted_and_cleared(folder: Path):
    for entry in (
        "archives/e.archive",
        "views/f.view",
        "answers/g.answers",
        "answers/h.answers.tmp",
    ):
        (folder / entry).mkdir(parents=True)
        (folder / entry / "x").write_bytes(bytes(512))
    kept = {"images": (2, 1024), "archives": (1, 512), "views": (1, 512), "teachers": (1, 1024)}
    kept["answers"] = (2, 1024)
    assert show_cache().kept == tuple(CachedKind(kind, *kept[kind]) for kind in KINDS)
    assert clear_cache().kept == tuple(CachedKind(kind, 0, 0) for kind in KINDS)
    assert (folder / "undelivered/d").exists()  # records of a search are no cache


def test_what_is_in_use_is_left(folder: Path, tmp_path: Path):
    images = np.zeros((40, 8, 8, 3), np.uint8)
    images[::2] = 255
    np.savez(tmp_path / "a.npz", x=images, y=np.arange(40) % 2)
    open_data(Data(path=str(tmp_path / "a.npz")))
    assert hold(folder / "images/b.index")
    clear_cache()
    left = {entry.name for entry in find_entries("images")}
    assert "b.index" in left
    assert "a.pixels" not in left
    assert len(left) == 2


def test_an_endless_limit_is_valid_json(folder: Path, monkeypatch):
    monkeypatch.setenv("KTG_CACHE_GIB", "inf")
    assert show_cache().to_json()["limit_bytes"] is None
