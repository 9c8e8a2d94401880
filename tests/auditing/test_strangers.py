"""A few images from elsewhere are strange, even where they are like each other."""

import numpy as np
import torch

from ktg.auditing.strangers import find_strangers, measure_strangeness


def test_a_group_of_strangers_is_found():
    random = np.random.default_rng(0)
    features = 0.5 * random.normal(size=(300, 16)) + 3 * np.eye(16)[np.arange(300) % 4]
    features[290:] = random.normal(size=(10, 16)) * 0.3 - 3 * np.eye(16)[7]
    strangeness = measure_strangeness(features)
    assert find_strangers(strangeness)[290:].all()
    assert find_strangers(strangeness)[:290].mean() < 0.02
    assert set(np.argsort(-strangeness)[:10]) == set(range(290, 300))


def test_strangeness_is_the_distance_to_the_tenth_neighbour():
    features = np.random.default_rng(0).normal(size=(40, 5))
    unit = torch.nn.functional.normalize(torch.from_numpy(features))
    distance = 1 - (unit @ unit.T).numpy()
    expected = np.sort(distance, axis=1)[:, 10]  # the first is the image itself
    np.testing.assert_allclose(measure_strangeness(features), expected, atol=1e-6)


def test_strangeness_of_two_images_is_their_distance():
    found = measure_strangeness(np.array([[1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(found, [1.0, 1.0])
