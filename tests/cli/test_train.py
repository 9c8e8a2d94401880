"""`ktg train`: several seeds, for a person and for a machine, of a graph from a file."""

import json
import re

import pytest
from command import graph_file, ktg

from ktg.exporting.load_model import load_model
from ktg.tracking import find_experiment
from ktg.zoo import Zoo

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_seeds_are_trained_and_their_mean_is_printed(room):
    graph_file(room / "small.yaml", room / "tiny.npz")
    done = ktg("train", "small.yaml", "--seeds", "2", "--device", "cpu", folder=room)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == [
        f"seed {s}, epoch {e}/2" for s in (0, 1) for e in (1, 2)
    ]
    assert re.fullmatch(r"test accuracy [\d.]+ \+- [\d.]+ % \(n = 2\)", lines[-1])
    assert sorted(path.name for path in room.iterdir() if "mlflow" in path.name) == ["mlflow.db"]
    (parent,) = find_experiment("small", f"sqlite:///{room}/mlflow.db").searches()
    assert (parent.state, parent.tags["kind"]) == ("finished", "train")


@pytest.mark.slow
def test_an_exported_graph_trains_and_its_json_parses(searched, tmp_path):
    ktg("export", "a search", "--tracking-uri", searched.uri, folder=tmp_path)
    done = ktg("train", "best.yaml", "--seeds", "2", "--json", folder=tmp_path)
    result = json.loads(done.out)
    assert result["test_accuracy"]["n"] == 2
    assert [run["seed"] for run in result["runs"]] == [0, 1]
    mean = sum(run["accuracy"] for run in result["runs"]) / 2
    assert result["test_accuracy"]["mean"] == mean > 0.5
    assert "seed 0, epoch 1/4" in done.err


@pytest.mark.slow
def test_a_training_that_diverges_exits_with_1_and_says_where(room):
    graph_file(room / "hot.yaml", room / "tiny.npz", train={"lr": 1e30})
    done = ktg("train", "hot.yaml", folder=room)
    assert done.code == 1
    assert re.fullmatch(
        r"ktg: the loss of edge .* became nan in epoch 1, step \d of 8 .*\n", done.err
    )
    (parent,) = find_experiment("hot", f"sqlite:///{room}/mlflow.db").searches()
    assert parent.state == "failed"


@pytest.mark.slow
def test_the_weights_of_the_first_seed_are_kept(room):
    graph_file(room / "small.yaml", room / "tiny.npz")
    words = ("train", "small.yaml", "--seeds", "2", "--device", "cpu", "--weights", "m.safetensors")
    done = ktg(*words, folder=room)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "m.safetensors: the target of seed 0"
    about = load_model(room / "m.safetensors").about
    assert about.accuracy.n == 2
    assert (
        ktg(
            "zoo", "add", "mine", "m.safetensors", "--model", "resnet8", "--zoo", "zoo", folder=room
        ).code
        == 0
    )
    (card,) = Zoo(room / "zoo").list_cards()  # the file says itself what the zoo asks
    assert (card.classes, card.mean, card.std) == (about.classes, about.input.mean, about.input.std)
    assert card.input_size == about.input.size
    assert ktg(*words, folder=room).err.startswith("ktg: m.safetensors: is there already")
    assert ktg("train", "small.yaml", "--weights", "m.pth", folder=room).err.startswith(
        "ktg: --weights: m.pth: give"
    )


@pytest.mark.slow
def test_a_classical_head_is_a_baseline_in_one_line(room):
    graph_file(room / "small.yaml", room / "tiny.npz")
    done = ktg("train", "small.yaml", "--head", "logistic", "--device", "cpu", folder=room)
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(
        r"seed 0: test accuracy [\d.]+ %\ntest accuracy [\d.]+ % \(n = 1\)\n", done.out
    )
    both = ktg("train", "small.yaml", "--head", "svm", "--weights", "m.safetensors", folder=room)
    assert both.err.startswith("ktg: --weights: with --head no network is trained")
    assert ktg("train", "small.yaml", "--head", "tree", folder=room).code == 2
