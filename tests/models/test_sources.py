"""A source knows its file, hash, statistics, accuracy, class names, and what of it is a guess."""

import hashlib
import json
import os
import socket
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from zoos import card, find

from ktg.errors import SpecError
from ktg.graph import Node, SourceFile
from ktg.models.architectures import HALF, IMAGENET, build_body
from ktg.models.build import build_network, read_weights
from ktg.models.resolve import resolve_source
from ktg.models.sources import HubWeights, NoWeights, Published, WeightsFile, ZooEntry
from ktg.models.state_dicts import read_state
from ktg.zoo import Zoo, default_zoo


@pytest.fixture
def offline(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    file = tmp_path / "net.pth"
    torch.save(build_body(Node(model="resnet8"), classes=10, size=32).state_dict(), file)
    return file


def test_nobody_publishes_imagenet_weights_of_cifar_networks():
    find("imagenet", model="resnet50")
    with pytest.raises(SpecError, match=r"^p: no ImageNet weights are published for .resnet32."):
        find("imagenet", model="resnet32")


def test_none_has_neither_file_nor_statistics():
    source = find("none")
    assert isinstance(source, NoWeights)
    assert (source.node.source, source.file, source.statistics()) == ("none", None, None)
    assert read_weights(source, 32) is None


def test_a_source_brings_its_own_statistics_or_the_models(saved: Path):
    sources = {
        "plain": SourceFile(path="net.pth"),
        "half": SourceFile(path="net.pth", mean=(0.5,), std=(0.25, 0.5, 0.75)),
        "mean": SourceFile(path="net.pth", mean=(0.1, 0.2, 0.3)),
    }
    got = {
        name: resolve_source(Node(model="resnet8", source=name), sources, saved.parent)
        for name in sources
    }
    assert {source.file for source in got.values()} == {saved}
    assert got["plain"].statistics() == IMAGENET
    assert got["half"].statistics() == ((0.5,), (0.25, 0.5, 0.75))
    assert got["mean"].statistics() == ((0.1, 0.2, 0.3), IMAGENET[1])
    vit = resolve_source(Node(model="vit_tiny_patch16_224", source="imagenet"), {})
    assert isinstance(vit, Published)
    assert (vit.file, vit.statistics()) == (None, HALF)


def test_a_model_file_of_ktg_says_what_it_expects(saved: Path):
    state, file = read_state(saved), saved.parent / "net.safetensors"

    def statistics(described: object) -> tuple[object, object]:
        save_file(state, file, metadata={"format": "pt", "ktg": json.dumps(described)})
        source = resolve_source(Node(model="resnet8", source="net.safetensors"), {}, saved.parent)
        return source.statistics()

    own = {"input": {"mean": [0.25], "std": [0.5]}}
    assert statistics(own) == ((0.25,), (0.5,))
    named = resolve_source(
        Node(model="resnet8", source="s"),
        {"s": SourceFile(path="net.safetensors", std=(2.0,))},
        saved.parent,
    )
    assert named.statistics() == ((0.25,), (2.0,))
    for foreign in (
        None,
        [],
        "x",
        {},
        {"input": None},
        {"input": {"mean": "x", "std": [1]}},
        own | {"members": {"n0": 1}},
    ):
        assert statistics(foreign) == IMAGENET


def test_statistics_have_one_or_three_numbers(saved: Path):
    sources = {"two": SourceFile(path="net.pth", std=(0.5, 0.5))}
    with pytest.raises(SpecError, match=r"^sources\.two\.std: expected one number, or three"):
        find("two", sources, saved.parent)


def test_the_hash_is_that_of_the_file_and_is_kept(saved: Path):
    node = Node(model="resnet8", source="./net.pth")
    first = resolve_source(node, {}, saved.parent).content_hash()
    assert first == hashlib.sha256(saved.read_bytes()).hexdigest()
    start = time.perf_counter()
    assert resolve_source(node, {}, saved.parent).content_hash() == first
    assert time.perf_counter() - start < 0.01


def test_the_hash_follows_a_change_of_the_file(saved: Path):
    node = Node(model="resnet8", source="./net.pth")
    first, stat = resolve_source(node, {}, saved.parent).content_hash(), saved.stat()
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    os.utime(saved, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    assert resolve_source(node, {}, saved.parent).content_hash() != first


@pytest.mark.usefixtures("offline")
def test_none_and_imagenet_have_names_that_need_no_file_and_no_network(monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    assert find("none").content_hash() == "none"
    names = {
        find("imagenet", model=m).content_hash()
        for m in ("resnet18", "torchvision/resnet18", "resnet34")
    }
    assert len(names) == 3
    assert all(name.startswith("imagenet:") for name in names)


def test_the_hash_of_an_entry_is_read_from_its_card(zoo: Zoo):
    zoo.weights_file("animals/wide_resnet16_1").write_bytes(b"")
    node = Node(model="wide_resnet16_1", source="zoo/animals")
    assert resolve_source(node, {}).content_hash() == zoo.get("animals", "wide_resnet16_1").sha256


SOURCES = {
    "mine": SourceFile(path="w.pth", accuracy=0.5, labels="names.txt"),
    "silent": SourceFile(path="w.pth"),
}


def test_what_is_said_of_a_named_file(tmp_path):
    (tmp_path / "names.txt").write_text("tench, Tinca tinca\n goldfish \n", encoding="utf-8")
    mine, silent = (
        resolve_source(Node(model="resnet8", source=name), SOURCES, tmp_path) for name in SOURCES
    )
    assert isinstance(mine, WeightsFile)
    assert (mine.accuracy, silent.accuracy) == (0.5, None)
    assert mine.class_names == ("tench, Tinca tinca", "goldfish")
    assert silent.class_names is None


def test_nothing_is_right_without_weights():
    assert (find("none").accuracy, find("none").class_names) == (0, None)


def test_imagenet_has_a_thousand_names():
    source = find("imagenet", model="resnet18")
    names = source.class_names
    assert (len(names), names[0], names[999].partition(",")[0]) == (
        1000,
        "tench, Tinca tinca",
        "toilet tissue",
    )
    assert source.accuracy is None


def test_what_the_card_of_an_entry_says(tmp_path, monkeypatch):
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))
    save_file({"w": torch.zeros(2)}, tmp_path / "w.safetensors")
    default_zoo().add(card("pets", accuracy=0.75), tmp_path / "w.safetensors")
    source = find("zoo/pets")
    assert isinstance(source, ZooEntry)
    assert (source.accuracy, source.class_names) == (0.75, ("cat", "dog"))


def test_what_was_pretrained_on_formulas_knows_no_photographs(tmp_path, monkeypatch):
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))
    save_file({"w": torch.zeros(2)}, tmp_path / "w.safetensors")
    for name, provenance in (("pets", {}), ("drawn", {"formula": "svd"}), ("fractaldb", {})):
        default_zoo().add(card(name, provenance=provenance), tmp_path / "w.safetensors")
    known = {name: find(name).knows_photographs for name in ("zoo/pets", "zoo/drawn", "fractaldb")}
    assert known == {"zoo/pets": True, "zoo/drawn": False, "fractaldb": False}
    assert not find("zoo/fractals", model="resnet20").knows_photographs  # comes with ktg
    assert not find("none").knows_photographs
    assert find("imagenet", model="resnet18").knows_photographs


def test_what_nobody_says_of_a_file_is_a_guess_and_warned_of_once(tmp_path, caplog):
    node = Node(model="mobilenetv2_035", model_args={"pad_type": "same"})
    file = tmp_path / "net.safetensors"
    save_file(build_body(node, classes=10, size=64).state_dict(), file)
    bare = WeightsFile(Node(model="mobilenetv2_035", source=str(file)), str(file))
    normalisation, padding = bare.list_guesses()
    assert normalisation.startswith("the normalisation (mean 0.485, 0.456, 0.406; std ")
    assert "want pad_type: same" in padding
    assert len(WeightsFile(Node(model="resnet18", source="x"), str(file)).list_guesses()) == 1
    ours, theirs = (
        WeightsFile(Node(model=model, source="x"), str(file)).list_guesses()
        for model in ("mobilenetv2_100", "timm/mobilenetv2_100")
    )
    assert ours == theirs
    for _ in range(2):
        args = {"classes": 10, "image_size": 64, "mean": (0.5,), "std": (0.5,), "seed": 0}
        build_network(bare.node, {}, **args)
    (warned,) = [record.getMessage() for record in caplog.records]  # once
    assert warned.endswith(
        "are guesses; say mean, std and model_args beside its path, in `sources` or `weights`"
    )


def test_a_file_that_is_called_as_the_published_one_is_taken_for_it(tmp_path):
    name = "resnet18-f37072fd.pth"
    node = Node(model="torchvision/resnet18", source="imagenet")
    assert not WeightsFile(node, str(tmp_path / name)).list_guesses()
    assert WeightsFile(node, str(tmp_path / "mine.pth")).list_guesses()


def test_a_repository_of_the_hub_is_a_source(offline):
    node = Node(model="resnet18", source="hf-hub:me/birds")
    found = resolve_source(node, {})
    assert isinstance(found, HubWeights)
    assert found.content_hash() == "hf-hub:me/birds"
    assert found.statistics() == IMAGENET
    assert found.class_names is None
    found.check("nodes.n0.source")
    with pytest.raises(SpecError, match="names no repository of the Hugging Face hub; write hf-"):
        find("hf-hub:birds", model="resnet18")
