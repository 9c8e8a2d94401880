"""A deployable network computes what the network does, with its resize as matrix products."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ktg.errors import KtgError
from ktg.exporting.deployable import check_logits, make_deployable, make_probe_images, resize_matrix
from ktg.exporting.metadata import ModelInput
from ktg.graph import Node
from ktg.models.build import build_network


def given(side: int, size: int, channels: int) -> ModelInput:
    return ModelInput(
        side=side, channels=channels, interpolation="bicubic", size=size, mean=(0.5,), std=(0.25,)
    )


@pytest.mark.parametrize(("side", "size"), [(16, 12), (9, 20), (16, 16), (31, 8)])
def test_the_resize_is_a_matrix(side, size):
    image = torch.rand(2, 3, side, side)
    rows = resize_matrix(side, size)
    reference = functional.interpolate(image, (size, size), mode="bilinear", antialias=True)
    torch.testing.assert_close(rows @ image @ rows.T, reference)


@pytest.mark.parametrize(("side", "size", "channels"), [(16, 12, 3), (8, 8, 1), (10, 16, 1)])
def test_it_is_the_network(side, size, channels):
    mean, std = ((0.4,), (0.2,)) if channels == 1 else ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    node = Node(model="resnet8", input_size=size)
    network = build_network(node, {}, classes=3, image_size=side, mean=mean, std=std, seed=0).eval()
    images = torch.from_numpy(make_probe_images(given(side, size, channels)))
    with torch.inference_mode():
        torch.testing.assert_close(
            make_deployable(network, given(side, size, channels))(images),
            network(images.permute(0, 3, 1, 2) / 255),
        )


def test_the_given_network_stays_where_and_as_it_is():
    network = build_network(
        Node(model="resnet8"), {}, classes=2, image_size=8, mean=(0.5,), std=(0.5,), seed=0
    )
    make_deployable(network, given(8, 8, 3))
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_a_difference_is_an_error():
    logits = np.array([[1.0, 50.0]])
    assert check_logits("x", logits, logits + 1e-4) == pytest.approx(2e-6, rel=0.01)
    for wrong in (logits + 0.1, logits * np.nan):
        with pytest.raises(
            KtgError, match=r"x does not compute what torch does.*nothing was written"
        ):
            check_logits("x", wrong, logits)
