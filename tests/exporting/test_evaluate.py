"""Metrics of a model on labelled images: scikit-learn's, of the answers that `predict` gives."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics

from ktg.errors import KtgError
from ktg.exporting.evaluate import evaluate
from ktg.exporting.labelled_images import find_labelled
from ktg.exporting.load_model import load_model

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def model(trained):
    return load_model(trained.file, "cpu")


def ignore(done, total):
    pass


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_figure_is_scikit_learns_of_what_predict_answers(model, photos, split):
    images = find_labelled(photos, model.classes, split)
    found = evaluate(model, images, 3, ignore)
    answers = model.predict([images.name(row) for row in range(len(images))])
    y = [images.name(row).split("/")[-2] for row in range(len(images))]
    guesses = [answer.label for answer in answers]
    p = np.stack([answer.probabilities for answer in answers])
    assert found.accuracy == np.mean([a == b for a, b in zip(y, guesses, strict=True)])
    expected = {
        "balanced_accuracy": metrics.balanced_accuracy_score(y, guesses),
        "macro_f1": metrics.f1_score(y, guesses, average="macro"),
        "loss": metrics.log_loss(y, p, labels=model.classes),
        "auroc": metrics.roc_auc_score(np.equal(y, "noon"), p[:, 1]),
    }
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-6), name
    report = metrics.classification_report(y, guesses, output_dict=True, zero_division=0)
    for name, scores in found.classes.items():
        assert vars(scores) == pytest.approx(
            {
                "precision": report[name]["precision"],
                "recall": report[name]["recall"],
                "f1": report[name]["f1-score"],
                "support": report[name]["support"],
            }
        )
    np.testing.assert_array_equal(
        found.confusion, metrics.confusion_matrix(y, guesses, labels=model.classes)
    )
    assert [answer.predicted for answer in found.answers] == guesses
    wrong = [answer for answer in found.answers if answer.label != answer.predicted]
    assert {answer.file for answer in found.wrong} == {answer.file for answer in wrong}
    shares = [answer.probability for answer in found.wrong]
    assert shares == sorted(shares, reverse=True)


def test_the_validation_split_has_the_accuracy_in_the_models_file(model, photos):
    images = find_labelled(photos, model.classes, "val")
    assert evaluate(model, images, 64, ignore).accuracy == model.about.accuracy.mean


def test_some_of_the_classes(model, photos):
    night = photos / "val/night"
    images = find_labelled(photos / "val", model.classes)
    rows = [row for row in range(len(images)) if images.name(row).startswith(str(night))]
    some = replace(images, found=images.found.take(np.array(rows)), labels=images.labels[rows])
    found = evaluate(model, some, 64, ignore)
    assert found.auroc is None
    assert vars(found.classes["noon"]) == {
        "precision": None,
        "recall": None,
        "f1": None,
        "support": 0,
    }
    assert found.balanced_accuracy == found.accuracy == found.classes["night"].recall
    assert found.to_json()["images"] == 4


def test_images_that_cannot_be_read_are_named_and_left_out(model, photos, tmp_path):
    for name in ("night", "noon"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "broken.jpg").write_text("no image")
    with pytest.raises(KtgError, match=r"none of 2 images could be read; the first, .*night"):
        evaluate(model, find_labelled(tmp_path, model.classes), 64, ignore)
    sound = next((photos / "val/noon").iterdir())
    (tmp_path / "noon" / sound.name).write_bytes(sound.read_bytes())
    seen = []
    found = evaluate(
        model, find_labelled(tmp_path, model.classes), 1, lambda *step: seen.append(step)
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert [answer.file for answer in found.answers] == [str(tmp_path / "noon" / sound.name)]
    assert found.unreadable == {
        str(tmp_path / name / "broken.jpg"): "is not an image of a known format"
        for name in ("night", "noon")
    }


def test_an_npz_has_the_figures_of_the_same_images_in_files(model, photos, tmp_path):
    images = find_labelled(photos, model.classes, "test")
    pixels = model.about.input
    from ktg.data.decode import Geometry
    from ktg.exporting.pixels import to_pixels

    geometry = Geometry(pixels.side, pixels.channels)
    x = np.stack([to_pixels(images.name(row), geometry) for row in range(len(images))])
    y = np.array([model.classes[label] for label in images.labels])
    np.savez(tmp_path / "test.npz", x=x, y=y)
    by_files = evaluate(model, images, 64, ignore)
    by_rows = evaluate(model, find_labelled(tmp_path / "test.npz", model.classes), 64, ignore)
    assert by_rows.loss == by_files.loss
    assert by_rows.confusion == by_files.confusion
