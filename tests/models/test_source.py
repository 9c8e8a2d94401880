import hashlib
import json
import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file
from zoos import card

from ktg.errors import MissingSourceError, SpecError, WeightsError
from ktg.graph import Node, SourceFile, sources_for
from ktg.models.build import HALF, IMAGENET, create
from ktg.models.network import build
from ktg.models.source import check_weights, content_hash, initial_state, resolve
from ktg.models.weights import read_state
from ktg.zoo import Zoo


@pytest.fixture
def offline(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    file = tmp_path / "net.pth"
    torch.save(create(Node(model="resnet8"), classes=10, size=32).state_dict(), file)
    return file


def test_none_has_neither_file_nor_statistics():
    source = resolve(Node(model="resnet8"), {})
    assert (source.name, source.file, source.mean, source.std) == ("none", None, None, None)
    assert initial_state(Node(model="resnet8"), source, 32) is None


def test_a_source_brings_its_own_statistics_or_the_models(saved: Path):
    sources = {
        "plain": SourceFile(path="net.pth"),
        "half": SourceFile(path="net.pth", mean=(0.5,), std=(0.25, 0.5, 0.75)),
        "mean": SourceFile(path="net.pth", mean=(0.1, 0.2, 0.3)),
    }
    got = {
        name: resolve(Node(model="resnet8", source=name), sources, saved.parent) for name in sources
    }
    assert {source.file for source in got.values()} == {saved}
    assert (got["plain"].mean, got["plain"].std) == IMAGENET
    assert (got["half"].mean, got["half"].std) == ((0.5,), (0.25, 0.5, 0.75))
    assert (got["mean"].mean, got["mean"].std) == ((0.1, 0.2, 0.3), IMAGENET[1])
    vit = resolve(Node(model="vit_tiny_patch16_224", source="imagenet"), {})
    assert (vit.file, vit.mean, vit.std) == (None, *HALF)


def test_a_model_file_of_ktg_says_what_it_expects(saved: Path):
    state, file = read_state(saved), saved.parent / "net.safetensors"

    def statistics(described: object) -> tuple[object, object]:
        save_file(state, file, metadata={"format": "pt", "ktg": json.dumps(described)})
        source = resolve(Node(model="resnet8", source="net.safetensors"), {}, saved.parent)
        return source.mean, source.std

    own = {"input": {"mean": [0.25], "std": [0.5]}}
    assert statistics(own) == ((0.25,), (0.5,))
    named = resolve(
        Node(model="resnet8", source="s"),
        {"s": SourceFile(path="net.safetensors", std=(2.0,))},
        saved.parent,
    )
    assert (named.mean, named.std) == ((0.25,), (2.0,))
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
        resolve(Node(model="resnet8", source="two"), sources, saved.parent)


def test_a_pair_of_model_and_file_is_checked_before_training(saved: Path):
    def check(model: str, classes: int = 10, image_size: int = 32) -> None:
        node = Node(model=model, source="./net.pth")
        check_weights(
            node, {}, classes=classes, image_size=image_size, base=saved.parent, where="nodes.n0"
        )

    check("resnet8")
    check("resnet8", classes=3)
    with pytest.raises(
        WeightsError,
        match=r"^nodes\.n0: .*net\.pth for resnet14: .*another network; .*missing \(layer",
    ):
        check("resnet14")
    with pytest.raises(
        WeightsError, match=r"^nodes\.n0: .*net\.pth for resnet18: .*another network"
    ):
        check("resnet18", image_size=64)
    with pytest.raises(SpecError, match=r"^nodes\.n0\.input_size: alexnet cannot take"):
        check("alexnet")
    with pytest.raises(SpecError, match=r"^nodes\.n0\.source: there is no file"):
        check_weights(
            Node(model="resnet8", source="./no.pth"), {}, classes=2, image_size=32, where="nodes.n0"
        )


@pytest.mark.usefixtures("offline")
def test_imagenet_without_a_file_is_found_before_training():
    node = Node(model="mobilenetv2_100", source="imagenet")
    with pytest.raises(
        WeightsError,
        match=r"^nodes\.n0\.source: the ImageNet weights of 'mobilenetv2_100' are not in",
    ):
        check_weights(node, {}, classes=2, image_size=32, where="nodes.n0")
    with pytest.raises(
        SpecError, match=r"^nodes\.n0\.source: no ImageNet weights are published for 'resnet8'"
    ):
        check_weights(
            Node(model="resnet8", source="imagenet"), {}, classes=2, image_size=32, where="nodes.n0"
        )


@pytest.mark.usefixtures("offline")
def test_a_file_stands_for_imagenet_with_the_statistics_it_says(saved: Path):
    node = Node(model="resnet8", source="imagenet")
    weights = {
        "resnet8": SourceFile(path=str(saved), mean=(0.5,)),
        "resnet14": SourceFile(path="elsewhere.pth"),
    }
    files = sources_for("resnet8", {}, weights)
    source = resolve(node, files)
    assert (source.file, source.mean, source.std) == (saved, (0.5,), IMAGENET[1])
    check_weights(node, files, classes=3, image_size=32)
    assert initial_state(node, source, 32).keys() == read_state(saved).keys()
    assert content_hash(node, files) == hashlib.sha256(saved.read_bytes()).hexdigest()
    with pytest.raises(
        MissingSourceError, match="for resnet14: these weights belong to another network"
    ):
        check_weights(
            Node(model="resnet14", source="imagenet"),
            files,
            classes=3,
            image_size=32,
            where="nodes.n0",
        )


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_stands_for_imagenet_is_fitted_to_other_image_sizes_like_the_published_one(
    tmp_path, suffix
):
    torch.manual_seed(0)
    state = create(Node(model="vit_tiny_patch16_224"), classes=1000, size=224).state_dict()
    file = tmp_path / f"vit{suffix}"
    torch.save(state, file) if suffix == ".pth" else safetensors.torch.save_file(state, file)
    node = Node(model="vit_tiny_patch16_224", source="imagenet", input_size=64)
    files = sources_for(node.model, {}, {node.model: SourceFile(path=str(file))})
    check_weights(node, files, classes=2, image_size=32)
    got = initial_state(node, resolve(node, files), 64)
    assert got["pos_embed"].shape == (1, 17, 192)
    assert torch.equal(got["blocks.3.attn.qkv.weight"], state["blocks.3.attn.qkv.weight"])


@pytest.mark.usefixtures("one_thread")
def test_torchvisions_real_file_tells_cats_from_dogs_in_timms_network(shared: Path):
    node = Node(model="mobilenetv2_100", source="imagenet")
    file = SourceFile(path=str(shared / "weights/mobilenet_v2.imagenet.torchvision.pth"))
    files = sources_for(node.model, {}, {node.model: file})
    network = build(
        node, files, classes=1000, image_size=224, mean=(0.0,), std=(1.0,), seed=0
    ).eval()
    classes = {
        "cat": range(281, 286),
        "dog": range(151, 269),
    }  # of ImageNet: tabby to Egyptian cat, and all dogs
    right = 0
    for kind, wanted in classes.items():
        for path in sorted((shared / "data/cats_dogs" / kind).iterdir())[:10]:
            pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB").resize((224, 224))))
            with torch.inference_mode():
                right += int(network(pixels.permute(2, 0, 1)[None] / 255).argmax()) in wanted
    assert right >= 13  # of 20; guessing gives one


def test_the_hash_is_that_of_the_file_and_is_kept(saved: Path):
    node = Node(model="resnet8", source="./net.pth")
    first = content_hash(node, {}, saved.parent)
    assert first == hashlib.sha256(saved.read_bytes()).hexdigest()
    start = time.perf_counter()
    assert content_hash(node, {}, saved.parent) == first
    assert time.perf_counter() - start < 0.01


def test_the_hash_follows_a_change_of_the_file(saved: Path):
    node = Node(model="resnet8", source="./net.pth")
    first, stat = content_hash(node, {}, saved.parent), saved.stat()
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    os.utime(saved, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    assert content_hash(node, {}, saved.parent) != first


@pytest.mark.usefixtures("offline")
def test_none_and_imagenet_have_names_that_need_no_file_and_no_network(monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    assert content_hash(Node(model="resnet8"), {}) == "none"
    names = {
        content_hash(Node(model=m, source="imagenet"), {})
        for m in ("resnet18", "torchvision/resnet18", "resnet34")
    }
    assert len(names) == 3
    assert all(name.startswith("imagenet:") for name in names)


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch) -> Zoo:
    """A zoo with the weights of a wide network with dropout, under two names."""
    node = Node(model="wide_resnet16_1", model_args={"drop_rate": 0.3})
    torch.manual_seed(1)
    file = tmp_path / "wide.safetensors"
    save_file(create(node, classes=4, size=32).state_dict(), file)
    zoo = Zoo(tmp_path / "zoo")
    for name in ("fractaldb", "animals"):
        zoo.add(
            card(name, node.model, model_args=node.model_args, classes=tuple("abcd"), mean=(0.2,)),
            file,
        )
    monkeypatch.setenv("KTG_ZOO", str(zoo.folder))
    return zoo


@pytest.mark.parametrize("source", ["fractaldb", "zoo/fractaldb", "zoo/animals"])
def test_a_node_begins_with_the_weights_and_statistics_of_the_zoos_entry(zoo: Zoo, source):
    node = Node(model="wide_resnet16_1", source=source, model_args={"drop_rate": 0.3})
    check_weights(node, {}, classes=2, image_size=32)
    for classes in (2, 4):
        net = build(node, {}, classes=classes, image_size=32, mean=(0.9,), std=(0.9,), seed=0)
        weights = {
            key: value
            for key, value in net.body.state_dict().items()
            if classes == 4 or key not in net.head
        }
        kept = initial_state(node, resolve(node, {}), 32)
        assert all(torch.equal(kept[key], value) for key, value in weights.items())
        assert (net.mean.item(), net.std.item()) == pytest.approx((0.2, 0.25))


def test_the_hash_of_an_entry_is_read_from_its_card(zoo: Zoo):
    zoo.weights_file("animals/wide_resnet16_1").write_bytes(b"")
    node = Node(model="wide_resnet16_1", source="zoo/animals")
    assert content_hash(node, {}) == zoo.get("animals", "wide_resnet16_1").sha256


def test_an_entry_made_with_other_arguments_is_refused(zoo: Zoo):
    node = Node(model="wide_resnet16_1", source="zoo/animals", model_args={"drop_rate": 0.5})
    problem = (
        r"^nodes\.n0\.model_args: zoo/animals was made for wide_resnet16_1 with model_args {'drop_rate': 0\.3}, "
        r"this node has {'drop_rate': 0\.5}"
    )
    with pytest.raises(SpecError, match=problem):
        check_weights(node, {}, classes=2, image_size=32, where="nodes.n0")


def test_a_tampered_entry_is_found_before_training_and_when_it_is_loaded(zoo: Zoo):
    file = zoo.weights_file("animals/wide_resnet16_1")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    node = Node(model="wide_resnet16_1", source="zoo/animals", model_args={"drop_rate": 0.3})
    with pytest.raises(WeightsError, match=r"is damaged or was changed"):
        check_weights(node, {}, classes=2, image_size=32)
    with pytest.raises(WeightsError, match=r"is damaged or was changed"):
        initial_state(node, resolve(node, {}), 32)
