"""A model in Python predicts what the training's evaluation does, in whatever form images come."""

from pathlib import Path

import numpy as np
import pytest
import torch
from command import ktg
from PIL import Image

from ktg.data import open_test
from ktg.data.decode import Geometry
from ktg.errors import DataError, WeightsError
from ktg.exporting.classifier import Prediction, softmax
from ktg.exporting.load_model import load_model
from ktg.exporting.pixels import PictureError, to_pixels
from ktg.graph import Data
from ktg.training.scoring import evaluate


@pytest.fixture(scope="module")
def model(trained):
    return load_model(trained.file, "cpu")


@pytest.fixture(scope="module")
def files(photos):
    """The files of the validation split, in the order in which the engine has them."""
    return [
        path for name in ("night", "noon") for path in sorted((photos / "val" / name).iterdir())
    ]


def test_the_files_of_the_validation_split_get_the_labels_and_the_score_of_the_engine(
    trained, model, files
):
    training, val = trained.training, trained.training.dataset.val
    answers = model.predict(files, batch_size=3)
    with torch.inference_mode():
        pixels = torch.from_numpy(val.read(range(len(val)))).permute(0, 3, 1, 2).float() / 255
        expected = training.target.eval()(pixels).softmax(dim=1).numpy()
    np.testing.assert_allclose(
        np.stack([answer.probabilities for answer in answers]), expected, atol=1e-6
    )
    right = [answer.label == path.parent.name for answer, path in zip(answers, files, strict=True)]
    score = evaluate({"target": training.target}, training.split(val), torch.float32)["target"]
    assert np.mean(right) == score.accuracy == model.about.accuracy.mean


def test_paths_bytes_arrays_and_pillow_images_are_the_same(model, files):
    png = next(path for path in files if path.suffix == ".png")
    image = Image.open(png)
    forms = [png, str(png), png.read_bytes(), image, np.asarray(image)]
    first, *others = [answer.probabilities for answer in model.predict(forms)]
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_the_batch_size_changes_nothing(model, files):
    for answers in zip(*(model.predict(files, size) for size in (1, 3, 64)), strict=True):
        assert len({answer.label for answer in answers}) == 1
        np.testing.assert_allclose(answers[0].probabilities, answers[1].probabilities, atol=1e-6)


def test_a_stream_goes_on_after_what_cannot_be_read_and_predict_names_it(model, files, tmp_path):
    (tmp_path / "no.jpg").write_text("no")
    mixed = [tmp_path / "no.jpg", files[0], tmp_path / "absent.png", files[1]]
    kinds = [type(answer) for answer in model.stream(mixed, 2)]
    assert kinds == [PictureError, Prediction, PictureError, Prediction]
    with pytest.raises(DataError, match=r"no\.jpg: is not an image of a known format"):
        model.predict(mixed)
    with pytest.raises(DataError, match="image 1: is no image"):
        model.predict([files[0], 3])
    with pytest.raises(DataError, match=r"write \[image\] for one"):
        model.predict(str(files[0]))


def test_nothing_and_only_faults(model):
    assert model.predict([]) == []
    assert [str(answer) for answer in model.stream([b""])] == ["is not an image of a known format"]


def test_a_stream_reads_no_further_than_it_is_asked(model, files):
    asked = []

    def endless():
        while True:
            asked.append(1)
            yield files[0]

    stream = model.stream(endless(), 4)
    next(stream)
    assert len(asked) == 4


def test_what_a_prediction_says():
    answer = Prediction(("a", "b", "c"), np.array([0.2, 0.5, 0.3], np.float32))
    assert (answer.label, answer.probability) == ("b", 0.5)
    assert [name for name, _ in answer.top(2)] == ["b", "c"]
    assert len(answer.top(9)) == 3


def test_softmax_does_not_overflow():
    logits = np.array([[1000.0, 0.0], [-1000.0, -1000.0]], np.float32)
    np.testing.assert_array_equal(softmax(logits), [[1, 0], [0.5, 0.5]])


@pytest.mark.parametrize("name", ["model.pth", "model", "best.yaml"])
def test_other_files_are_no_models(name, tmp_path):
    with pytest.raises(
        WeightsError, match=r"is not a model file; allowed: \.safetensors and \.onnx"
    ):
        load_model(tmp_path / name)


def test_real_photographs_in_odd_shapes(model, shared):
    files = sorted((shared / "data/cats_dogs/cat").glob("*.jpg"))[:6]
    assert len(model.predict([Path(file) for file in files])) == 6


@pytest.mark.slow
def test_a_model_sees_12_bits_in_files_of_16_as_its_training_did(tmp_path):
    for name, mean in (("bright", 1500), ("dim", 500)):
        for number in range(12):
            values = np.random.default_rng((number, mean)).normal(mean, 200, (16, 16))
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(values, 0, 4095).astype(np.uint16)).save(
                tmp_path / f"photos/{name}/{number}.png"
            )
    (tmp_path / "graph.yaml").write_text(
        "data: {path: photos, batch_size: 8, augment: none}\ntrain: {epochs: 4}\n"
        "nodes: {n0: {model: resnet8}}\nedges: {label -> n0: {}}\n"
    )
    done = ktg("train", "graph.yaml", "--weights", "model.safetensors", folder=tmp_path)
    assert done.code == 0, done.err
    model = load_model(tmp_path / "model.safetensors", "cpu")
    assert model.about.input.bits == 12
    test = open_test(Data(path="photos"), base=tmp_path)
    files = [path for name in ("bright", "dim") for path in (tmp_path / "photos" / name).iterdir()]
    seen = {to_pixels(path, Geometry(16, 1, 12)).tobytes() for path in files}
    assert {each.tobytes() for each in test.read(range(len(test)))} <= seen
    answers = model.predict(files)
    right = [answer.label == path.parent.name for answer, path in zip(answers, files, strict=True)]
    assert sum(right) >= 22


@pytest.mark.slow
def test_a_model_of_stretched_images_sees_the_border_that_its_training_saw(tmp_path):
    for name, left in (("bright", 250), ("dark", 5)):
        for number in range(12):
            pixels = np.random.default_rng((number, left)).integers(100, 150, (16, 40), np.uint8)
            pixels[:, :8] = left  # outside the centre square
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / f"photos/{name}/{number}.png")
    (tmp_path / "graph.yaml").write_text(
        "data: {path: photos, batch_size: 8, augment: none, resize: stretch}\n"
        "train: {epochs: 6}\nnodes: {n0: {model: resnet8}}\nedges: {label -> n0: {}}\n"
    )
    done = ktg("train", "graph.yaml", "--weights", "model.safetensors", folder=tmp_path)
    assert done.code == 0, done.err
    model = load_model(tmp_path / "model.safetensors", "cpu")
    assert model.about.input.geometry == Geometry(16, 1, stretch=True)
    test = open_test(Data(path="photos", resize="stretch"), base=tmp_path)
    files = [path for name in ("bright", "dark") for path in (tmp_path / "photos" / name).iterdir()]
    seen = {to_pixels(path, model.about.input.geometry).tobytes() for path in files}
    assert {each.tobytes() for each in test.read(range(len(test)))} <= seen
    answers = model.predict(files)
    right = [answer.label == path.parent.name for answer, path in zip(answers, files, strict=True)]
    assert sum(right) >= 22
