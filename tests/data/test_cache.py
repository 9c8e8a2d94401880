import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ktg.data import cache as module
from ktg.data.cache import DecodeOptions, open_cached, probe
from ktg.data.cache_kinds import IMAGES as IMAGES_KIND
from ktg.data.decode import Geometry
from ktg.data.undecoded import ImageFiles, wrap_array
from ktg.errors import DataError

WISH = DecodeOptions(size=None, resize="crop", geometry=None, cache="always", corrupt="error")
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 3), dtype=np.uint8)


def files(root: Path) -> ImageFiles:
    return ImageFiles(
        root, tuple(sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png")))
    )


def wish(**changes: object) -> DecodeOptions:
    return DecodeOptions(**{**WISH.__dict__, **changes})


def test_the_form_follows_the_images(make):
    assert probe(files(make({"a": 3}, name="own", size=(12, 12))), WISH) == Geometry(12, 3)
    assert probe(files(make({"a": 3}, name="oblong", size=(12, 10))), WISH) == Geometry(10, 3)
    assert probe(files(make({"a": 3}, name="given", size=(12, 10))), wish(size=7)) == Geometry(7, 3)
    assert probe(files(make({"a": 3}, name="grey", mode="L")), WISH) == Geometry(10, 1)
    stretched = wish(resize="stretch")
    assert probe(files(make({"a": 3}, size=(12, 10))), stretched) == Geometry(10, 3, stretch=True)
    mixed = make({"a": 3}, name="mixed", mode="L")
    shutil.copytree(make({"b": 1}, name="other", size=(20, 20)) / "b", mixed / "b")
    assert probe(files(mixed), WISH) == Geometry(224, 3)
    assert probe(wrap_array(np.zeros((1, 3000, 2500), np.uint8)), WISH) == Geometry(224, 1)


def test_an_entry_holds_the_pixels_and_is_not_made_twice(cache: Path):
    told: list[tuple[int, int]] = []
    entry = open_cached(wrap_array(IMAGES), WISH, "t", lambda *at: told.append(at))
    again = open_cached(wrap_array(IMAGES), WISH, "t", lambda *at: told.append(at))
    np.testing.assert_array_equal(np.load(entry.pixels, mmap_mode="r"), IMAGES)
    assert again.pixels == entry.pixels
    assert len(told) == 40
    assert entry.pixels.is_relative_to(cache)


def test_a_changed_file_is_another_entry(make):
    root = make({"a": 3})
    first = open_cached(files(root), WISH, "t")
    os.utime(root / "a/00.png", (5, 5))
    assert open_cached(files(root), WISH, "t").pixels != first.pixels
    assert open_cached(files(root), wish(size=8), "t").pixels != first.pixels
    assert open_cached(files(root), wish(resize="stretch"), "t").pixels != first.pixels


def test_never_and_no_room_keep_an_index_only(monkeypatch: pytest.MonkeyPatch):
    full = open_cached(wrap_array(IMAGES), WISH, "t")
    lean = open_cached(wrap_array(IMAGES), wish(cache="never"), "t")
    assert lean.pixels is None
    np.testing.assert_array_equal(lean.index.digests, full.index.digests)
    other = wrap_array(IMAGES[:20])
    monkeypatch.setattr(module, "MARGIN_BYTES", 2**80)
    assert open_cached(other, wish(cache="auto"), "t").pixels is None
    monkeypatch.setattr(module, "MARGIN_BYTES", 0)
    assert open_cached(other, wish(cache="auto"), "t").pixels is not None


def test_all_broken_files_are_named_up_to_a_number_and_nothing_is_kept(make, cache: Path):
    root = make({"a": 30})
    for number in range(25):
        (root / f"a/{number:02d}.png").write_bytes(b"no image")
    for policy in ("always", "never"):
        with pytest.raises(DataError) as caught:
            open_cached(files(root), wish(cache=policy), "data.path: x")
        text = str(caught.value)
        assert text.startswith(
            "data.path: x: 25 of 30 images cannot be read: a/00.png (not an image of a known"
        )
        assert "a/19.png" in text
        assert "and 5 more; mend or remove them, or set data.corrupt: skip" in text
        assert not [entry for entry in (cache / "images").iterdir() if entry.is_dir()]


def test_an_entry_made_with_skip_still_refuses_without(make):
    root = make({"a": 3})
    (root / "a/00.png").write_bytes(b"no image")
    entry = open_cached(files(root), wish(corrupt="skip"), "t")
    assert entry.index.sound.tolist() == [1, 2]
    with pytest.raises(DataError, match="1 of 3 images cannot be read"):
        open_cached(files(root), WISH, "t")


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "file"))
    # Nothing of data.cache: an index is kept in any case.
    with pytest.raises(DataError, match=r"cannot be kept in .*set KTG_CACHE to another folder$"):
        open_cached(wrap_array(IMAGES), WISH, "t")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_and_no_crash(monkeypatch: pytest.MonkeyPatch):
    original = module._decode_into
    monkeypatch.setattr(
        module, "_decode_into", lambda path, *rest: original(Path("/dev/full"), *rest)
    )
    with pytest.raises(DataError, match=r"No space left on device.*or set data.cache: never$"):
        open_cached(wrap_array(np.zeros((2000, 8, 8, 3), np.uint8)), WISH, "t")


def _open_and_count(barrier: object, told: object) -> None:
    def progress(done: int, _: int) -> None:
        with told.get_lock():
            told.value += 1

    barrier.wait()
    entry = open_cached(wrap_array(IMAGES), WISH, "t", progress)
    assert (np.load(entry.pixels, mmap_mode="r") == IMAGES).all()


@pytest.mark.slow
def test_several_processes_at_once_make_it_once():
    context = multiprocessing.get_context("spawn")
    barrier, told = context.Barrier(3), context.Value("i", 0)
    processes = [context.Process(target=_open_and_count, args=(barrier, told)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert told.value == 40


def test_killed_in_the_middle_it_is_made_anew(cache: Path, tmp_path: Path):
    np.save(tmp_path / "images.npy", IMAGES)
    code = f"""
import time, numpy as np
from ktg.data.cache import DecodeOptions, open_cached
from ktg.data.undecoded import wrap_array
def progress(done, count):
    if done == 20:
        print("half", flush=True)
        time.sleep(60)
open_cached(wrap_array(np.load({str(tmp_path / "images.npy")!r})), {WISH!r}, "t", progress)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    assert len(list((cache / "images").glob("*.tmp"))) == 1
    start = time.monotonic()
    entry = open_cached(wrap_array(IMAGES), WISH, "t")
    assert time.monotonic() - start < 10
    np.testing.assert_array_equal(np.load(entry.pixels), IMAGES)
    assert not list((cache / "images").glob("*.tmp"))


@pytest.fixture
def deep(tmp_path: Path):
    """A function that writes 16-bit images of these largest values and returns their files."""

    def write(*peaks: int) -> ImageFiles:
        for number, peak in enumerate(peaks):
            values = np.linspace(0, peak, 64).astype(np.uint16).reshape(8, 8)
            (tmp_path / "deep").mkdir(exist_ok=True)
            Image.fromarray(values).save(tmp_path / f"deep/{number}.png")
        return files(tmp_path / "deep")

    return write


def test_images_of_16_bits_are_scaled_by_the_largest_value_of_all(deep):
    assert probe(deep(200, 130), WISH) == Geometry(8, 1, 8)
    assert probe(deep(200, 4000), WISH) == Geometry(8, 1, 12)
    entry = open_cached(deep(200, 4000), WISH, "t")
    assert np.load(entry.pixels).max(axis=(1, 2, 3)).tolist() == [12, 249]
    assert open_cached(deep(200, 4000), WISH, "t").index.geometry == Geometry(8, 1, 12)
    assert probe(deep(200, 60_000), WISH) == Geometry(8, 1)
    assert probe(wrap_array(IMAGES), WISH) == Geometry(6, 3)


def test_entries_from_before_bits_were_counted_are_kept_where_they_are_right(deep):
    for peaks, kept in (((100, 60_000), True), ((100, 3000), False)):
        images = deep(*peaks)
        entry = open_cached(images, WISH, "t")
        index = entry.pixels.with_name("index.npz")
        with np.load(index) as file:
            arrays = dict(file) | {"form": np.array([8, 1])}
        np.savez(index, **arrays)
        np.save(entry.pixels, np.zeros((2, 8, 8, 1), np.uint8))  # to tell old from new
        again = open_cached(images, WISH, "t")
        assert again.index.counted
        assert bool(np.load(again.pixels).any()) != kept


def test_another_bound_of_pixels_is_another_entry(monkeypatch: pytest.MonkeyPatch):
    first = open_cached(wrap_array(IMAGES), WISH, "t")
    monkeypatch.setenv("KTG_MAX_PIXELS", "1000")
    assert open_cached(wrap_array(IMAGES), WISH, "t").pixels != first.pixels


@pytest.mark.parametrize("pixels", ["always", "never"])
def test_all_files_of_an_entry_are_on_the_disk_before_it_has_its_name(pixels, monkeypatch):
    written = []

    def note(handle):
        assert not [*IMAGES_KIND.find()]
        written.append(os.fstat(handle).st_ino)

    monkeypatch.setattr(os, "fsync", note)
    open_cached(wrap_array(IMAGES), wish(cache=pixels), "t")
    (entry,) = IMAGES_KIND.find()
    assert sorted(written) == sorted(path.stat().st_ino for path in entry.iterdir())
