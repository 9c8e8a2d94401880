"""Loads a trained model from a file of any form that can classify images."""

from pathlib import Path

from ktg.errors import WeightsError, did_you_mean
from ktg.exporting.classifier import Classifier
from ktg.local import check_name_length

SUFFIXES = (".safetensors", ".onnx")


def load_model(path: str | Path, device: str | None = None) -> Classifier:
    """Return the model in a file that `ktg export` or `ktg train --weights` wrote.

    device: cpu, cuda, cuda:1; default: a GPU if there is one. Models in ONNX run on the CPU.
    Raises WeightsError, in one sentence, for a file that is not there, not of ktg, damaged or
    hostile.
    """
    path = Path(path)
    check_name_length(path)
    # Either form loads its runtime alone: who serves an ONNX file need not have torch.
    if path.suffix == ".onnx":
        from ktg.exporting.onnx import load_onnx

        return load_onnx(path)
    if path.suffix != ".safetensors":
        guess = did_you_mean(path.suffix, SUFFIXES)
        allowed = " and ".join(SUFFIXES)
        raise WeightsError(f"{path}: is not a model file; allowed: {allowed}.{guess}")
    from ktg.exporting.model_file import load_safetensors

    return load_safetensors(path, device)
