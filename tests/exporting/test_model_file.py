"""The model file: all comes back, other libraries load it, and others are refused in a sentence."""

import json
import pickle
import stat
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from command import graph_file
from safetensors import safe_open
from zoos import card

from ktg.errors import DataError, UserError, WeightsError
from ktg.exporting.load_model import load_model
from ktg.exporting.model_file import read_model, write_model
from ktg.exporting.retrain import retrain, write_weights
from ktg.graph import Node
from ktg.graph.yaml_files import load_graph
from ktg.models.architectures import build_body
from ktg.models.build import build_network
from ktg.models.state_dicts import METADATA_KEY
from ktg.zoo import default_zoo


@pytest.fixture
def altered(trained, tmp_path):
    """Write the model file with a changed description (or with other tensors) and return it."""

    def write(change=lambda plain: plain, tensors=lambda state: state) -> Path:
        with safe_open(trained.file, framework="pt") as file:
            plain = json.loads(file.metadata()[METADATA_KEY])
        state = safetensors.torch.load_file(trained.file)
        changed = change(plain)
        text = changed if isinstance(changed, str) else json.dumps(changed)
        path = tmp_path / "altered.safetensors"
        safetensors.torch.save_file(tensors(state), path, metadata={METADATA_KEY: text})
        return path

    return write


def without(plain: dict, key: str) -> dict:
    return {name: value for name, value in plain.items() if name != key}


def within(plain: dict, section: str, **values: object) -> dict:
    return plain | {section: plain[section] | values}


def test_the_network_and_all_that_is_said_of_it_come_back(trained):
    network, about = read_model(trained.file)
    images = torch.rand(3, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(network(images), trained.training.target(images))
    dataset = trained.training.dataset
    assert (about.classes, about.training.fingerprint) == (dataset.classes, dataset.fingerprint)
    assert (about.input.side, about.input.size, about.input.channels) == (16, 12, 3)
    assert (about.training.node, about.training.splits, about.training.images) == (
        "n0",
        "train",
        20,
    )
    assert about.graph == trained.graph  # its paths too, which are relative in the file
    assert about.accuracy.split == "val"
    assert 0 <= about.accuracy.mean <= 1
    assert not network.training


def test_paths_in_the_file_are_relative_to_it(trained, photos):
    with safe_open(trained.file, framework="pt") as file:
        path = json.loads(file.metadata()[METADATA_KEY])["graph"]["data"]["path"]
    assert path.startswith("../")
    assert (trained.file.parent / path).resolve() == photos


def test_the_other_nodes_have_files_of_their_own(trained):
    model = load_model(trained.file.with_stem("model-n1"), "cpu")
    assert model.about.node.model == "resnet14"
    assert len(model.predict([trained.training.dataset.val.read([0])[0]])) == 1


def test_the_file_can_be_read_by_whoever_may_read_its_folder(trained):
    (trained.file.parent / "plain").touch()
    modes = [
        stat.S_IMODE(path.stat().st_mode) for path in (trained.file, trained.file.parent / "plain")
    ]
    assert modes[0] == modes[1]


def test_tied_weights_are_written(trained, tmp_path):
    node = Node(model="resnet8")
    network = build_network(node, {}, classes=2, image_size=16, mean=(0.5,), std=(0.5,), seed=0)
    network.body.layer1[0].conv2.weight = network.body.layer1[0].conv1.weight
    write_model(tmp_path / "tied.safetensors", network, read_model(trained.file)[1])
    assert len(safetensors.torch.load_file(tmp_path / "tied.safetensors")) == len(
        network.body.state_dict()
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: without(p, "classes"), "classes: is missing"),
        (lambda p: p | {"classes": ["one"]}, "classes: expected the names of at least two classes"),
        (lambda p: p | {"classes": [1, 2]}, "classes: expected the names"),
        (lambda p: p | {"classes": ["\ud800", "b"]}, "is not text that can be written"),
        (lambda p: within(p, "input", mean=[float("nan")] * 3), "input.mean"),
        (lambda p: within(p, "input", std=[float("inf")] * 3), "input.std"),
        (
            lambda p: without(p, "held_out") | {"classes": ["a", "b", "c"]},
            "the head does not fit 3 classes",
        ),
        (lambda p: p | {"classes": ["a", "b", "c"]}, "held_out: is not of 3 classes"),
        (lambda p: within(p, "held_out", support=[1]), "held_out: is not of 2 classes"),
        (lambda p: within(p, "held_out", confusion=[[1, 2], [3]]), "held_out: is not of 2 classes"),
        (
            lambda p: within(p, "held_out", recall=[2, None]),
            r"held_out.recall\[0\]: must be at most 1",
        ),
        (lambda p: p | {"calibration": {"temperature": 0}}, "calibration.temperature: must be gr"),
        (lambda p: p | {"calibration": {"temperature": 1}}, "calibration.by: is missing"),
        (lambda p: p | {"extra": 1}, "extra: unknown key"),
        (lambda p: p | {"version": 2}, "version: 2 is not a format this ktg reads; allowed: 1"),
        (lambda p: p | {"accuracy": "high"}, "accuracy: expected a mapping"),
        (lambda p: within(p, "input", side=10**9), "input.side: must be at most 2048"),
        (lambda p: within(p, "input", size=24, side="16"), "input.side: expected a whole number"),
        (lambda p: within(p, "input", size=24), "input.size is 24, but resnet8 is built for 12"),
        (
            lambda p: within(p, "input", mean=[0.1, 0.2]),
            "input.mean: expected one number, or three",
        ),
        (lambda p: within(p, "input", std=[0, 1, 1]), r"input.std\[0\]: must be greater than 0"),
        (lambda p: within(p, "input", channels=2), "input.channels: 2 is not allowed"),
        (lambda p: within(p, "training", node="n7"), "training.node: the graph has no node 'n7'"),
        (
            lambda p: within(p, "graph", nodes={"n0": {"model": "resnet18"}}),
            "edges.*there is no node|belong to another",
        ),
        (lambda p: within(p, "graph", nodes=3), "nodes: expected a mapping"),
        (lambda p: p | {"graph": None}, "graph: expected a mapping"),
        (lambda p: [p], "expected a mapping"),
        (lambda p: "{", "it is not JSON"),
        (lambda p: "[" * 100_000, "it is not JSON"),
        (lambda p: '"' + "x" * 10_000_001 + '"', "the description has 10,000,003 characters"),
    ],
)
def test_a_description_that_is_wrong(altered, change, said):
    with pytest.raises(WeightsError, match=rf"altered\.safetensors: .*({said})"):
        read_model(altered(change))


def test_tensors_that_are_wrong(altered):
    with pytest.raises(WeightsError, match="missing"):
        read_model(
            altered(tensors=lambda state: {k: v for k, v in state.items() if k != "conv1.weight"})
        )
    with pytest.raises(WeightsError, match="the head does not fit 2 classes"):
        read_model(
            altered(
                tensors=lambda state: {k: v for k, v in state.items() if not k.startswith("linear")}
            )
        )
    with pytest.raises(WeightsError, match="unexpected"):
        read_model(altered(tensors=lambda state: state | {"more": torch.zeros(1)}))


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("code in a model file was run",))


def header(plain: dict) -> bytes:
    """Return a safetensors file with this header and four bytes of weights."""
    text = json.dumps(plain).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        pickle.dumps(Bomb()),
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 90_000_000) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 9) + b"not json!",
        header({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}),
        header({"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 0]}}),
        header({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 0]}}),
        header({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}),
        header({"__metadata__": {"ktg": 3}}),
        header({"a\x1b": 3}),
    ],
)
def test_what_is_no_model_file(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"x\.safetensors: is not a"):
        read_model(tmp_path / "x.safetensors")


def test_a_file_cut_off_anywhere_is_refused(trained, tmp_path):
    content, path = trained.file.read_bytes(), tmp_path / "cut.safetensors"
    for share in (0.001, 0.02, 0.5, 0.999):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(
            WeightsError, match=r"cut\.safetensors: is not a \.safetensors file, or is damaged"
        ):
            read_model(path)


def test_plain_weights_say_how_to_get_a_model(tmp_path):
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(WeightsError, match="is not a model of ktg: it says nothing of its classes"):
        read_model(tmp_path / "plain.safetensors")
    with pytest.raises(WeightsError, match="there is no such model file"):
        read_model(tmp_path / "absent.safetensors")


def test_an_ensemble_is_one_file_with_all_its_networks(ensemble, trained, photos):
    network, about = read_model(ensemble.file)
    assert list(about.members) == ["n0", "n1"]
    assert (about.members["n0"].size, about.members["n1"].size, about.input.side) == (12, 16, 16)
    files = sorted(path for path in photos.rglob("*") if path.is_file())
    together = load_model(ensemble.file, "cpu").predict(files)
    apart = [
        load_model(file, "cpu").predict(files)
        for file in (trained.file, trained.file.with_stem("model-n1"))
    ]
    for all_of_them, one, other in zip(together, *apart, strict=True):
        mean = (one.probabilities + other.probabilities) / 2
        np.testing.assert_allclose(all_of_them.probabilities, mean, rtol=1e-5)
    assert not network.training


def test_a_damaged_ensemble_is_refused(ensemble, tmp_path):
    state = safetensors.torch.load_file(ensemble.file)
    with safe_open(ensemble.file, framework="pt") as file:
        text = file.metadata()[METADATA_KEY]
    path = tmp_path / "altered.safetensors"
    for change, message in (
        (
            state | {"n2.conv1.weight": torch.ones(1)},
            r"has n2\.conv1\.weight, which belongs to none of its networks",
        ),
        (
            {name: tensor for name, tensor in state.items() if name.startswith("n0.")},
            "these weights belong to another network",
        ),
    ):
        safetensors.torch.save_file(change, path, metadata={METADATA_KEY: text})
        with pytest.raises(WeightsError, match=message):
            read_model(path)
    plain = json.loads(text)
    for members, message in (
        ({"n7": plain["input"]}, "the graph has no node 'n7'"),
        (
            {"n0": plain["input"] | {"side": 20}},
            r"members\.n0: does not take the images that `input` describes",
        ),
    ):
        safetensors.torch.save_file(
            state, path, metadata={METADATA_KEY: json.dumps(plain | {"members": members})}
        )
        with pytest.raises(WeightsError, match=message):
            read_model(path)
    for times, message in (
        ({"n7": 2}, r"times\.n7: is no member"),
        ({"n0": 0}, r"times\.n0: expected a whole number from 1 on, got 0"),
        ({"n0": True}, r"times\.n0: expected a whole number from 1 on, got True"),
        ([2, 1], "times: expected a mapping"),
    ):
        text = json.dumps(plain | {"times": times})
        safetensors.torch.save_file(state, path, metadata={METADATA_KEY: text})
        with pytest.raises(WeightsError, match=message):
            read_model(path)


def test_arguments_inherited_from_the_zoo_are_written_out(photos, tmp_path, monkeypatch):
    made = Node(model="wide_resnet16_1", model_args={"drop_rate": 0.3})
    file = tmp_path / "wide.safetensors"
    safetensors.torch.save_file(build_body(made, classes=2, size=16).state_dict(), file)
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))
    default_zoo().add(card("wide", made.model, model_args=made.model_args), file)
    nodes = {"n0": {"model": made.model, "source": "zoo/wide"}}
    plain = {"data": {"size": 16}, "nodes": nodes, "edges": {"label -> n0": {}}}
    graph = load_graph(graph_file(tmp_path / "graph.yaml", photos, **plain))
    training, accuracies = retrain(graph, device="cpu")
    write_weights(tmp_path / "model.safetensors", graph, training, accuracies)
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "another"))  # the reader has no such entry
    network, about = read_model(tmp_path / "model.safetensors")
    assert dict(about.node.model_args) == {"drop_rate": 0.3}
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(network(images), training.target.eval()(images))


def test_a_name_that_no_file_can_have(tmp_path):
    with pytest.raises(UserError, match="the name of this file has 312 bytes; at most 255"):
        load_model(tmp_path / ("x" * 300 + ".safetensors"))


def test_weights_that_are_not_numbers_answer_nothing(altered, photos):
    file = altered(tensors=lambda state: {k: v * float("nan") for k, v in state.items()})
    photo = next((photos / "val/noon").iterdir())
    with pytest.raises(DataError, match="the network's answer is not finite; its weights"):
        load_model(file, "cpu").predict([photo])


def test_a_tensor_whose_name_commands_a_terminal(altered):
    with pytest.raises(WeightsError, match="unexpected") as refused:
        read_model(altered(tensors=lambda state: state | {"a\x1b[2J": torch.zeros(1)}))
    assert str(refused.value).isprintable()
