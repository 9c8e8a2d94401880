"""Checkpoints from elsewhere fit the architecture exactly, or are refused."""

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file

from ktg.errors import SpecError, WeightsError
from ktg.graph import Node
from ktg.models.build import create
from ktg.models.importing import import_weights, write_weights


def saved(file: Path, node: Node, classes: int, size: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state = create(node, classes=classes, size=size).state_dict()
    torch.save(state, file)
    return state


@pytest.mark.parametrize(("model", "size"), [("resnet8", 32), ("resnet18", 64)])
def test_the_head_says_how_many_classes_there_are(tmp_path: Path, model, size):
    state = saved(tmp_path / "a.pth", Node(model=model), 7, size)
    found, classes = import_weights(tmp_path / "a.pth", Node(model=model))
    assert classes == 7
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_weights_without_a_head(tmp_path: Path):
    state = saved(tmp_path / "a.pth", Node(model="resnet8"), 7, 32)
    torch.save(
        {name: tensor for name, tensor in state.items() if not name.startswith("linear")},
        tmp_path / "a.pth",
    )
    found, classes = import_weights(tmp_path / "a.pth", Node(model="resnet8"))
    assert (classes, [name for name in found if "linear" in name]) == (0, [])


def test_torchvisions_names_become_timms(tmp_path: Path):
    torch.manual_seed(0)
    net = torchvision.models.mobilenet_v2(width_mult=0.35, num_classes=5)
    torch.save(
        {"state_dict": {f"module.{name}": tensor for name, tensor in net.state_dict().items()}},
        tmp_path / "a.pth",
    )
    node = Node(model="mobilenetv2_035")
    found, classes = import_weights(tmp_path / "a.pth", node)
    assert classes == 5
    create(node, classes=5, size=224).load_state_dict(found)
    assert torch.equal(found["conv_stem.weight"], net.features[0][0].weight)
    assert torch.equal(found["classifier.weight"], net.classifier[1].weight)


def test_another_network_is_refused(tmp_path: Path):
    saved(tmp_path / "a.pth", Node(model="resnet8"), 7, 32)
    with pytest.raises(
        WeightsError, match=r"a\.pth for resnet14: these weights belong to another network"
    ):
        import_weights(tmp_path / "a.pth", Node(model="resnet14"))
    with pytest.raises(SpecError, match="is not a model"):
        import_weights(tmp_path / "a.pth", Node(model="resnet9"))


def test_weights_that_share_memory_are_written_apart(tmp_path: Path):
    tensor = torch.arange(6.0)
    state = {"a": tensor, "b": tensor, "c": tensor.view(2, 3).T}
    write_weights(state, tmp_path / "a.safetensors")
    read = load_file(tmp_path / "a.safetensors")
    assert all(torch.equal(read[name], state[name]) for name in state)
