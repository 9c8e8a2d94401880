"""Networks cut before their heads."""

import pytest
import torch

from ktg.graph import Node
from ktg.models.head import classify, head_of, split_forward
from ktg.models.network import Network, build


def network(model: str, size: int = 32, **fields) -> Network:
    return build(
        Node(model=model, **fields), {}, classes=3, image_size=size, mean=[0.5], std=[0.5], seed=0
    )


@pytest.mark.parametrize(
    ("model", "path", "width"),
    [
        ("resnet8", "linear", (64,)),
        ("mobilenetv2_035", "classifier", (1280,)),
        ("torchvision/mobilenet_v2", "classifier.1", (1280,)),
        ("vit_tiny_patch16_224", "head", (192,)),
        ("torchvision/squeezenet1_1", "classifier.1", (512, 1, 1)),  # its head is a convolution
    ],
)
def test_the_head_of_the_features_gives_the_logits(model, path, width):
    cut = network(model, input_size=224 if model.startswith("vit") else None).eval()
    images = torch.rand(2, 3, 32, 32)
    (features,), logits = split_forward(cut, images)
    assert head_of(cut) is cut.body.get_submodule(path)
    assert features.shape == (2, *width)
    assert not features.requires_grad
    assert torch.equal(logits, cut(images))
    if "squeezenet" not in model:  # where more follows the head: the mean over all places
        assert torch.equal(classify(cut, features), logits)


def test_the_cut_leaves_no_hook_behind():
    cut = network("resnet8")
    split_forward(cut, torch.rand(2, 3, 8, 8))
    assert not cut.body.linear._forward_pre_hooks


def test_two_heads_have_no_module_of_their_own():
    cut = network("deit_tiny_distilled_patch16_224", 224)
    assert head_of(cut) is None
    for call in (classify, split_forward):
        with pytest.raises(ValueError, match="no module that holds just its head"):
            call(cut, torch.rand(1, 3, 224, 224))
