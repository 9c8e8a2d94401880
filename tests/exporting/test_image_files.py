"""Files, folders and patterns become files, in order; what names nothing is told."""

import os

import numpy as np
import pytest

from ktg.errors import DataError
from ktg.exporting.image_files import expand_paths, find_images


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("b.jpg", "a.png", "deep/er/c.webp", "notes.txt", ".hidden.png", "[1].png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*places):
    return [name if fault is None else f"{name}: {fault}" for name, fault in find_images(places)]


def test_folders_patterns_and_files(folder):
    assert found(".") == ["[1].png", "a.png", "b.jpg", "deep/er/c.webp"]
    assert found("deep", "b.jpg") == ["deep/er/c.webp", "b.jpg"]
    assert found("*.png") == ["[1].png", "a.png"]
    assert found("**/*.webp") == ["deep/er/c.webp"]
    assert found("notes.txt") == [
        "notes.txt"
    ]  # named by hand: whether it is an image shows when it is opened
    assert found("[1].png") == ["[1].png"]


def test_links_have_answers_of_their_own_but_circles_end(folder):
    (folder / "c.png").symlink_to("a.png")
    (folder / "d.png").symlink_to("a.png")
    (folder / "deep/round").symlink_to("..")
    (folder / "twice").symlink_to("deep/er")
    images = ["[1].png", "a.png", "b.jpg", "c.png", "d.png", "deep/er/c.webp"]
    assert found(".") == images


def test_what_names_nothing(folder):
    os.mkfifo(folder / "pipe")
    assert found("empty", "x.png", "*.gif", "pipe") == [
        "empty: there are no images in this folder",
        "x.png: there is no such file",
        "*.gif: no file fits this pattern",
        "pipe: is no file",
    ]


def test_one_image_and_mixed_ones(folder):
    array = np.zeros((2, 2), np.uint8)
    assert expand_paths("b.jpg") == ["b.jpg"]
    assert expand_paths(array)[0] is array
    assert expand_paths(["deep", b"x"]) == ["deep/er/c.webp", b"x"]
    with pytest.raises(DataError, match="empty: there are no images"):
        expand_paths("empty")
