"""The network as an ONNX file, checked against torch; and such a file as a classifier.

The graph takes `images` (batch, side, side, channels) uint8 and returns `logits` (batch, classes);
what stands between is inside it. What must happen before, from an image of any size to the square,
is in its metadata: see `about.Input`.
"""

import importlib.util
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ktg.data.decode import Pixels
from ktg.errors import KtgError, UserError, WeightsError
from ktg.exporting.classifier import Classifier
from ktg.exporting.metadata import About, from_json, to_json
from ktg.local import atomic_write
from ktg.models.network import Ensemble, Network
from ktg.models.state_dicts import METADATA_KEY

OPSET = 18
INPUT, OUTPUT = "images", "logits"
WRITING, RUNNING = ("onnx", "onnxscript", "onnxruntime"), ("onnxruntime",)


def need(packages: tuple[str, ...] = RUNNING) -> None:
    """Raise UserError, which says how to install them, unless these packages are there."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"ONNX needs {', '.join(missing)}; install with `pip install 'ktg-automl[onnx]'`"
        )


def write_onnx(path: Path, network: Network | Ensemble, about: About) -> float:
    """Write the network, and return the largest difference of its logits in onnxruntime from those in torch.

    Raises KtgError, and writes nothing, when the network cannot be expressed in ONNX or the
    difference is too large.
    """
    import torch

    from ktg.exporting.deployable import compare, deployed, probe_images

    need(WRITING)
    module, images = deployed(network, about.input), probe_images(about.input)
    content = _exported(module, torch.from_numpy(images[:2]), to_json(about, path.parent))
    run = partial(run_session, session(content, str(path)))
    with torch.inference_mode():
        reference = module(torch.from_numpy(images)).numpy()
    # Batches of another size than the example's too: the batch is to be free.
    difference = max(
        compare(f"{path}", run(images), reference),
        compare(f"{path}", run(images[:1]), reference[:1]),
    )
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return difference


def load_onnx(path: Path) -> Classifier:
    """Return the classifier in an ONNX file that ktg wrote; raise WeightsError for any other file."""
    need()
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such model file")
    opened = session(path.read_bytes(), str(path))
    about = from_json(opened.get_modelmeta().custom_metadata_map.get(METADATA_KEY), path)
    given, classes = about.input, len(about.classes)
    shapes = [place.shape[1:] for place in (*opened.get_inputs(), *opened.get_outputs())]
    if shapes != [[given.side, given.side, given.channels], [classes]]:
        raise WeightsError(
            f"{path}: its graph does not take and return what its description says; it is damaged"
        )
    return Classifier(about, partial(run_session, opened))


def session(content: bytes, name: str, threads: int = 0) -> Any:
    """Return an onnxruntime session on the CPU. `threads`: 0 for all cores. Raises WeightsError for anything broken."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except (
        Exception
    ) as error:  # onnxruntime has an exception of its own for each of its status codes
        raise WeightsError(
            f"{name}: is not an ONNX file that onnxruntime can run, or is damaged"
        ) from error


def run_session(opened: Any, pixels: Pixels) -> npt.NDArray[np.float32]:
    """Return the logits (B, classes) of pixels (B, side, side, channels) uint8."""
    (logits,) = opened.run([OUTPUT], {INPUT: pixels})
    return np.asarray(logits, dtype=np.float32)


def _exported(module: Any, example: Any, description: str) -> bytes:
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
