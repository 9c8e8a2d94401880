"""Linear probes: against scikit-learn's own regression, and as the start of a head."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from ktg.data import open_data
from ktg.errors import SpecError
from ktg.graph import Graph, parse
from ktg.models.network import find_head
from ktg.training import Training, probe
from ktg.training.probe import STRENGTHS, compute_probe_key, fit_probe

pytestmark = pytest.mark.usefixtures("one_thread")


def digits(classes: int = 10, each: int = 20) -> tuple[torch.Tensor, np.ndarray]:
    """Return features (N, 64) and labels of digits, `each` of every class."""
    images, labels = load_digits(return_X_y=True)
    rows = np.concatenate([np.flatnonzero(labels == label)[:each] for label in range(classes)])
    return torch.from_numpy(images[rows]).float(), labels[rows]


def make(tiny: Path, source: Path | None = None, *, data: dict | None = None, **node) -> Graph:
    """Return a graph of one node; `source` is a file of weights."""
    node = {"model": "resnet8", "head": "probe", **node}
    return parse(
        {
            "data": {"path": str(tiny), "batch_size": 32, **(data or {})},
            "train": {"epochs": 0},
            "nodes": {"n0": node | ({"source": str(source)} if source else {})},
            "edges": {"label -> n0": {}},
        }
    )


@pytest.mark.parametrize(("classes", "each"), [(10, 20), (10, 4), (2, 30)])
def test_it_is_the_regression_of_one_of_the_strengths(classes, each):
    features, labels = digits(classes, each)
    weight, bias = fit_probe(features, labels, classes)
    ours = (features @ weight.T + bias).softmax(1).numpy()
    # With features of one scale, and without the rotation that makes few images fast.
    scaled = (features / (features - features.mean(0)).square().mean().sqrt()).double().numpy()
    theirs = [
        LogisticRegression(C=strength, max_iter=5000, tol=1e-8).fit(scaled, labels)
        for strength in STRENGTHS
    ]
    assert min(np.abs(ours - each.predict_proba(scaled)).max() for each in theirs) < 0.01


def test_neither_place_nor_scale_of_the_features_matters():
    features, labels = digits()
    weight, bias = fit_probe(features, labels, 10)
    moved, shift = fit_probe(features * 100 + 7, labels, 10)
    expected = (features @ weight.T + bias).softmax(1)
    assert torch.allclose(((features * 100 + 7) @ moved.T + shift).softmax(1), expected, atol=0.01)


def test_two_classes_share_the_difference_evenly():
    weight, bias = fit_probe(*digits(2), 2)
    assert torch.equal(weight[0], -weight[1])
    assert abs(float(bias.sum())) < 1e-5


def test_a_class_without_images_is_the_least_likely():
    features, labels = digits(3)
    weight, bias = fit_probe(features, np.where(labels == 2, 3, labels), 4)
    assert not weight[2].any()
    assert set((features @ weight.T + bias).argmax(1).tolist()) == {0, 1, 3}


def test_a_class_with_one_image_leaves_nothing_to_hold_out():
    features, labels = digits(3)
    rows = torch.arange(41)
    weight, bias = fit_probe(features[rows], labels[rows], 3)
    assert float(((features[rows] @ weight.T + bias).argmax(1).numpy() == labels[rows]).mean()) == 1


def test_balanced_weighs_rare_classes_more():
    torch.manual_seed(0)
    labels = np.array([0] * 180 + [1] * 20)
    features = torch.randn(200, 3) + torch.from_numpy(labels)[:, None]
    found = {}
    for balanced in (False, True):
        weight, bias = fit_probe(features, labels, 2, balanced=balanced)
        guesses = (features @ weight.T + bias).argmax(1).numpy()
        found[balanced] = [(guesses == labels)[labels == label].mean() for label in (0, 1)]
    assert found[True][1] > found[False][1]
    assert found[True][0] < found[False][0]


def test_the_head_of_an_untrained_network_is_its_probe(tiny):
    graph = make(tiny)
    data = open_data(graph.data)
    training = Training(graph, data, device="cpu")
    (epoch,) = training
    assert (epoch.number, training.epoch, list(training)) == (0, 0, [])
    assert epoch.edges == {}
    assert "nodes.n0.train_accuracy" not in epoch.metrics()
    features = training.features(training.images)
    weight, bias = fit_probe(features, training.images.labels, 4)
    head = find_head(training.target)
    assert torch.equal(head.weight, weight)
    assert torch.equal(head.bias, bias)
    assert epoch.val_accuracy > 0.5  # random features, with a colour as the class
    (new,) = Training(make(tiny, head="new"), data, device="cpu")
    assert new.val_accuracy < epoch.val_accuracy


def test_a_head_that_is_a_convolution_of_one_place_is_its_probe(tiny):
    graph = make(tiny, model="dla46_c", input_size=32)
    training = Training(graph, open_data(graph.data), device="cpu")
    next(training)
    head = find_head(training.target)
    weight, bias = fit_probe(
        training.features(training.images).flatten(1), training.images.labels, 4
    )
    assert head.weight.shape == (4, 256, 1, 1)
    assert torch.equal(head.weight.flatten(1), weight)
    assert torch.equal(head.bias, bias)


# The first has a ReLU behind its head, the other two heads.
@pytest.mark.parametrize("model", ["torchvision/squeezenet1_1", "deit_tiny_distilled_patch16_224"])
def test_without_epochs_a_head_of_which_no_probe_can_be_fitted_is_an_error(tiny, model):
    graph = make(tiny, model=model, input_size=32)
    training = Training(graph, open_data(graph.data), device="cpu")
    before = copy.deepcopy(training.target.state_dict())
    with pytest.raises(
        SpecError, match=r"^nodes.n0.head: no probe can be fitted for .* epochs, or"
    ):
        next(training)
    assert all(torch.equal(before[name], x) for name, x in training.target.state_dict().items())
    trained = dataclasses.replace(graph, train=dataclasses.replace(graph.train, epochs=1))
    next(Training(trained, open_data(graph.data), device="cpu"))


def test_it_is_fitted_once_for_all_trainings_alike(tiny, tmp_path, monkeypatch):
    fitted = []
    real = probe.fit_probe
    monkeypatch.setattr(probe, "fit_probe", lambda *a, **k: fitted.append(1) or real(*a, **k))
    for lr in (0.01, 0.02):
        graph = make(tiny, lr=lr)
        list(Training(graph, open_data(graph.data), device="cpu", cache=tmp_path))
    assert len(fitted) == 1


def test_the_key_depends_on_what_decides_the_features(tiny):
    def key(final: bool = False, precision: torch.dtype = torch.float32, **change) -> str:
        graph = make(tiny, **change)
        training = Training(graph, open_data(graph.data), device="cpu")
        return compute_probe_key(
            training.graph, "n0", training.target, training.dataset, precision, final
        )

    assert key() == key(lr=0.5, frozen_norm=True, backbone_lr_scale=0.1)
    others = [
        key(final=True),
        key(precision=torch.bfloat16),
        key(model="resnet14"),
        key(input_size=16),
        key(data={"val_fraction": 0.5}),
        key(data={"split_seed": 1}),
        key(data={"balance": "loss"}),
    ]
    assert len({key(), *others}) == len(others) + 1


def test_a_training_begins_with_it_and_a_resumed_one_does_not_go_back(tiny):
    graph = parse(
        {
            "data": {"path": str(tiny), "batch_size": 32},
            "train": {"epochs": 2, "lr": 0.01, "ema_decay": 0.5},
            "nodes": {"n0": {"model": "resnet8", "head": "probe", "frozen_epochs": 1}},
            "edges": {"label -> n0": {}},
        }
    )
    data = open_data(graph.data)
    whole = Training(graph, data, device="cpu")
    first = next(whole)
    assert first.val_accuracy > 0.5
    resumed = Training(graph, data, device="cpu")
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    list(whole)
    list(resumed)
    for name, value in whole.target.state_dict().items():
        assert torch.equal(value, resumed.target.state_dict()[name]), name


def test_a_judge_leaves_the_labels_that_it_predicts_itself(tiny):
    dataset = open_data(make(tiny).data)
    judge = Training(make(tiny), dataset)
    next(judge)
    split, labels = judge.split(dataset.train), dataset.train.labels
    rows = probe.trust(judge.target, split, "judge", judge.precision)
    said = judge.predict(dataset.train).argmax(1).numpy()
    assert np.array_equal(rows, np.flatnonzero(said == labels))
    # A judge that never names one of the classes would leave the head without it.
    with torch.no_grad():
        find_head(judge.target).bias[0] = -1e6
    every = probe.trust(judge.target, split, "poor judge", judge.precision)
    assert np.array_equal(every, np.arange(len(labels)))


def test_a_head_whose_labels_are_judged_begins_with_the_trusted_ones(tiny):
    plain = {
        "data": {"path": str(tiny), "batch_size": 32},
        "train": {"epochs": 0},
        "nodes": {
            "n0": {"model": "resnet8", "head": "probe"},
            "n1": {"model": "resnet8", "head": "probe", "epochs": 1, "lr": 0.02},
        },
        "edges": {"label -> n0": {"gate": "small_loss", "noise": 0.2, "peer": "n1"}},
    }
    dataset = open_data(parse(plain).data)
    labels = dataset.train.labels.copy()
    labels[::5] = (labels[::5] + 1) % 4
    images = dataset.train.take(np.arange(len(labels)))
    images.labels = labels
    dataset = dataclasses.replace(dataset, train=images, fingerprint="a fifth is wrong")
    training = Training(parse(plain), dataset)
    next(training)
    (judge,) = training.teachers.values()
    rows = probe.trust(judge, training.split(dataset.train), "mine", training.precision)
    assert 0 < len(rows) < len(dataset.train)
    weight, bias = fit_probe(
        training.features(dataset.train.take(rows)), dataset.train.labels[rows], 4
    )
    head = find_head(training.target)
    assert torch.allclose(head.weight, weight, atol=1e-4)
    assert torch.allclose(head.bias, bias, atol=1e-4)
    plain["edges"] = {"label -> n0": {}}
    alone = Training(parse(plain), dataset)
    next(alone)
    assert not torch.allclose(find_head(alone.target).weight, weight, atol=1e-4)
