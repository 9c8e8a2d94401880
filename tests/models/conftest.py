"""A zoo with weights for the tests of sources."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from zoos import card

from ktg.graph import Node
from ktg.models.architectures import build_body
from ktg.zoo import Zoo


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch) -> Zoo:
    """A zoo with the weights of a wide network with dropout, under two names."""
    node = Node(model="wide_resnet16_1", model_args={"drop_rate": 0.3})
    torch.manual_seed(1)
    file = tmp_path / "wide.safetensors"
    save_file(build_body(node, classes=4, size=32).state_dict(), file)
    zoo = Zoo(tmp_path / "zoo")
    for name in ("fractaldb", "animals"):
        zoo.add(
            card(name, node.model, model_args=node.model_args, classes=tuple("abcd"), mean=(0.2,)),
            file,
        )
    monkeypatch.setenv("KTG_ZOO", str(zoo.folder))
    return zoo
