"""What a file says of images that were held out: scores, a temperature, and when to decline."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import softmax

from ktg.calibration import fit_temperature
from ktg.errors import UserError
from ktg.exporting.classifier import Classifier, PictureError
from ktg.exporting.held_out import MOST_CLASSES, calibrate, describe_classes
from ktg.exporting.load_model import load_model
from ktg.exporting.model_card import format_model_card
from ktg.exporting.model_file import read_model, write_model
from ktg.exporting.onnx import write_onnx
from ktg.exporting.retrain import describe_model, retrain, train_to_calibrate, write_weights
from ktg.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def calibrated(trained, tmp_path_factory):
    """Write the fixture's network with a calibration that the validation split gave."""
    file = tmp_path_factory.mktemp("calibrated") / "model.safetensors"
    write_weights(file, trained.graph, trained.training, {}, by=trained.training)
    network, about = read_model(file)
    assert about.calibration.images == len(trained.training.dataset.val)
    # Of eight images the temperature may be near 1: this one changes every probability.
    about = dataclasses.replace(
        about, calibration=dataclasses.replace(about.calibration, temperature=2.5)
    )
    write_model(file, network, about)
    return file


def test_the_temperature_is_that_of_the_validation_split_and_changes_no_label(trained):
    training = trained.training
    labels, logits = training.dataset.val.labels, training.logits(training.dataset.val).numpy()
    about = describe_model(trained.graph, training, "n0", None, training)
    assert about.temperature == pytest.approx(fit_temperature(logits, labels))
    assert about.calibration.by == "this training"
    assert sum(about.held_out.support) == len(labels)
    table = np.array(about.held_out.confusion)
    assert table.trace() == (logits.argmax(axis=1) == labels).sum()
    helper = describe_model(trained.graph, training, "n1", None, training)
    assert helper.temperature != about.temperature  # each node has its own


def test_predict_serve_and_onnx_divide_by_it(trained, calibrated, photos, tmp_path):
    plain, model = load_model(trained.file, "cpu"), load_model(calibrated, "cpu")
    assert plain.about.calibration is None
    files = sorted((photos / "val").rglob("*.*"))
    logits = np.log(np.stack([each.probabilities for each in plain.predict(files)]))
    expected = softmax(logits / 2.5, axis=1)
    network, about = read_model(calibrated)
    write_onnx(tmp_path / "model.onnx", network, about)
    for one in (model, load_model(tmp_path / "model.onnx")):
        answers = np.stack([each.probabilities for each in one.predict(files)])
        np.testing.assert_allclose(answers, expected, atol=2e-5)


def test_a_network_trained_on_all_images_is_calibrated_by_one_that_was_not(trained):
    final, _ = retrain(trained.graph, final=True, device="cpu")
    by = train_to_calibrate(trained.graph, final)
    assert by is not final
    about = describe_model(trained.graph, final, "n0", None, by)
    assert about.calibration.by == "a training without the validation split"
    assert about.held_out is None  # nothing was left out that it could be measured on
    again = Training(trained.graph, final.dataset, device="cpu")
    for _ in again:
        pass
    own = describe_model(trained.graph, again, "n0", None, train_to_calibrate(trained.graph, again))
    assert about.temperature == pytest.approx(own.temperature)
    assert describe_model(trained.graph, final, "n0", None).calibration is None


def test_the_card_tells_calibration_and_classes(calibrated, tmp_path):
    card = format_model_card(read_model(calibrated)[1], {}, tmp_path)
    assert "a temperature of 2.500" in card
    assert "| class | images | precision | recall | F1 |" in card
    assert "| `night` | 4 |" in card
    assert "| | `night` | `noon` |" in card


def test_many_classes_have_no_table_and_bars_stay_in_their_cells(calibrated, tmp_path):
    random = np.random.default_rng(0)
    logits = random.normal(size=(300, MOST_CLASSES + 1)).astype(np.float32)
    found = describe_classes("val", logits, random.integers(0, MOST_CLASSES, 300))
    assert found.confusion == ()
    assert (found.support[-1], found.recall[-1]) == (0, None)
    about = dataclasses.replace(read_model(calibrated)[1], classes=("a|b", "c"))
    assert "| `a\\|b` | 4 |" in format_model_card(about, {}, tmp_path)


def test_what_is_not_finite_or_nothing_is_not_calibrated():
    assert calibrate(np.array([[np.nan, 1.0]]), np.array([0]), same=True) is None
    assert calibrate(np.empty((0, 2)), np.empty(0, np.int64), same=True) is None


def known(precision, by="probability"):
    """Return a model that is right on the surer half of 100 images, and where it declines."""
    logits = np.zeros((100, 2), np.float32)
    logits[:, 0] = np.linspace(0.1, 3, 100)
    labels = (np.arange(100) < 50).astype(np.int64)  # the unsure half is wrong
    found = dataclasses.replace(calibrate(logits, labels, same=True), temperature=1.0)
    about = SimpleNamespace(calibration=found, classes=("a", "b"))
    return Classifier(about, lambda pixels: logits).with_unknown(precision, by)


@pytest.mark.parametrize("by", ["probability", "energy"])
def test_it_declines_where_it_would_be_wrong_too_often(by):
    model = known(0.8, by)
    assert (model.limit.images, model.limit.right) == (100, 50)
    assert 60 <= model.limit.answered <= 62.5
    sure = known(1.0, by)
    assert (sure.limit.answered, sure.limit.right) == (50, 50)
    every = known(0.5, by)
    assert every.limit.answered == 100


def test_a_share_that_cannot_be_had_is_one_sentence(calibrated, trained):
    plain = load_model(trained.file, "cpu")
    with pytest.raises(UserError, match=r"--unknown: this model file does not say .*ktg export"):
        plain.with_unknown(0.9)
    for wrong in (0, -1, 1.1, float("nan")):
        with pytest.raises(UserError, match="above 0 and at most 1"):
            plain.with_unknown(wrong)
    model = load_model(calibrated, "cpu")
    right = dataclasses.replace(
        model.about.calibration.rejections[0], thresholds=(0.5, 0.6), answered=(8, 4), right=(4, 3)
    )
    found = dataclasses.replace(model.about.calibration, rejections=(right,))
    model = dataclasses.replace(model, about=dataclasses.replace(model.about, calibration=found))
    with pytest.raises(UserError, match=r"reaches 0.9 on 8 held-out images; at most 0.75 can"):
        model.with_unknown(0.9)
    assert model.with_unknown(0.7).limit.threshold == 0.6


def test_declined_images_are_marked_and_broken_ones_stay_errors(calibrated, photos):
    model = load_model(calibrated, "cpu")
    files = sorted((photos / "val").rglob("*.*"))
    answers = model.predict(files)
    middle = float(np.median([each.probability for each in answers]))
    limit = SimpleNamespace(by="probability", threshold=middle)
    model = dataclasses.replace(model, limit=limit)
    for answer in model.predict(files):
        assert answer.known == (answer.probability >= middle - 1e-6)
    assert isinstance(next(iter(model.stream([b"no image"]))), PictureError)
    assert all(each.known for each in answers)


def test_the_description_is_json_that_comes_back(calibrated):
    about = read_model(calibrated)[1]
    assert json.loads(json.dumps(dataclasses.asdict(about.calibration)))["temperature"] == 2.5
    assert about.calibration.rejections[0].answered[0] == about.calibration.images
