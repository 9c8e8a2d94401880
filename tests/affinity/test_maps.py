"""S1 to S5 against the reference numbers, their identities, and what must not change them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ktg.affinity import measure, score
from ktg.affinity.sample import Sample

FIVE = ("s1", "s2", "s3", "s4", "s5")
SCALE_FREE = ("s3", "s1_rms", "s2_rms", "s4_rms", "s5_rms", "fisher")


def drawn(seed: int, *, images: int = 18, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Return maps (N, 4, 3, 2) of balanced classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(images) % classes
    maps = torch.randn(images, 4, 3, 2, generator=generator, dtype=torch.float64)
    return maps + labels[:, None, None, None], labels


@pytest.mark.parametrize("case", range(5))
@pytest.mark.parametrize("name", FIVE)
def test_reference_numbers(shared, case, name):
    with np.load(shared / "reference" / "affinity" / "scores.npz", allow_pickle=False) as file:
        features, labels, expected = (
            file[f"{case:02d}/{key}"] for key in ("features", "labels", name)
        )
    assert score(name, features, labels) == pytest.approx(float(expected), rel=1e-9)
    assert score(name, torch.from_numpy(features), labels.tolist()) == pytest.approx(
        float(expected), rel=1e-9
    )


@pytest.mark.slow
@given(seed=st.integers(0, 999), classes=st.sampled_from([1, 2, 3, 6]))
def test_total_variance_is_between_plus_within_on_balanced_classes(seed, classes):
    sample = Sample.of(*drawn(seed, classes=classes))
    within = sample.moments.s5() / classes
    assert sample.moments.s1() == pytest.approx(sample.moments.s2() + within)


@given(seed=st.integers(0, 999), images=st.integers(2, 20))
def test_mean_squared_distance_of_pairs_is_twice_the_sample_variance(seed, images):
    maps, labels = drawn(seed, images=images)
    squares = torch.pdist(maps.flatten(1)) ** 2
    assert squares.mean().item() == pytest.approx(
        2 * images / (images - 1) * score("s1", maps, labels)
    )


def test_s4_is_the_sum_of_distances_whatever_the_blocks(monkeypatch):
    maps, labels = drawn(0)
    expected = torch.pdist(maps.flatten(1)).sum().item()
    for images_per_block in (1, 5, 18):
        monkeypatch.setattr("ktg.affinity.maps._PAIR_BYTES", 8 * 24 * images_per_block)
        assert score("s4", maps, labels) == pytest.approx(expected, rel=1e-12)
        assert score("s4", maps + 1e6, labels) == pytest.approx(expected, rel=1e-8)


def test_s3_is_the_sum_of_absolute_correlations_whatever_the_blocks(monkeypatch):
    maps, labels = drawn(1)
    pairs = [
        np.abs(np.corrcoef(image.flatten(1).numpy()))[np.triu_indices(4, 1)].sum() for image in maps
    ]
    for some_bytes in (1, 2**20):
        monkeypatch.setattr("ktg.affinity.maps.BLOCK_BYTES", some_bytes)
        assert score("s3", maps, labels) == pytest.approx(sum(pairs))


def test_s3_counts_a_constant_channel_as_uncorrelated():
    maps, labels = drawn(2)
    spared = score("s3", maps[:, 1:], labels)
    maps[:, 0] = 0.1  # the mean of equal numbers is not always that number
    assert score("s3", maps.float(), labels) == pytest.approx(
        score("s3", maps[:, 1:].float(), labels)
    )
    assert score("s3", maps, labels) == pytest.approx(spared)


@pytest.mark.parametrize("name", (*FIVE, *SCALE_FREE))
@given(seed=st.integers(0, 99))
def test_the_order_of_images_channels_and_positions_does_not_matter(name, seed):
    maps, labels = drawn(seed)
    generator = torch.Generator().manual_seed(seed)
    images, channels, positions = (torch.randperm(n, generator=generator) for n in (18, 4, 6))
    shuffled = maps.flatten(2)[images][:, channels][:, :, positions].reshape(maps.shape)
    assert score(name, shuffled, labels[images]) == pytest.approx(score(name, maps, labels))


@pytest.mark.parametrize("name", ["s1", "s2", "s4", "s5", "fisher"])
@given(seed=st.integers(0, 99))
def test_a_rotation_of_the_features_does_not_matter(name, seed):
    maps, labels = drawn(seed)
    rotation = torch.linalg.qr(
        torch.randn(24, 24, generator=torch.Generator().manual_seed(seed)).double()
    ).Q
    rotated = (maps.flatten(1) @ rotation).reshape(maps.shape)
    assert score(name, rotated, labels) == pytest.approx(score(name, maps, labels))


@pytest.mark.parametrize("name", SCALE_FREE)
def test_scale_free_scores_ignore_the_scale(name):
    maps, labels = drawn(3)
    for factor in (1e-6, 37.0):
        assert score(name, factor * maps, labels) == pytest.approx(score(name, maps, labels))


@pytest.mark.parametrize(("name", "power"), [("s1", 2), ("s2", 2), ("s4", 1), ("s5", 2)])
def test_the_others_grow_with_it(name, power):
    maps, labels = drawn(3)
    assert score(name, 10 * maps, labels) == pytest.approx(10**power * score(name, maps, labels))


def test_an_unbalanced_class_counts_once_in_s2():
    features = np.array([[0.0], [0.0], [0.0], [1.0]])
    assert score("s2", features, ["many"] * 3 + ["one"]) == pytest.approx(0.25)
    assert score("s1", features, ["many"] * 3 + ["one"]) == pytest.approx(3 / 16)


def test_a_sample_gives_the_same_as_the_plain_function():
    sample = Sample.of(*drawn(4))
    for name in (*FIVE, *SCALE_FREE):
        assert measure(name, sample) == score(name, *drawn(4))
