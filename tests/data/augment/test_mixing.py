import pytest
import torch
from pixels import generator, noise
from torch.nn.functional import one_hot

from ktg.data.augment.basic import to_float
from ktg.data.augment.mixing import Mixture, cutmix_or_mixup

LABELS = torch.tensor([0, 1, 2, 2])
NOTHING = torch.zeros(4)


def test_mixup_blends_each_image_and_label_with_the_one_before():
    images = to_float(noise(4))
    mixture = Mixture(NOTHING, torch.tensor(0.7))
    torch.testing.assert_close(mixture.images(images), 0.7 * images + 0.3 * images[[3, 0, 1, 2]])
    expected = torch.tensor([[0.7, 0, 0.3], [0.3, 0.7, 0], [0, 0.3, 0.7], [0, 0, 1.0]])
    torch.testing.assert_close(mixture.labels(LABELS, 3, 32), expected)
    weights = mixture.weights(torch.tensor([1.0, 0, 2, 0]), 32)
    torch.testing.assert_close(weights, torch.tensor([0.7, 0.3, 1.4, 0.6]))


@pytest.mark.parametrize("share", [0.7, 1.0, 0.0])
def test_each_of_two_labels_counts_in_its_share_and_by_its_own_weight(share):
    mixture, weights = Mixture(NOTHING, torch.tensor(share)), torch.tensor([1.0, 0, 2, 0])
    counted = weights[:, None] * one_hot(LABELS, 3)
    expected = share * counted + (1 - share) * counted[[3, 0, 1, 2]]
    labels = mixture.labels(LABELS, 3, 32, weights)
    torch.testing.assert_close(mixture.weights(weights, 32)[:, None] * labels, expected)
    torch.testing.assert_close(labels.sum(1), torch.ones(4))
    alike = mixture.labels(LABELS, 3, 32, torch.full((4,), 3.0))
    torch.testing.assert_close(alike, mixture.labels(LABELS, 3, 32))


def test_a_label_of_weight_0_is_not_used_in_a_mixture_either():
    mixture, weights = Mixture(NOTHING, torch.tensor(0.5)), torch.tensor([2.0, 0, 0, 1])
    mixed = [
        mixture.labels(torch.tensor([0, unused, unused, 2]), 3, 8, weights) for unused in range(3)
    ]
    used = mixture.weights(weights, 8) > 0
    assert used.tolist() == [True, True, False, True]
    assert all(torch.equal(each[used], mixed[0][used]) for each in mixed)
    assert torch.equal(mixed[1][2], torch.tensor([0.0, 1, 0]))  # of weight 0 in the loss


def test_cutmix_pastes_a_box_and_weighs_labels_by_its_pixels():
    images = to_float(noise(4))
    mixed = Mixture(torch.tensor([0.25, 0.5, 0.75, 1.0]), torch.tensor(1.0))
    got = mixed.images(images)
    expected = images.clone()
    expected[..., 8:24, 16:] = images[[3, 0, 1, 2]][..., 8:24, 16:]
    torch.testing.assert_close(got, expected)
    labels = mixed.labels(LABELS, 3, 32)
    torch.testing.assert_close(labels[0], torch.tensor([0.75, 0, 0.25]))
    torch.testing.assert_close(labels.sum(1), torch.ones(4))


def test_one_of_the_two_is_drawn_for_each_batch_with_uniform_shares():
    drawn, kept, cuts = generator(), [], 0
    for _ in range(2000):
        mixture = cutmix_or_mixup(drawn)
        cut = bool(mixture.box.any())
        cuts += cut
        assert (mixture.share == 1) == cut
        kept.append(mixture.labels(torch.tensor([0, 1]), 2, 64)[0, 0])
        assert 0 <= kept[-1] <= 1
    assert abs(cuts / 2000 - 0.5) < 0.05
    assert (
        0.5 < torch.stack(kept).mean() < 0.65
    )  # of boxes cut off at the border less is pasted than was drawn
