import hashlib
import os
import socket
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from ktg.errors import SpecError, WeightsError
from ktg.models.architecture import HALF, IMAGENET, create
from ktg.models.source import check_weights, content_hash, initial_state, resolve
from ktg.spec import Node, SourceFile


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
    got = {name: resolve(Node(model="resnet8", source=name), sources, saved.parent) for name in sources}
    assert {source.file for source in got.values()} == {saved}
    assert (got["plain"].mean, got["plain"].std) == IMAGENET
    assert (got["half"].mean, got["half"].std) == ((0.5,), (0.25, 0.5, 0.75))
    assert (got["mean"].mean, got["mean"].std) == ((0.1, 0.2, 0.3), IMAGENET[1])
    vit = resolve(Node(model="vit_tiny_patch16_224", source="imagenet"), {})
    assert (vit.file, vit.mean, vit.std) == (None, *HALF)


def test_statistics_have_one_or_three_numbers(saved: Path):
    sources = {"two": SourceFile(path="net.pth", std=(0.5, 0.5))}
    with pytest.raises(SpecError, match=r"^sources\.two\.std: expected one number, or three"):
        resolve(Node(model="resnet8", source="two"), sources, saved.parent)


def test_a_pair_of_model_and_file_is_checked_before_training(saved: Path):
    def check(model: str, classes: int = 10, image_size: int = 32) -> None:
        node = Node(model=model, source="./net.pth")
        check_weights(node, {}, classes=classes, image_size=image_size, base=saved.parent, where="nodes.n0")

    check("resnet8")
    check("resnet8", classes=3)
    with pytest.raises(
        WeightsError, match=r"^nodes\.n0: .*net\.pth for resnet14: .*another network; .*missing \(layer"
    ):
        check("resnet14")
    with pytest.raises(WeightsError, match=r"^nodes\.n0: .*net\.pth for resnet18: .*another network"):
        check("resnet18", image_size=64)
    with pytest.raises(SpecError, match=r"^nodes\.n0\.input_size: alexnet cannot take"):
        check("alexnet")
    with pytest.raises(SpecError, match=r"^nodes\.n0\.source: there is no file"):
        check_weights(Node(model="resnet8", source="./no.pth"), {}, classes=2, image_size=32, where="nodes.n0")


@pytest.mark.usefixtures("offline")
def test_imagenet_without_a_file_is_found_before_training():
    node = Node(model="mobilenetv2_100", source="imagenet")
    with pytest.raises(WeightsError, match=r"^nodes\.n0\.source: the ImageNet weights of 'mobilenetv2_100' are not in"):
        check_weights(node, {}, classes=2, image_size=32, where="nodes.n0")
    with pytest.raises(SpecError, match=r"^nodes\.n0\.source: no ImageNet weights are published for 'resnet8'"):
        check_weights(Node(model="resnet8", source="imagenet"), {}, classes=2, image_size=32, where="nodes.n0")


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
        content_hash(Node(model=m, source="imagenet"), {}) for m in ("resnet18", "torchvision/resnet18", "resnet34")
    }
    assert len(names) == 3
    assert all(name.startswith("imagenet:") for name in names)
