"""ONNX: the same logits, any batch, a classifier like the safetensors file, and refusals."""

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from ktg.errors import KtgError, UserError, WeightsError
from ktg.exporting import deployable as tolerances
from ktg.exporting import onnx as module
from ktg.exporting.load_model import load_model
from ktg.exporting.metadata import to_json
from ktg.exporting.model_file import read_model
from ktg.models.state_dicts import METADATA_KEY


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


@pytest.mark.slow
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


@pytest.fixture
def made(trained, photos, tmp_path):
    """Write an ONNX file of one node with the description of a real model, and return it."""
    description = to_json(read_model(trained.file)[1], tmp_path)

    def write(
        node: onnx.NodeProto,
        tensors: list[onnx.TensorProto],
        given: tuple[str, int, list] = ("images", onnx.TensorProto.UINT8, ["b", 16, 16, 3]),
        answer: tuple[str, int, list] = ("logits", onnx.TensorProto.FLOAT, ["b", 2]),
    ) -> Path:
        places = [onnx.helper.make_tensor_value_info(*each) for each in (given, answer)]
        graph = onnx.helper.make_graph([node], "g", places[:1], places[1:], initializer=tensors)
        opset = [onnx.helper.make_opsetid("", 18)]
        model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
        model.metadata_props.add(key=METADATA_KEY, value=description)
        (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
        return tmp_path / "x.onnx"

    return write


def constant(*shape: int) -> tuple[onnx.NodeProto, list[onnx.TensorProto]]:
    """Return a node whose answer has this shape, whatever it is given, and its tensor."""
    node = onnx.helper.make_node("ConstantOfShape", ["shape"], ["logits"])
    return node, [onnx.helper.make_tensor("shape", onnx.TensorProto.INT64, [len(shape)], shape)]


@pytest.mark.parametrize(
    "places",
    [
        {"given": ("x", onnx.TensorProto.UINT8, ["b", 16, 16, 3])},
        {"given": ("images", onnx.TensorProto.FLOAT, ["b", 16, 16, 3])},
        {"given": ("images", onnx.TensorProto.UINT8, ["b", 10**6, 10**6, 3])},
        {"given": ("images", onnx.TensorProto.UINT8, [])},
        {"answer": ("logits", onnx.TensorProto.INT64, ["b", 2])},
        {"answer": ("other", onnx.TensorProto.FLOAT, ["b", 2])},
    ],
)
def test_a_graph_with_other_inputs_and_outputs_is_refused(made, places):
    with pytest.raises(WeightsError, match=r"x\.onnx: (its graph does not take|is not an ONNX)"):
        load_model(made(*constant(1, 2), **places))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((10**12, 2), "onnxruntime cannot run it: "),
        ((3, 2), r"its graph returns \(3, 2\) for 1 images of 2 classes; it is damaged"),
    ],
)
def test_a_graph_that_does_not_do_what_it_declares(made, photos, shape, said):
    model = load_model(made(*constant(*shape)))
    with pytest.raises(WeightsError, match=rf"x\.onnx: {said}") as refused:
        model.predict([next((photos / "val/noon").iterdir())])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("dims", "where"),
    [
        ([10**12], None),
        ([2**62, 4], None),
        ([-1], None),
        ([10**12], {"location": "beside.bin", "offset": "0", "length": str(4 * 10**12)}),
        ([25], {"location": "beside.bin", "offset": "0", "length": "100"}),
        ([25], {"location": "/etc/passwd", "offset": "0", "length": "100"}),
    ],
)
def test_weights_of_four_terabytes_and_weights_elsewhere_are_refused(
    made, tmp_path, monkeypatch, dims, where
):
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "beside.bin").open("wb") as file:
        file.truncate(4 * 10**12)
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=dims)
    if where:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in where.items():
            tensor.external_data.add(key=key, value=value)
    node = onnx.helper.make_node("ReduceSum", ["w"], ["logits"], keepdims=1)
    with pytest.raises(
        WeightsError, match=r"x\.onnx: is not an ONNX file that onnxruntime can run"
    ):
        load_model(made(node, [tensor]))


def test_a_file_of_four_terabytes_is_not_read(tmp_path):
    with (tmp_path / "x.onnx").open("wb") as file:
        file.truncate(4 * 10**12)
    with pytest.raises(WeightsError, match="at most 2 GiB"):
        load_model(tmp_path / "x.onnx")


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
