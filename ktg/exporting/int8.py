"""Quantises a trained network to 8-bit integers, for edge devices.

onnxruntime's static quantisation does it, in QDQ form. Weights are quantised per channel; the
ranges of activations come from images of the training split. What it costs in accuracy and what it
gains in time is measured, because neither can be known before.

Source: Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference", 2018.
"""

import statistics
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ktg.data import Dataset, Images
from ktg.exporting.metadata import ModelMetadata, to_json
from ktg.exporting.onnx import INPUT, WRITING, check_packages, open_session, run_session, write_onnx
from ktg.local import atomic_write
from ktg.models.network import Ensemble, Network
from ktg.models.state_dicts import METADATA_KEY

CALIBRATION_IMAGES = 256
_BATCH = 16
_QUANTISED = ("Conv", "Gemm", "MatMul")
_WARM_UP, _ROUNDS = 5, 31


@dataclass(frozen=True)
class Measurements:
    """A model's accuracy in [0, 1], median time for one image on one core here, and size."""

    accuracy: float
    latency_ms: float
    size_bytes: int


@dataclass(frozen=True)
class QuantisationResult:
    """What quantising changed, on `images` validation images; `seen` if they were trained on."""

    before: Measurements
    after: Measurements
    images: int
    seen: bool


def write_int8(
    path: Path, network: Network | Ensemble, metadata: ModelMetadata, dataset: Dataset
) -> QuantisationResult:
    """Write the quantised network as an ONNX file like `write_onnx`; return what that changed."""
    check_packages(WRITING)
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, small = (
            Path(folder, name) for name in ("plain.onnx", "prepared.onnx", "int8.onnx")
        )
        write_onnx(plain, network, metadata)
        _quantise(plain, prepared, small, dataset.train)
        _describe(small, to_json(metadata, path.parent))
        contents = [plain.read_bytes(), small.read_bytes()]
    accuracies = [_accuracy(content, dataset.val) for content in contents]
    latencies = _latencies(contents, dataset.val.read([0]))
    figures = [
        Measurements(*each) for each in zip(accuracies, latencies, map(len, contents), strict=True)
    ]
    with atomic_write(path) as temporary:
        temporary.write_bytes(contents[1])
    return QuantisationResult(
        figures[0], figures[1], len(dataset.val), metadata.training.splits != "train"
    )


def _quantise(plain: Path, prepared: Path, small: Path, images: Images) -> None:
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(small),
        _Calibration(images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=list(_QUANTISED),
        nodes_to_exclude=_resizing(onnx.load(prepared)),
    )


class _Calibration:
    """Gives onnxruntime images of the training split, spread over all of it, batch after batch."""

    def __init__(self, images: Images) -> None:
        rows = np.unique(
            np.linspace(0, len(images) - 1, min(CALIBRATION_IMAGES, len(images))).astype(np.int64)
        )
        self._batches = (
            images.read(part) for part in np.array_split(rows, -(-len(rows) // _BATCH))
        )

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch by the name of the input, None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def _resizing(model: Any) -> list[str]:
    """Return the matrix products before each first convolution, which stay in full precision.

    They resize the image: rounded to 8 bits they would blur what all the rest sees.
    """
    if all(node.op_type != "Conv" for node in model.graph.node):
        return []
    raw, found = {INPUT}, []  # raw: what no convolution has seen yet
    for node in model.graph.node:
        if raw.intersection(node.input) and node.op_type not in ("Conv", "Gemm"):
            raw.update(node.output)
            found += [node.name] * (node.op_type == "MatMul")
    return found


def _describe(model: Path, text: str) -> None:
    """Put the description back into the quantised model: onnxruntime drops it."""
    import onnx

    quantised = onnx.load(model)
    del quantised.metadata_props[:]
    quantised.metadata_props.add(key=METADATA_KEY, value=text)
    onnx.save(quantised, model)


def _accuracy(content: bytes, images: Images) -> float:
    run = partial(run_session, open_session(content, "the ONNX model"))
    parts = np.array_split(np.arange(len(images)), -(-len(images) // 64))
    right = sum(
        int((run(images.read(part)).argmax(axis=1) == images.labels[part]).sum()) for part in parts
    )
    return right / len(images)


def _latencies(contents: list[bytes], image: Any) -> list[float]:
    """Return the median milliseconds of each model for one image.

    They run in turns, so that whatever else the machine does slows both.
    """
    runs = [
        partial(run_session, open_session(content, "the ONNX model", threads=1))
        for content in contents
    ]
    times: list[list[float]] = [[] for _ in runs]
    for round_ in range(_WARM_UP + _ROUNDS):
        for run, found in zip(runs, times, strict=True):
            started = time.perf_counter()
            run(image)
            if round_ >= _WARM_UP:
                found.append(1000 * (time.perf_counter() - started))
    return [statistics.median(found) for found in times]
