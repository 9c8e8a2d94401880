"""Paths: absolute in memory, relative to their file on the disk."""

from pathlib import Path

import pytest
from hypothesis import given
from strategies import graphs

from ktg.graph import dump, parse
from ktg.graph.paths import list_files, make_paths_absolute, make_paths_relative


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
    assert make_paths_absolute(raw, Path("/base")) == {
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


def test_only_images_without_labels_may_be_auto():
    raw = {"data": {"path": "auto", "unlabelled": ["auto", "more"], "groups": "auto"}}
    found = make_paths_absolute(raw, Path("/base"))
    assert found == {
        "data": {"path": "/base/auto", "unlabelled": ["auto", "/base/more"], "groups": "/base/auto"}
    }
    assert make_paths_relative(found, Path("/base"))["data"] == {
        "path": "./auto",
        "unlabelled": ["auto", "./more"],
        "groups": "./auto",
    }


@pytest.mark.slow
@given(graphs())
def test_absolute_paths_change_nothing_twice(graph):
    once = make_paths_absolute(dump(graph), Path("/base"))
    assert make_paths_absolute(once, Path("/other")) == once


def test_paths_inside_the_folder_become_relative_and_come_back():
    raw = {
        "data": {"path": "/base/images"},
        "sources": {"mine": {"path": "/base/w/a.pth"}, "far": {"path": "/elsewhere/b.pth"}},
        "nodes": {
            "n0": {"model": "a", "source": "/base/weights"},
            "n1": {"model": "/base/m", "source": "imagenet"},
        },
    }
    relative = make_paths_relative(raw, Path("/base"))
    assert relative == {
        "data": {"path": "./images"},
        "sources": {"mine": {"path": "./w/a.pth"}, "far": {"path": "/elsewhere/b.pth"}},
        "nodes": {
            "n0": {"model": "a", "source": "./weights"},
            "n1": {"model": "/base/m", "source": "imagenet"},
        },
    }
    assert make_paths_absolute(relative, Path("/base")) == raw
    assert make_paths_absolute(relative, Path("/moved"))["data"] == {"path": "/moved/images"}


def test_files_of_a_graph_are_those_that_its_training_reads():
    raw = {
        "data": {"path": "/data/birds", "unlabelled": "/data/more", "groups": "/data/g.csv"},
        "sources": {"mine": {"path": "/w/mine.pth", "labels": "/w/names.txt"}},
        "weights": {"resnet8": "/w/r8.pth"},
        "nodes": {
            "n0": {"model": "resnet18", "source": "mine"},
            "n1": {"model": "resnet8", "source": "imagenet"},
            "n2": {"model": "resnet8", "source": "/w/r8.pth"},
            "n3": {"model": "resnet8", "source": "/w/own.pth"},
        },
        "edges": {
            "label -> n0": {},
            "n1 -> n0": {"loss": "emd", "distance": "/words.txt"},
            "n2 -> n0": {"loss": "emd"},
        },
    }
    files = ["/data/birds", "/data/g.csv", "/data/more", "/w/mine.pth", "/w/r8.pth", "/w/own.pth"]
    assert list_files(parse(raw)) == [*files, "/words.txt"]
