"""Networks that take plain images, their heads, and several of them as one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ktg.graph import Node
from ktg.models.build import build_network
from ktg.models.network import (
    Ensemble,
    Network,
    average_logits,
    choose_device,
    classify,
    find_head,
    flatten_features,
    record_head_inputs,
    split_forward,
)


def plain(model: str = "resnet8", **fields) -> Network:
    given = {"classes": 4, "image_size": 16, "mean": [0.4], "std": [0.2], "seed": 0} | fields
    sources, base = given.pop("sources", {}), given.pop("base", None)
    node = {
        name: given.pop(name) for name in ("source", "input_size", "model_args") if name in given
    }
    return build_network(Node(model=model, **node), sources, base=base, where="nodes.n0", **given)


@settings(max_examples=20, deadline=None)
@given(
    channels=st.sampled_from([1, 3]),
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    size=st.integers(8, 24),
)
def test_images_of_any_shape_become_what_the_body_expects(channels, height, width, size):
    network = Network(nn.Identity(), size=size, mean=[0.1, 0.2, 0.3], std=[0.5], head=frozenset())
    value = torch.rand(1).item()
    out = network(torch.full((2, channels, height, width), value))
    wanted = (value - torch.tensor([0.1, 0.2, 0.3])) / 0.5
    torch.testing.assert_close(out, wanted.view(1, 3, 1, 1).expand(2, 3, size, size))


def test_grey_statistics_and_grey_images_are_the_same_in_every_channel():
    images = torch.rand(2, 1, 16, 16)
    network = plain().eval()
    assert network.prepare(images).shape == (2, 3, 16, 16)
    torch.testing.assert_close(network(images), network(images.repeat(1, 3, 1, 1)))


def test_resizing_is_antialiased():
    """A chessboard of single pixels shrunk fourfold is evenly grey, because of the antialiasing."""
    board = (
        (torch.arange(64).view(-1, 1) + torch.arange(64)).remainder(2).float().expand(1, 3, 64, 64)
    )
    small = Network(nn.Identity(), size=16, mean=[0], std=[1], head=frozenset()).prepare(board)
    torch.testing.assert_close(
        small[..., 1:-1, 1:-1], torch.full((1, 3, 14, 14), 0.5), atol=0.02, rtol=0
    )


def test_statistics_of_any_kind_of_number_keep_single_precision():
    network = plain(mean=np.array([0.1, 0.2, 0.3]), std=np.array([1.0, 1.0, 1.0]))
    assert network.mean.dtype is torch.float32
    assert network(torch.rand(2, 3, 16, 16)).dtype is torch.float32


def test_statistics_are_not_saved_but_move_with_the_network():
    network = plain()
    assert all(name.startswith("body.") for name in network.state_dict())
    assert network.to(torch.float64).mean.dtype is torch.float64


def test_the_backbone_is_everything_but_the_head():
    network = plain(classes=4)
    assert network.head == {"linear.weight", "linear.bias"}
    everything = dict(network.body.named_parameters())
    backbone = {name: own for name, own in everything.items() if name not in network.head}
    assert dict(network.backbone_parameters()) == backbone


def cut_network(model: str, size: int = 32, **fields) -> Network:
    return build_network(
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
    cut = cut_network(model, input_size=224 if model.startswith("vit") else None).eval()
    images = torch.rand(2, 3, 32, 32)
    (features,), logits = split_forward(cut, images)
    assert find_head(cut) is cut.body.get_submodule(path)
    assert features.shape == (2, *width)
    assert not features.requires_grad
    assert torch.equal(logits, cut(images))
    if "squeezenet" not in model:  # where more follows the head: the mean over all places
        assert torch.equal(classify(cut, features), logits)


def test_the_cut_leaves_no_hook_behind():
    cut = cut_network("resnet8")
    split_forward(cut, torch.rand(2, 3, 8, 8))
    assert not cut.body.linear._forward_pre_hooks


def test_two_heads_have_no_module_of_their_own():
    cut = cut_network("deit_tiny_distilled_patch16_224", 224)
    assert find_head(cut) is None
    for call in (classify, split_forward):
        with pytest.raises(ValueError, match="no module that holds just its head"):
            call(cut, torch.rand(1, 3, 224, 224))


def test_the_softmax_is_the_mean_of_the_probabilities():
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(5, 4, generator=generator) * scale for scale in (0.1, 3.0, 60.0)]
    mean = torch.stack([one.double().softmax(1) for one in logits]).mean(0)
    torch.testing.assert_close(average_logits(logits).softmax(1), mean.float())
    torch.testing.assert_close(average_logits(logits).exp(), mean.float())  # normalised already


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.integers(0, 99))
def test_who_counts_several_times_is_as_good_as_so_many(times, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = [torch.randn(3, 4, generator=generator) for _ in times]
    repeated = [one for one, often in zip(logits, times, strict=True) for _ in range(often)]
    torch.testing.assert_close(average_logits(logits, times), average_logits(repeated))


def test_one_member_is_itself():
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(average_logits([logits]), logits)


def test_half_precision_and_certain_members_stay_finite():
    logits = [
        torch.tensor([[6e4, -6e4]], dtype=torch.float16),
        torch.tensor([[-6e4, 6e4]], dtype=torch.float16),
    ]
    torch.testing.assert_close(average_logits(logits).softmax(1), torch.full((1, 2), 0.5))


def test_members_keep_their_names_whatever_these_are(trained):
    one, other = trained.training.networks.values()
    ensemble = Ensemble({"train": one, "forward": other})
    assert ensemble.networks == {"train": one, "forward": other}
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(
            ensemble(images).softmax(1), (one(images).softmax(1) + other(images).softmax(1)) / 2
        )


def test_a_given_device_is_used_and_a_gpu_is_the_default(monkeypatch):
    assert choose_device("cpu") == choose_device(torch.device("cpu")) == torch.device("cpu")
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert choose_device(None) == torch.device(expected)
        assert choose_device("cuda:1") == torch.device("cuda:1")


def test_what_a_head_is_given_is_recorded_with_its_gradients(trained):
    network = next(iter(trained.training.networks.values()))
    images = torch.rand(2, 3, 16, 16)
    with record_head_inputs(network) as inputs:
        logits = network(images)
    network(images)  # outside the block nothing is recorded
    assert len(inputs) == 1
    torch.testing.assert_close(find_head(network)(inputs[0]), logits)
    assert inputs[0].requires_grad == logits.requires_grad


def test_features_are_one_vector_for_each_image():
    flat = torch.arange(12.0).view(2, 6)
    assert flatten_features(flat) is flat
    places = flat.view(2, 3, 1, 2)
    assert flatten_features(places).tolist() == [[0.5, 2.5, 4.5], [6.5, 8.5, 10.5]]
    assert flatten_features(places.flatten(2).transpose(1, 2)).tolist() == [
        [0.5, 2.5, 4.5],
        [6.5, 8.5, 10.5],
    ]
