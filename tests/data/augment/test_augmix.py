import sys

import torch
from pixels import generator, noise

from ktg.data.augment.augmix import augmix, draw_weights
from ktg.data.augment.basic import basic


def test_weights_are_dirichlet_and_the_share_is_uniform():
    weights, share = draw_weights(20_000, generator())
    torch.testing.assert_close(weights.sum(1), torch.ones(20_000))
    assert weights.min() >= 0
    torch.testing.assert_close(weights.mean(0), torch.full((3,), 1 / 3), atol=0.01, rtol=0)
    # Dirichlet(1, 1, 1): each weight is Beta(1, 2), of variance 1/18
    torch.testing.assert_close(weights.var(0), torch.full((3,), 1 / 18), atol=0.002, rtol=0)
    assert abs(share.mean() - 0.5) < 0.01 and abs(share.var() - 1 / 12) < 0.003


def test_it_blends_the_basic_view_with_its_changed_copies(monkeypatch):
    images = noise(64)
    plain = basic(images, generator())
    module = sys.modules[
        "ktg.data.augment.augmix"
    ]  # the package's attribute of that name is the function
    monkeypatch.setattr(module, "_apply_chain", lambda images, generator: 1 - images)
    _, share = draw_weights(64, continued(images))
    torch.testing.assert_close(
        augmix(images, generator()), plain + share[:, None, None, None] * (1 - 2 * plain)
    )


def continued(images: torch.Tensor) -> torch.Generator:
    """The generator as `basic` leaves it."""
    drawn = generator()
    basic(images, drawn)
    return drawn
