import contextlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import safetensors.torch
import torch
from huggingface_hub import constants

from ktg.errors import WeightsError
from ktg.graph import Node
from ktg.models.architectures import build_body
from ktg.models.imagenet import (
    PublishedFile,
    check_available,
    fetch,
    find_cached,
    find_published,
    read_hub_statistics,
    read_published,
)
from ktg.models.state_dicts import read_state


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch) -> Path:
    """Both libraries' caches in an empty folder, and no proxy before a test's own machine."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=folder)
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def put_into_hub_cache(
    cache: Path, repository: str, name: str, state: dict[str, torch.Tensor]
) -> Path:
    """Lay a file where the hub's client keeps what it has downloaded."""
    folder = cache / "hf" / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("0" * 40)
    file = folder / "snapshots" / ("0" * 40) / name
    file.parent.mkdir(parents=True)
    safetensors.torch.save_file(state, file)
    return file


def test_where_the_weights_are():
    timm = find_published("mobilenetv2_100")
    assert timm.repository == "timm/mobilenetv2_100.ra_in1k"
    assert timm.files == ("model.safetensors", "pytorch_model.bin")
    torchvision = find_published("torchvision/resnet18")
    assert torchvision.url.startswith("https://download.pytorch.org/models/resnet18-")
    assert torchvision.files == (torchvision.url.rsplit("/", 1)[1],)
    assert timm.name != torchvision.name


@pytest.mark.parametrize("model", ["resnet32", "mobilenetv2_035"])
def test_models_without_published_weights(model):
    with pytest.raises(
        WeightsError, match=f"^nodes.n0.source: no ImageNet weights are published for '{model}'"
    ):
        find_published(model, "nodes.n0.source")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_the_hub_cache_is_read_under_either_name(caches: Path, name):
    weights = find_published("mobilenetv2_100")
    assert find_cached(weights) is None
    file = put_into_hub_cache(caches, weights.repository, name, {"a": torch.zeros(1)})
    assert find_cached(weights) == fetch(weights, "w") == file


def test_timm_weights_come_through_timms_own_loader(caches: Path):
    torch.manual_seed(0)
    node = Node(model="vit_tiny_patch16_224", input_size=64)
    state = build_body(Node(model="vit_tiny_patch16_224"), classes=1000, size=224).state_dict()
    put_into_hub_cache(caches, find_published(node.model).repository, "model.safetensors", state)
    before = torch.get_rng_state()
    got = read_published(node, 64, "w")
    assert torch.equal(torch.get_rng_state(), before)
    assert got["pos_embed"].shape == (
        1,
        17,
        192,
    )  # 224 pixels have 14 x 14 patches, 64 have 4 x 4, and a class token
    assert torch.equal(got["head.weight"], state["head.weight"])
    assert torch.equal(got["blocks.3.attn.qkv.weight"], state["blocks.3.attn.qkv.weight"])


def test_foreign_content_in_the_cache_is_one_sentence(caches: Path):
    node = Node(model="mobilenetv2_100")
    put_into_hub_cache(
        caches, find_published(node.model).repository, "model.safetensors", {"a": torch.zeros(1)}
    )
    with pytest.raises(
        WeightsError, match=r"^w: .*model\.safetensors does not load into 'mobilenetv2_100' \("
    ) as error:
        read_published(node, 64, "w")
    assert "\n" not in str(error.value)


def test_the_torch_cache_is_read(caches: Path):
    torch.manual_seed(0)
    state = build_body(Node(model="torchvision/squeezenet1_1"), classes=1000, size=64).state_dict()
    weights = find_published("torchvision/squeezenet1_1")
    file = caches / "torch/hub/checkpoints" / weights.files[0]
    file.parent.mkdir(parents=True)
    torch.save(state, file)
    got = read_published(Node(model="torchvision/squeezenet1_1"), 64, "w")
    assert got.keys() == state.keys()
    assert torch.equal(got["classifier.1.weight"], state["classifier.1.weight"])


def test_offline_is_said_at_once_with_the_file_and_the_remedy(monkeypatch, closed_port):
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed_port}")
    start = time.perf_counter()
    with pytest.raises(WeightsError) as error:
        check_available(find_published("mobilenetv2_100"), "nodes.n1.source")
    assert time.perf_counter() - start < 2
    message = str(error.value)
    assert message.startswith(
        "nodes.n1.source: the ImageNet weights of 'mobilenetv2_100' are not in the local cache"
    )
    assert "model.safetensors from http://127.0.0.1" in message
    assert "timm/mobilenetv2_100.ra_in1k" in message
    assert "`--weights mobilenetv2_100=model.safetensors` (`ktg train`: `--imagenet`)" in message
    assert "`weights: {mobilenetv2_100: model.safetensors}`" in message
    assert "\n" not in message


def test_the_hubs_own_offline_switch_is_respected(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        check_available(find_published("mobilenetv2_100"), "w")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(WeightsError):
            check_available(find_published("mobilenetv2_100"), "w")


def test_a_file_is_downloaded_once_into_the_cache(tmp_path: Path):
    (tmp_path / "www").mkdir()
    state = {"weight": torch.rand(3)}
    torch.save(state, tmp_path / "www/tiny.pth")
    with serving(tmp_path / "www") as address:
        weights = PublishedFile("tiny", "", ("tiny.pth",), f"{address}/tiny.pth")
        file = fetch(weights, "w")
    assert torch.equal(read_state(file)["weight"], state["weight"])
    assert fetch(weights, "w") == file  # the server is gone


@pytest.mark.parametrize("name", ["tiny-00000000.pth", "gone.pth"])
def test_a_download_that_fails_leaves_nothing_behind(tmp_path: Path, name):
    """A wrong digest (torch.hub reads it from the file's name), and a missing file."""
    (tmp_path / "www").mkdir()
    torch.save({"weight": torch.rand(3)}, tmp_path / "www/tiny-00000000.pth")
    with (
        serving(tmp_path / "www") as address,
        pytest.raises(WeightsError, match="cannot be downloaded now"),
    ):
        fetch(PublishedFile("tiny", "", (name,), f"{address}/{name}"), "w")
    assert not list((tmp_path / "torch/hub/checkpoints").iterdir())


def test_a_repository_of_the_hub_is_read_with_what_it_says_of_its_input(caches: Path, monkeypatch):
    torch.manual_seed(0)
    body = build_body(Node(model="resnet18"), classes=3, size=64)
    place = caches / "hf" / "models--me--birds"
    (place / "snapshots" / "1").mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("1")
    safetensors.torch.save_file(body.state_dict(), place / "snapshots" / "1" / "model.safetensors")
    config = {"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.2] * 3}}
    (place / "snapshots" / "1" / "config.json").write_text(json.dumps(config))
    node = Node(model="resnet18", source="hf-hub:me/birds")
    state = read_published(node, 64, "n0")
    assert torch.equal(state["fc.weight"], body.fc.weight)
    assert read_hub_statistics(node.source) == ((0.5,) * 3, (0.2,) * 3)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    gone = find_published("hf-hub:me/cats")
    with pytest.raises(
        WeightsError,
        match=r"hf-hub:me/cats is not in the local cache .* cannot be "
        "downloaded now; get model.safetensors from .*/me/cats and give its path",
    ):
        check_available(gone, "n0.source")


def test_published_weights_with_nan_are_refused(caches: Path):
    body = build_body(Node(model="resnet18"), classes=1000, size=64)
    with torch.no_grad():
        body.fc.bias[0] = float("nan")
    repository = find_published("resnet18").repository.replace("/", "--")
    place = caches / "hf" / f"models--{repository}"
    (place / "snapshots" / "1").mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("1")
    safetensors.torch.save_file(body.state_dict(), place / "snapshots" / "1" / "model.safetensors")
    with pytest.raises(WeightsError, match=r"1 of the 1,000 numbers of 'fc.bias' are NaN"):
        read_published(Node(model="resnet18", source="imagenet"), 64, "n0")


def test_a_tag_has_weights_of_its_own():
    assert find_published("resnet18.a2_in1k").name == "timm/resnet18.a2_in1k/pytorch_model.bin"
    assert find_published("resnet18").name == find_published("resnet18.a1_in1k").name
