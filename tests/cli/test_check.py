"""`ktg check`: what it says of files and data, and what it does without."""

import json
import subprocess
import sys

import pytest
from command import ktg

from ktg.cli.check import expected_epochs
from ktg.space import parse_space


def checked(room, file) -> dict:
    return json.loads(ktg("check", file, "--json", folder=room).out)


def test_a_space(room):
    found = checked(room, "space.yaml")
    assert found["kind"] == "search space"
    assert (found["holes"], found["graphs"], found["trials"]) == (2, "a continuum", 3)
    # 3 trials of 1 + 1/2 + 2/4 epochs on average, and three baselines of 4.
    assert found["cost"] == "about 18 epochs of up to 2 networks, 24 if none were stopped early"
    assert found["classes"] == 4


def test_a_graph(room):
    found = checked(room, "graph.yaml")
    assert found["kind"] == "graph"
    assert found["target"] == "n0 (resnet8)"
    assert (found["nodes"], found["teachers"], found["not live"], found["open edges"]) == ("n0, n1", "none", "none", 3)
    assert found["cost"] == "2 networks x 4 epochs for each seed"


def test_data(room):
    found = checked(room, "tiny.npz")
    assert found["data"]["train"] == "104 images, at least 26 in each class"
    assert found["data"]["test"] == "32 images, at least 8 in each class"


def test_the_schema_is_printed(room):
    done = ktg("check", "--schema", folder=room)
    assert json.loads(done.out)["title"] == "ktg space"


@pytest.mark.parametrize(("scheduler", "epochs"), [("none", 8), ("asha", 1 + 1 / 2 + 2 / 4 + 4 / 8)])
def test_expected_epochs_counts_what_asha_stops(room, scheduler, epochs):
    space = parse_space(
        {
            "data": {"name": "digits"},
            "train": {"lr": {"log": [0.1, 1]}},
            "nodes": {"n0": {"model": "resnet8"}},
            "edges": {"label -> n0": {}},
            "search": {"scheduler": scheduler, "grace_epochs": 1, "reduction_factor": 2},
        }
    )
    assert expected_epochs(space, 8) == epochs


def test_checking_a_space_and_its_data_imports_nothing_heavy(room):
    heavy = ("torch", "timm", "torchvision", "ray", "mlflow", "optuna")
    code = (
        "import sys; from ktg.cli import commands; commands(['check', 'space.yaml'], standalone_mode=False);"
        f"sys.exit(', '.join(m for m in {heavy} if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=room, capture_output=True, text=True, check=False)
    assert done.stderr == "", done.stderr
    assert "search space" in done.stdout


def test_nothing_is_written(room):
    before = sorted(room.iterdir())
    for file in ("space.yaml", "graph.yaml", "tiny.npz"):
        checked(room, file)
    assert sorted(room.iterdir()) == before
