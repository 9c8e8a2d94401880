"""8-bit integers: a smaller file of the same form, whose cost in accuracy is measured."""

import numpy as np
import onnx

from ktg.exporting.load_model import load_model


def test_the_weights_are_8_bit_integers_and_the_image_is_resized_in_full_precision(everything):
    model = onnx.load(everything.folder / "small.onnx")
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Conv") == 7  # of a ResNet8; its shortcuts have none
    integers = [
        tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.INT8
    ]
    assert sum(len(tensor.dims) == 4 for tensor in integers) == 7
    products = [kinds.index("MatMul"), len(kinds) - kinds[::-1].index("MatMul") - 1]
    assert max(products) < kinds.index("Conv")
    assert "QuantizeLinear" not in kinds[: products[0]]


def test_it_is_smaller_and_what_it_says_is_close(everything, trained, photos):
    files = sorted(path for path in (photos / "val").rglob("*") if path.is_file())
    plain, small = load_model(trained.file, "cpu"), load_model(everything.folder / "small.onnx")
    for one, two in zip(plain.predict(files), small.predict(files), strict=True):
        assert np.abs(one.probabilities - two.probabilities).max() < 0.1
    assert (everything.folder / "small.onnx").stat().st_size < trained.file.stat().st_size


def test_what_it_costs_is_measured(everything, trained, photos):
    done = everything.delivered.written.quantised
    assert (done.images, done.seen) == (8, False)
    assert done.before.accuracy == everything.delivered.about.accuracy.mean
    files = [path for path in (photos / "val").rglob("*") if path.is_file()]
    answers = load_model(everything.folder / "small.onnx").predict(files)
    assert done.after.accuracy == np.mean(
        [a.label == f.parent.name for a, f in zip(answers, files, strict=True)]
    )
    assert (
        done.after.size_bytes
        == (everything.folder / "small.onnx").stat().st_size
        < done.before.size_bytes
    )
    assert done.before.latency_ms > 0 < done.after.latency_ms


def test_it_is_described_like_the_others(everything, trained):
    assert (
        load_model(everything.folder / "small.onnx").about == load_model(trained.file, "cpu").about
    )
