"""Writes a network as an ONNX file, checked against torch, and loads such a file as a classifier.

The graph takes `images` (batch, side, side, channels) uint8 and returns `logits` (batch, classes);
resizing, normalising and the temperature are inside it. What must happen before, from an image of
any size to the square, is in its metadata: see `ktg.exporting.metadata.ModelInput`.
"""

import importlib.util
import os
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ktg.data.decode import Pixels
from ktg.errors import KtgError, UserError, WeightsError
from ktg.exporting.classifier import Classifier
from ktg.exporting.metadata import ModelMetadata, from_json, to_json
from ktg.local import atomic_write
from ktg.models.network import Ensemble, Network
from ktg.models.state_dicts import METADATA_KEY

OPSET = 18
_LARGEST_BYTES = 2**31  # of a message of protobuf
_OTHER_FILES = "session.model_external_initializers_file_folder_path"
INPUT, OUTPUT = "images", "logits"
WRITING, RUNNING = ("onnx", "onnxscript", "onnxruntime"), ("onnxruntime",)


def check_packages(packages: tuple[str, ...] = RUNNING) -> None:
    """Raise UserError, which says how to install them, unless these packages are there."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"ONNX needs {', '.join(missing)}; install with `pip install 'ktg-automl[onnx]'`"
        )


def write_onnx(path: Path, network: Network | Ensemble, metadata: ModelMetadata) -> float:
    """Write the network; return the largest difference between onnxruntime's logits and torch's.

    Raises KtgError, and writes nothing, when the network cannot be expressed in ONNX or the
    difference is too large.
    """
    import torch

    from ktg.exporting.deployable import check_logits, make_deployable, make_probe_images

    check_packages(WRITING)
    module = make_deployable(network, metadata.input, metadata.temperature)
    images = make_probe_images(metadata.input)
    content = _export(module, torch.from_numpy(images[:2]), to_json(metadata, path.parent))
    run = partial(run_session, open_session(content, str(path)))
    with torch.inference_mode():
        reference = module(torch.from_numpy(images)).numpy()
    # Two sizes of a batch, neither of them the example's: a graph that fixed it would fail here.
    difference = max(
        check_logits(f"{path}", run(images), reference),
        check_logits(f"{path}", run(images[:1]), reference[:1]),
    )
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return difference


def load_onnx(path: Path) -> Classifier:
    """Return the classifier in an ONNX file of ktg. Raises WeightsError for any other file."""
    check_packages()
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such model file")
    if path.stat().st_size > _LARGEST_BYTES:
        raise WeightsError(f"{path}: is not an ONNX file: those have at most 2 GiB")
    opened = open_session(path.read_bytes(), str(path))
    metadata = from_json(opened.get_modelmeta().custom_metadata_map.get(METADATA_KEY), path)
    given, classes = metadata.input, len(metadata.classes)
    found = [
        (place.name, place.type, place.shape[1:])
        for place in (*opened.get_inputs(), *opened.get_outputs())
    ]
    if found != [
        (INPUT, "tensor(uint8)", [given.side, given.side, given.channels]),
        (OUTPUT, "tensor(float)", [classes]),
    ]:
        raise WeightsError(
            f"{path}: its graph does not take and return what its description says; it is damaged"
        )
    return Classifier(metadata, partial(_logits, opened, path, classes))


def open_session(content: bytes, name: str, threads: int = 0) -> Any:
    """Return an onnxruntime session on the CPU with so many `threads`, 0 for all cores.

    Raises WeightsError for anything broken.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    # All of a model of ktg is in its one file: one that names others reads none of this machine's.
    options.add_session_config_entry(_OTHER_FILES, os.devnull)
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has one of its own for each of its status codes
        raise WeightsError(
            f"{name}: is not an ONNX file that onnxruntime can run, or is damaged"
        ) from error


def run_session(opened: Any, pixels: Pixels) -> npt.NDArray[np.float32]:
    """Return the logits (B, classes) of pixels (B, side, side, channels) uint8."""
    (logits,) = opened.run([OUTPUT], {INPUT: pixels})
    return np.asarray(logits, dtype=np.float32)


def _logits(opened: Any, path: Path, classes: int, pixels: Pixels) -> npt.NDArray[np.float32]:
    """Return what `run_session` does. Raises WeightsError where a graph breaks its declaration."""
    try:
        logits = run_session(opened, pixels)
    except Exception as error:  # of onnxruntime, for each of its status codes
        raise WeightsError(f"{path}: onnxruntime cannot run it: {error}") from error
    if logits.shape != (len(pixels), classes):
        raise WeightsError(
            f"{path}: its graph returns {logits.shape} for {len(pixels)} images of {classes} "
            "classes; it is damaged"
        )
    return logits


def _export(module: Any, example: Any, description: str) -> bytes:
    """Return the serialized ONNX model, with the description in its metadata."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about itself
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                verbose=False,
            )
        # For the type checker: it is None for a file or without dynamo only.
        assert program is not None  # noqa: S101
        model = program.model_proto
        model.metadata_props.add(key=METADATA_KEY, value=description)
        return bytes(model.SerializeToString())
    except Exception as error:  # the exporter and protobuf fail in every way there is
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise KtgError(f"the network cannot be written as ONNX ({reason})") from error
