"""Closeness to the mean features of the classes, in the model file and in its answers."""

import base64
import dataclasses

import numpy as np
import pytest
import torch
from pandas import DataFrame

from ktg.errors import SpecError, UserError, WeightsError
from ktg.exporting import pyfunc
from ktg.exporting.class_means import (
    MOST_NUMBERS,
    compute_class_means,
    compute_unit_features,
    has_means,
    measure_closeness,
    pack_means,
    unpack_means,
)
from ktg.exporting.load_model import load_model
from ktg.exporting.metadata import to_json
from ktg.exporting.model_file import read_model, write_model
from ktg.exporting.onnx import write_onnx
from ktg.exporting.retrain import describe_model
from ktg.models.network import Ensemble, find_head
from ktg.tracking.serving import COLUMN, UNKNOWN

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def described(trained):
    return describe_model(trained.graph, trained.training, "n0", None, trained.training)


@pytest.fixture
def file(trained, described, tmp_path):
    write_model(tmp_path / "model.safetensors", trained.training.target, described)
    return tmp_path / "model.safetensors"


def test_means_are_of_unit_length_and_of_their_class(trained):
    training = trained.training
    means = compute_class_means(training, training.target)
    classes = len(training.dataset.classes)
    assert means.shape == (classes, find_head(training.target).in_features)
    np.testing.assert_allclose(np.linalg.norm(means, axis=1), 1)
    features = compute_unit_features(training, training.target, training.images)
    labels = training.images.labels
    for label in range(classes):  # there are few images, so that all of them count
        mean = features[labels == label].mean(axis=0)
        np.testing.assert_allclose(means[label], mean / np.linalg.norm(mean), atol=1e-6)
    close = measure_closeness(features, means)
    assert (close <= 1 + 1e-9).all()
    assert measure_closeness(-means[:1], means)[0] <= measure_closeness(means[:1], means)[0]


def test_a_text_keeps_them(trained):
    means = compute_class_means(trained.training, trained.training.target)
    np.testing.assert_allclose(unpack_means(pack_means(means), len(means)), means, atol=1e-3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no base64!",
        pack_means(np.ones((1, 5))),
        pack_means(np.full((2, 2), np.nan)),
        base64.b64encode(bytes(3)).decode(),
        pack_means(np.ones((2, MOST_NUMBERS))),
    ],
)
def test_a_damaged_text_is_refused(text):
    with pytest.raises(SpecError, match=r"calibration\.class_means: "):
        unpack_means(text, 2)


def test_ensembles_and_very_many_classes_have_none(trained):
    network = trained.training.target
    assert has_means(network, 10)
    assert not has_means(network, MOST_NUMBERS)
    assert not has_means(Ensemble({"n0": network}), 2)


def test_a_model_declines_what_is_far_from_its_classes(trained, described, file, photos):
    (rejection,) = [one for one in described.calibration.rejections if one.by == "closeness"]
    files = sorted((photos / "val").rglob("*.*"))
    model = load_model(file, "cpu")
    limited = model.with_unknown(rejection.right[-1] / rejection.answered[-1], "closeness")
    assert limited.limit.threshold in rejection.thresholds
    answers = limited.predict(files)
    for one, plain in zip(answers, model.predict(files), strict=True):
        np.testing.assert_array_equal(one.probabilities, plain.probabilities)
    training = trained.training
    features = compute_unit_features(training, training.target, training.dataset.val)
    means = compute_class_means(training, training.target)
    close = measure_closeness(features, means)
    below = (close < limited.limit.threshold - 2e-3).sum()
    above = (close >= limited.limit.threshold + 2e-3).sum()
    assert above <= sum(each.known for each in answers) <= len(files) - below
    far = dataclasses.replace(limited.limit, threshold=1.01)
    assert not any(each.known for each in dataclasses.replace(limited, limit=far).predict(files))


def test_a_form_without_features_says_so(file, tmp_path):
    network, about = read_model(file)
    write_onnx(tmp_path / "model.onnx", network, about)
    model = load_model(tmp_path / "model.onnx")
    with pytest.raises(UserError, match=r"--unknown-by: this model gives no features.*probability"):
        model.with_unknown(0.1, "closeness")
    model.with_unknown(0.1, "energy")


def test_means_of_another_network_are_refused(trained, described, file):
    classes = len(described.classes)
    other = dataclasses.replace(
        described.calibration, class_means=pack_means(np.ones((classes, 3)))
    )
    about = dataclasses.replace(described, calibration=other)
    write_model(file, trained.training.target, about)
    with pytest.raises(WeightsError, match=r"calibration\.class_means: is of another network"):
        load_model(file, "cpu")


def test_the_file_stays_small(described, tmp_path):
    bare = dataclasses.replace(described.calibration, class_means=None)
    without = to_json(dataclasses.replace(described, calibration=bare), tmp_path)
    more = len(to_json(described, tmp_path)) - len(without)
    head = torch.zeros(len(described.classes), 64)
    assert more < 3 * head.numel() + 100


def test_a_server_says_what_is_unknown(file, photos, monkeypatch):
    image = base64.b64encode(next((photos / "val").rglob("*.*")).read_bytes()).decode()
    frame = DataFrame({COLUMN: [image, "?"]})
    monkeypatch.setenv(UNKNOWN, "0.01 closeness")
    known, broken = pyfunc._load_pyfunc(str(file)).predict(frame)
    assert known["unknown"] in (False, True)
    assert "error" in broken
    monkeypatch.setenv(UNKNOWN, "")
    assert "unknown" not in pyfunc._load_pyfunc(str(file)).predict(frame)[0]
