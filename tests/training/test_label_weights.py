"""How much labels count: scaled weights against definitions, and trainings against copies."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_sample_weight

from ktg.data.open import open_data
from ktg.graph import parse
from ktg.training import Training
from ktg.training.label_weights import count_class_weights, scale_label_weights
from ktg.training.probe import fit_probe


def test_class_weights_are_those_of_scikit_learn_and_1_in_the_mean():
    labels = torch.tensor([0] * 7 + [1] * 2 + [4])
    weights = count_class_weights(labels, 6)
    expected = torch.from_numpy(compute_sample_weight("balanced", labels.numpy()))
    assert torch.allclose(weights[labels].double(), expected)
    assert float(weights[labels].mean()) == pytest.approx(1)
    assert weights[[2, 3, 5]].tolist() == [0, 0, 0]
    assert torch.equal(count_class_weights(torch.arange(4), 4), torch.ones(4))


def test_a_label_of_weight_2_counts_as_two_in_the_weights_of_classes():
    labels, weights = torch.tensor([0, 0, 1, 2]), torch.tensor([2.0, 1.0, 1.0, 1.0])
    copied = count_class_weights(torch.tensor([0, 0, 0, 1, 2]), 4)
    scaled = weights / weights.mean()
    found = count_class_weights(labels, 4, scaled)
    # Both are 1 in the mean over what they weigh, with copies and with weights.
    torch.testing.assert_close(scaled * found[labels] * 5 / 4, weights * copied[labels])
    assert float((scaled * found[labels]).mean()) == pytest.approx(1)


LABELS = np.array([0] * 6 + [1] * 4 + [2] * 2)
NAMES = ("blue", "green", "red")


def write_set(folder, rows, weights=None):
    """Write an .npz of some of twelve noisy pictures, in three classes of unequal size.

    With weights there is a table, too. All pictures have the same pixels, in other places, so that
    the statistics by which they are normalised do not depend on how many of each there are.
    """
    random = np.random.default_rng(0)
    bag = random.integers(0, 256, (256, 3), dtype=np.uint8)
    pixels = np.stack([random.permutation(bag).reshape(16, 16, 3) for _ in range(12)])
    arrays = {"x_train": pixels[rows], "y_train": LABELS[rows]}
    for split in ("val", "test"):
        arrays |= {f"x_{split}": pixels[[0, 6, 10]], f"y_{split}": LABELS[[0, 6, 10]]}
    np.savez(folder / "set.npz", **arrays, classes=NAMES)
    if weights is not None:
        lines = [f"{row},{NAMES[LABELS[row]]},{weights[row]}\n" for row in rows]
        (folder / "labels.csv").write_text("file,label,weight\n" + "".join(lines))
    return {"path": str(folder / "set.npz")} | ({"labels": "labels.csv"} if weights else {})


def train(data, images, *, epochs=1, head="new", **more):
    """Return the target after steps of its head, so that no statistics of batches play a part."""
    node = {"model": "resnet8", "frozen_epochs": epochs, "head": head}
    graph = parse(
        {
            "data": {**data, "augment": "none", "batch_size": images, **more},
            "train": {"epochs": epochs, "lr": 0.1},
            "nodes": {"n0": node},
            "edges": {"label -> n0": {}},
        }
    )
    training = Training(graph, open_data(graph.data), device="cpu")
    for _ in training:
        pass
    return training.target.state_dict()


def is_equal(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def is_close(one, other):
    return all(
        torch.allclose(value.float(), other[name].float(), atol=1e-5) for name, value in one.items()
    )


@pytest.mark.parametrize("balance", ["none", "loss"])
def test_one_step_with_integer_weights_is_one_with_copies(tmp_path, balance):
    weights = [1, 3, 0, 2, 1, 1, 2, 0, 1, 1, 1, 4]
    found = train(write_set(tmp_path, range(12), weights), 12, balance=balance)
    copies = np.repeat(np.arange(12), weights)
    expected = train(write_set(tmp_path, copies), len(copies), balance=balance)
    plain = train(write_set(tmp_path, range(12)), 12, balance=balance)
    assert is_close(found, expected)
    assert not is_close(found, plain)


@pytest.mark.parametrize("same", [1, 0.25])
def test_equal_weights_are_none_bit_for_bit(tmp_path, same):
    data = write_set(tmp_path, range(12), [same] * 12)
    found = train(data, 4, epochs=2)
    assert is_equal(found, train(write_set(tmp_path, range(12)), 4, epochs=2))


def parse_data(data):
    graph = {"data": data, "nodes": {"n0": {"model": "resnet8"}}, "edges": {"label -> n0": {}}}
    return parse(graph).data


def test_the_probe_of_labels_of_weight_0_is_that_without_them(tmp_path):
    weights = [1, 1, 0, 1, 0, 1, 1, 1, 0, 1, 1, 1]
    data = write_set(tmp_path, range(12), weights)
    found = train(data, 4, epochs=0, head="probe")
    rows = np.flatnonzero(weights)
    assert is_close(found, train(write_set(tmp_path, rows), 4, epochs=0, head="probe"))
    assert not is_close(found, train(write_set(tmp_path, range(12)), 4, epochs=0, head="probe"))


@pytest.mark.parametrize("balanced", [False, True])
def test_the_probe_of_weighed_labels_is_as_often_right_as_it_says(balanced):
    """Where the free biases are optimal, the weighed residuals of each class sum to 0."""
    random = np.random.default_rng(0)
    features, labels = torch.from_numpy(random.normal(size=(90, 5))), random.integers(0, 3, 90)
    weights = random.integers(0, 4, 90).astype(float)
    weight, bias = fit_probe(features, labels, 3, balanced=balanced, weights=weights)
    said = torch.softmax(features.float() @ weight.T + bias, dim=1).numpy()
    if balanced:
        weights = weights / np.bincount(labels, weights)[labels]
    residuals = (weights[:, None] * (said - np.eye(3)[labels])).sum(axis=0) / weights.sum()
    assert np.abs(residuals).max() < 1e-4
    twice = fit_probe(features, labels, 3, balanced=balanced, weights=2 * weights)[0]
    torch.testing.assert_close(twice, weight, atol=1e-3, rtol=1e-3)


def test_weights_are_1_in_the_mean_of_all_or_of_each_class(tmp_path):
    weights = [1, 3, 0, 2, 0, 1, 2, 0, 1, 1, 1, 0]
    images = open_data(parse_data(write_set(tmp_path, range(12), weights))).train
    assert images.weights.tolist() == weights
    scaled = scale_label_weights(images)
    assert scaled.tolist() == weights  # whose mean is 1
    by_class = scale_label_weights(images, by_class=True)
    means = [float(by_class[label == LABELS].mean()) for label in range(3)]
    assert means == pytest.approx([1, 1, 1])
