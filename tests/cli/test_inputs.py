"""What a user may get wrong in a file: every command that reads it finds it before it begins."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ktg.graph import Node
from ktg.models.build import build_network

N0 = "n0: {model: resnet8}"
N1 = "n1: {model: resnet8}"
# What is changed in the space and in the graph (where it stands there), and what the message must
# say.
MISTAKES = {
    "unknown model": (
        N0,
        "n0: {model: resnet9}",
        "nodes.n0.model: 'resnet9' is not a model",
        "Did you mean 'resnet8'?",
    ),
    "unknown data set": (
        "path: tiny.npz",
        "name: digit",
        "data.name: 'digit' is not",
        "Did you mean 'digits'?",
    ),
    "unknown source": (
        N0,
        "n0: {model: resnet8, source: imagnet}",
        "nodes.n0.source: 'imagnet' is not a source; allowed: none, imagenet",
        "Did you mean 'imagenet'?",
    ),
    "source that the model lacks": (
        N0,
        "n0: {model: resnet8, source: imagenet}",
        "nodes.n0.source: no ImageNet weights",
    ),
    "unknown gate": (
        "linear",
        "linaer",
        "edges.n1.n0.gate",
        "'linaer' is not",
        "allowed: through, cutoff, linear, correct, inverse",
        "Did you mean 'linear'?",
    ),
    "unknown loss": (
        "n1 -> n0: {",
        "n1 -> n0: {loss: kll, ",
        "edges.n1.n0.loss: 'kll' is not a value",
        "Did you mean 'kl'?",
    ),
    "distances that are not there": (
        "n1 -> n0: {",
        "n1 -> n0: {loss: emd, distance: words.txt, ",
        "edges.n1.n0.distance: there is no file",
        "or features",
    ),
    "unknown key": ("epochs: 4", "epohs: 4", "train.epohs: unknown key", "Did you mean 'epochs'?"),
    "unknown key of a node": (
        N0,
        "n0: {modle: resnet8}",
        "nodes.n0.modle: unknown key",
        "Did you mean 'model'?",
    ),
    "unknown key of an edge": (
        "any: {}",
        "any: {gates: linear}",
        "edges.label -> any.gates",
        "Did you mean 'gate'?",
    ),
    "unknown section": (
        "train:",
        "trian:",
        "trian: unknown key; allowed here: ",
        "Did you mean 'train'?",
    ),
    "untaught target": (
        "label -> any: {}\n  n1 -> n0",
        "label -> n1: {}\n  n0 -> n1",
        "edges: nothing teaches the target 'n0'",
    ),
    "edge to itself": ("n1 -> n0", "n0 -> n0", "edges.n0 -> n0: an edge from 'n0' to itself"),
    "edge from nowhere": (
        "n1 -> n0",
        "nn1 -> n0",
        "edges.nn1 -> n0: there is no node 'nn1'",
        "Did you mean 'n1'?",
    ),
    "edge to nowhere": (
        "n1 -> n0",
        "n1 -> nn0",
        "edges.n1 -> nn0: there is no node 'nn0'; nodes: n0, n1",
    ),
    "edge to label": (
        "n1 -> n0",
        "n1 -> label",
        "edges.n1 -> label: an edge cannot end at `label`",
    ),
    "not an edge": (
        "n1 -> n0",
        "n1 to n0",
        "edges.n1 to n0: an edge is written `source -> target`",
    ),
    "node named label": (
        N1,
        f"{N1}\n  label: {{model: resnet8}}",
        "nodes.label: 'label' is a reserved word",
    ),
    "node named any": (
        N1,
        f"{N1}\n  any: {{model: resnet8}}",
        "nodes.any: 'any' is a reserved word",
    ),
    "node named with a dot": (
        N1,
        f"{N1}\n  n.2: {{model: resnet8}}",
        "nodes.n.2: a node's name has letters, digits",
    ),
    "node named with a space": (
        N1,
        f"{N1}\n  n 2: {{model: resnet8}}",
        "nodes.n 2: a node's name has letters, digits",
    ),
    "batch too large": (
        "batch_size: 16",
        "batch_size: 129",
        "data.batch_size: 129 is more than the",
        "allowed: 1 to ",
    ),
    "no epochs": ("epochs: 4", "epochs: -1", "train.epochs: must be at least 0, got -1"),
    "half an epoch": ("epochs: 4", "epochs: 4.5", "train.epochs: expected a whole number, got 4.5"),
    "YAML that ends nowhere": ("edges:", "edges: {", ".yaml:8: "),
    "a key twice": (
        N1,
        f"{N1}\n  {N1}",
        ".yaml:6: the key 'n1' is given twice, first at ",
        ".yaml:5",
    ),
    "data that are not there": (
        "tiny.npz",
        "tini.npz",
        "data.path: there is no ",
        "Did you mean 'tiny.npz'?",
    ),
    "weights that are not there": (
        N0,
        "n0: {model: resnet8, source: ./w.pth}",
        "nodes.n0.source: there is no file ",
    ),
    "two kinds of data": (
        "path: tiny.npz",
        "path: tiny.npz, name: digits",
        "data: give either `name`",
        "or `path`",
    ),
    "a node that is a word": (
        N0,
        "n0: resnet8",
        "nodes.n0: expected a mapping (key: value), got 'resnet8'",
    ),
}
HOLES = {
    "a choice with no option": (
        "momentum: {choice: []}",
        "train.momentum.choice: at least one option is needed",
    ),
    "lo above hi": (
        "momentum: {uniform: [0.9, 0.1]}",
        "train.momentum.uniform: the lower end comes first, got [0.9, 0.1]",
    ),
    "a logarithm of 0": (
        "weight_decay: {log: [0, 0.1]}",
        "train.weight_decay.log: the lower end of a `log` must be above 0",
    ),
    "a wrong third option": (
        "optimizer: {choice: [sgd, adam, adanw]}",
        "train.optimizer.choice[2]: 'adanw' is not",
        "Did you mean 'adamw'?",
    ),
    "an end out of bounds": (
        "momentum: {uniform: [0.1, 1.5]}",
        "train.momentum.uniform[1]: must be less than 1",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize(
    "command", ["search", "check space.yaml", "train", "check graph.yaml", "graph show"]
)
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(room, refused, command, mistake):
    old, new, *said = MISTAKES[mistake]
    file = "space.yaml" if command in ("search", "check space.yaml") else "graph.yaml"
    if command == "graph show" and mistake == "batch too large":
        pytest.skip("drawing a graph asks for no images")
    change(room / file, old, new)
    words = command.split() if command.startswith("check") else [*command.split(), file]
    sentence = refused(*words)
    assert sentence.startswith(file)
    for part in said:
        assert part in sentence


@pytest.mark.parametrize("mistake", HOLES)
@pytest.mark.parametrize("command", ["search", "check"])
def test_a_wrong_hole_is_named_with_its_option(room, refused, command, mistake):
    hole, *said = HOLES[mistake]
    change(room / "space.yaml", "train: {", f"train: {{{hole}, ")
    sentence = refused(command, "space.yaml")
    for part in ("space.yaml: ", *said):
        assert part in sentence


@pytest.mark.parametrize("command", ["search", "check"])
@pytest.mark.parametrize(
    "hole", ["val_fraction: {uniform: [0.1, 0.3]}", "split_seed: {int: [0, 9]}"]
)
def test_a_hole_that_changes_the_validation_images_is_refused(room, refused, command, hole):
    change(room / "space.yaml", "data: {", f"data: {{{hole}, ")
    assert "could not be compared" in refused(command, "space.yaml")


@pytest.mark.parametrize("command", ["search", "check"])
def test_one_option_among_batch_sizes_that_is_too_large_is_found(room, refused, command):
    change(room / "space.yaml", "batch_size: 16", "batch_size: {choice: [16, 32, 1000]}")
    assert "data.batch_size: 1000 is more than the 104 images" in refused(command, "space.yaml")


@pytest.mark.parametrize("command", ["search", "check"])
def test_a_source_that_one_of_the_models_lacks_is_found(room, refused, command):
    free = "n0: {model: {choice: [mobilenetv2_035, resnet8]}, source: {choice: [none, imagenet]}}"
    change(room / "space.yaml", N0, free)
    assert "no ImageNet weights are published for 'resnet8'" in refused(command, "space.yaml")


@pytest.mark.parametrize("command", ["search", "train", "check", "graph show"])
def test_what_is_no_file_of_ours_is_refused(room, refused, command):
    (room / "folder.yaml").mkdir()
    (room / "empty.yaml").touch()
    (room / "binary.yaml").write_bytes(bytes(range(256)))
    (room / "list.yaml").write_text("- a\n- b\n")
    words = command.split()
    assert "empty.yaml: is empty" in refused(*words, "empty.yaml")
    assert "binary.yaml: is not text in UTF-8" in refused(*words, "binary.yaml")
    assert "list.yaml: expected sections" in refused(*words, "list.yaml")
    assert "Did you mean 'graph.yaml'?" in refused(*words, "grph.yaml")
    assert "no such file" in refused(*words, "nowhere/at/all.yaml")
    said = {"check": "classes found: none", "search": "folder.yaml: is empty; put the images of"}
    otherwise = "folder.yaml: is a folder or a device; give a YAML file"
    assert said.get(command, otherwise) in refused(*words, "folder.yaml")


def test_a_graph_is_not_searched_and_a_space_not_trained(refused):
    assert (
        refused("search", "graph.yaml")
        == "graph.yaml: has no holes to search; give a graph to `ktg train`"
    )
    assert refused("train", "space.yaml").startswith(
        "space.yaml: is a search space, not a graph; give it to"
    )


@pytest.mark.parametrize("name", ["a/b", "", "  "])
def test_a_name_that_cannot_name_an_experiment(refused, name):
    assert refused("search", "space.yaml", "--name", name).startswith("--name: ")


class Payload:
    """A pickle that runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch executed",)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    other = build_network(
        Node(model="resnet14"), {}, classes=4, image_size=8, mean=(0.5,) * 3, std=(0.5,) * 3, seed=0
    )
    torch.save(other.body.state_dict(), folder / "other.pth")
    (folder / "cut.pth").write_bytes((folder / "other.pth").read_bytes()[:5000])
    torch.save({"state_dict": {"conv1.weight": Payload()}}, folder / "hostile.pth")
    for name in ("old.pt", "old.bin"):
        with (folder / name).open("wb") as file:
            pickle.dump(Payload(), file)
    return folder


WEIGHTS = {
    "hostile.pth": "holds more than tensors, and its code was not run",
    "old.pt": "holds more than tensors, and its code was not run",
    "old.bin": "holds more than tensors, and its code was not run",
    "cut.pth": "it is damaged or of another format",
    "other.pth": "for resnet8: these weights belong to another network; "
    "backbone keys: 36 unexpected",
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_bad_weights_are_refused_by_every_command_and_never_executed(room, refused, weights, name):
    for file in ("space.yaml", "graph.yaml"):
        change(room / file, N0, f"n0: {{model: resnet8, source: {weights / name}}}")
    for words in (
        ["search", "space.yaml"],
        ["check", "space.yaml"],
        ["train", "graph.yaml"],
        ["check", "graph.yaml"],
    ):
        sentence = refused(*words)
        assert WEIGHTS[name] in sentence
        assert str(weights / name) in sentence
    assert not (room / "executed").exists()  # where the payload would have written


def test_the_payload_works_when_it_is_unpickled(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads((weights / "old.bin").read_bytes())
    assert (tmp_path / "executed").exists()


def test_a_bad_weights_file_among_the_options_is_found_before_any_training(room, refused, weights):
    change(
        room / "space.yaml",
        N1,
        f"n1: {{model: resnet8, source: {{choice: [none, {weights / 'cut.pth'}]}}}}",
    )
    for command in ("search", "check"):
        assert "cut.pth: cannot be read" in refused(command, "space.yaml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["search", "broken.yaml"], "broken.yaml:8: "),
        (["check", "wrong.yaml"], "wrong.yaml: edges.n1.n0.gate.choice[1]: 'linaer'"),
        (["train", "space.yaml"], "space.yaml: is a search space"),
    ],
)
def test_the_installed_command_says_one_sentence_and_exits_with_2(room, words, said):
    for name, old, new in (
        ("broken.yaml", "edges:", "edges: {"),
        ("wrong.yaml", "linear", "linaer"),
    ):
        shutil.copy(room / "space.yaml", room / name)
        change(room / name, old, new)
    before = sorted(room.iterdir())
    command = [Path(sys.executable).with_name("ktg"), *words]
    done = subprocess.run(
        command, cwd=room, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ktg: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert sorted(room.iterdir()) == before


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
