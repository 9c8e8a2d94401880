"""Paths: absolute in memory, relative to their file on the disk."""

from pathlib import Path

from hypothesis import given
from strategies import graphs

from ktg.graph import dump
from ktg.graph.paths import absolute_paths, relative_paths


def test_relative_paths_start_at_the_file():
    raw = {
        "data": {"path": {"choice": ["images", "/data/images", "~/images"]}},
        "sources": {"mine": {"path": "weights/a.pth"}, "v1.pth": {"path": "b.pth"}},
        "weights": {
            "resnet18": "r.pth",
            "timm/vit": {"path": "v.pth", "origin": "me"},
            "none": None,
        },
        "nodes": {
            "n0": {"model": "path.pth", "source": "mine"},
            "n1": {
                "choice": [
                    {"model": "a", "source": "c.safetensors"},
                    {"model": "a", "source": "imagenet"},
                ]
            },
            "n2": {"source": {"choice": ["none", "zoo/cars", "./folder/d", "v1.pth"]}},
            "source": {"source": 3},
        },
        "edges": {"n1 -> n0": {"distance": {"choice": ["features", "words.txt"]}}},
    }
    assert absolute_paths(raw, Path("/base")) == {
        "data": {"path": {"choice": ["/base/images", "/data/images", str(Path.home() / "images")]}},
        "sources": {"mine": {"path": "/base/weights/a.pth"}, "v1.pth": {"path": "/base/b.pth"}},
        "weights": {
            "resnet18": "/base/r.pth",
            "timm/vit": {"path": "/base/v.pth", "origin": "me"},
            "none": None,
        },
        "nodes": {
            "n0": {"model": "path.pth", "source": "mine"},
            "n1": {
                "choice": [
                    {"model": "a", "source": "/base/c.safetensors"},
                    {"model": "a", "source": "imagenet"},
                ]
            },
            "n2": {"source": {"choice": ["none", "zoo/cars", "/base/folder/d", "v1.pth"]}},
            "source": {"source": 3},
        },
        "edges": {"n1 -> n0": {"distance": {"choice": ["features", "/base/words.txt"]}}},
    }


@given(graphs())
def test_absolute_paths_change_nothing_twice(graph):
    once = absolute_paths(dump(graph), Path("/base"))
    assert absolute_paths(once, Path("/other")) == once


def test_paths_inside_the_folder_become_relative_and_come_back():
    raw = {
        "data": {"path": "/base/images"},
        "sources": {"mine": {"path": "/base/w/a.pth"}, "far": {"path": "/elsewhere/b.pth"}},
        "nodes": {
            "n0": {"model": "a", "source": "/base/weights"},
            "n1": {"model": "/base/m", "source": "imagenet"},
        },
    }
    relative = relative_paths(raw, Path("/base"))
    assert relative == {
        "data": {"path": "./images"},
        "sources": {"mine": {"path": "./w/a.pth"}, "far": {"path": "/elsewhere/b.pth"}},
        "nodes": {
            "n0": {"model": "a", "source": "./weights"},
            "n1": {"model": "/base/m", "source": "imagenet"},
        },
    }
    assert absolute_paths(relative, Path("/base")) == raw
    assert absolute_paths(relative, Path("/moved"))["data"] == {"path": "/moved/images"}
