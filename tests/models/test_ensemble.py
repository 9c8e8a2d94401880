"""Several networks as one: the mean of their probabilities, exactly."""

import torch

from ktg.models.ensemble import Ensemble, mean_of


def test_the_softmax_is_the_mean_of_the_probabilities():
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(5, 4, generator=generator) * scale for scale in (0.1, 3.0, 60.0)]
    mean = torch.stack([one.double().softmax(1) for one in logits]).mean(0)
    torch.testing.assert_close(mean_of(logits).softmax(1), mean.float())
    torch.testing.assert_close(mean_of(logits).exp(), mean.float())  # normalised already


def test_one_member_is_itself():
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mean_of([logits]), logits)


def test_half_precision_and_certain_members_stay_finite():
    logits = [
        torch.tensor([[6e4, -6e4]], dtype=torch.float16),
        torch.tensor([[-6e4, 6e4]], dtype=torch.float16),
    ]
    torch.testing.assert_close(mean_of(logits).softmax(1), torch.full((1, 2), 0.5))


def test_members_keep_their_names_whatever_these_are(trained):
    one, other = trained.training.networks.values()
    ensemble = Ensemble({"train": one, "forward": other})
    assert ensemble.networks == {"train": one, "forward": other}
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(
            ensemble(images).softmax(1), (one(images).softmax(1) + other(images).softmax(1)) / 2
        )
