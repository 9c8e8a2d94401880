"""ONNX: the same logits, any batch, a classifier like the safetensors file, and refusals."""

import importlib.util

import numpy as np
import onnx
import onnxruntime
import pytest

from ktg.errors import KtgError, UserError, WeightsError
from ktg.exporting import deployable as tolerances
from ktg.exporting import onnx as module
from ktg.exporting.load_model import load_model
from ktg.exporting.model_file import read_model


def test_the_logits_are_those_of_torch(everything):
    assert everything.delivered.written.differences["onnx"] <= tolerances.TOLERANCE


def test_it_labels_images_as_the_safetensors_file_does(everything, trained, photos):
    files = sorted(path for path in photos.rglob("*") if path.is_file())
    plain, other = load_model(trained.file, "cpu"), load_model(everything.folder / "model.onnx")
    for size in (1, 5, 64):
        for one, two in zip(plain.predict(files, size), other.predict(files, size), strict=True):
            np.testing.assert_allclose(one.probabilities, two.probabilities, atol=1e-5)
    assert other.about == plain.about


def test_anyone_can_run_it_from_what_it_declares(everything):
    session = onnxruntime.InferenceSession(
        everything.folder / "model.onnx", providers=["CPUExecutionProvider"]
    )
    (place,) = session.get_inputs()
    assert (place.name, place.type, place.shape[1:]) == ("images", "tensor(uint8)", [16, 16, 3])
    (logits,) = session.run(["logits"], {"images": np.zeros((7, 16, 16, 3), np.uint8)})
    assert logits.shape == (7, 2)
    onnx.checker.check_model(onnx.load(everything.folder / "model.onnx"), full_check=True)


def test_a_difference_from_torch_fails_loudly_and_leaves_nothing(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(
        module, "run_session", lambda opened, pixels: np.ones((len(pixels), 2), np.float32)
    )
    with pytest.raises(KtgError, match=r"model\.onnx does not compute what torch does"):
        module.write_onnx(tmp_path / "model.onnx", *read_model(trained.file))
    assert not list(tmp_path.iterdir())


def test_absent_packages_are_named_with_how_to_install_them(monkeypatch, trained, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name.startswith("onnx") else find(name)
    )
    with pytest.raises(
        UserError, match=r"needs onnx, onnxscript, onnxruntime; .*pip install 'ktg-automl\[onnx\]'"
    ):
        module.write_onnx(tmp_path / "model.onnx", *read_model(trained.file))
    with pytest.raises(UserError, match="ONNX needs onnxruntime"):
        load_model(tmp_path / "model.onnx")


def test_what_is_no_model_of_ktg(everything, tmp_path):
    content = (everything.folder / "model.onnx").read_bytes()
    path = tmp_path / "x.onnx"
    for broken in (b"", b"hello", content[: len(content) // 2], content[1000:]):
        path.write_bytes(broken)
        with pytest.raises(WeightsError, match=r"x\.onnx: is not an ONNX file"):
            load_model(path)
    with pytest.raises(WeightsError, match="there is no such model file"):
        load_model(tmp_path / "absent.onnx")
    model = onnx.load_from_string(content)
    (entry,) = model.metadata_props
    entry.value = entry.value.replace('"side": 16', '"side": 17')
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match="does not take and return what its description says"):
        load_model(path)
    del model.metadata_props[:]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match="is not a model of ktg"):
        load_model(path)


@pytest.mark.slow
def test_an_ensemble_is_one_graph(ensemble, photos, tmp_path):
    assert (
        module.write_onnx(tmp_path / "model.onnx", *read_model(ensemble.file))
        <= tolerances.TOLERANCE
    )
    files = sorted(path for path in (photos / "val").rglob("*") if path.is_file())
    plain, other = load_model(ensemble.file, "cpu"), load_model(tmp_path / "model.onnx")
    for one, two in zip(plain.predict(files), other.predict(files), strict=True):
        np.testing.assert_allclose(one.probabilities, two.probabilities, atol=1e-5)
    assert other.about == plain.about
