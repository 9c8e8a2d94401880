"""Trained networks: written, loaded, asked."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ktg.api.inputs import STORE

if TYPE_CHECKING:
    from ktg.exporting.classifier import Classifier, Prediction
    from ktg.exporting.deliver import Delivered
    from ktg.exporting.pixels import Picture


def export(
    experiment: str | Path,
    output: str | Path | None = None,
    *,
    trial: str | int | None = None,
    top: int = 1,
    baseline: str | None = None,
    weights: str | Path | None = None,
    all_nodes: bool = False,
    onnx: str | Path | None = None,
    int8: str | Path | None = None,
    torch_export: str | Path | None = None,
    card: str | Path | None = None,
    register: str | None = None,
    final: bool = False,
    force: bool = False,
    device: str | None = None,
    tracking_uri: str = STORE,
) -> "Delivered":
    """Write the best graph of an experiment (or a chosen one), and the trained network in the forms that are asked for.

    The arguments are the options of `ktg export`; `experiment` may also be a .safetensors file of
    ktg.
    """
    from ktg.exporting.best import Wanted
    from ktg.exporting.deliver import deliver
    from ktg.exporting.formats import Formats

    given = {
        "weights": weights,
        "onnx": onnx,
        "int8": int8,
        "torch_export": torch_export,
        "card": card,
    }
    return deliver(
        str(experiment),
        tracking_uri,
        output=None if output is None else Path(output),
        wanted=Wanted(top, None if trial is None else str(trial), baseline),
        formats=Formats(
            **{kind: None if file is None else Path(file) for kind, file in given.items()}
        ),
        all_nodes=all_nodes,
        name=register,
        final=final,
        force=force,
        device=device,
    )


def load(model: str | Path, device: str | None = None) -> "Classifier":
    """Return a trained model, a .safetensors or .onnx file of ktg: `.predict(images)`, `.classes`, `.about`."""
    from ktg.exporting import classifier

    return classifier.load(model, device)


def predict(
    model: "Classifier | str | Path",
    images: "Picture | Iterable[Picture]",
    *,
    batch_size: int = 64,
    device: str | None = None,
) -> "list[Prediction]":
    """Return what a model says of images: paths, folders, patterns, bytes, arrays (H, W[, 3]) uint8, Pillow images.

    Raises DataError at the first that cannot be read; `ktg.load(model).stream(images)` goes on
    instead.
    """
    from ktg.exporting.classifier import Classifier
    from ktg.exporting.image_files import spelled_out

    classifier = model if isinstance(model, Classifier) else load(model, device)
    return classifier.predict(spelled_out(images), batch_size)


def serve(model: str | Path, port: int = 5001, *, device: str | None = None) -> None:
    """Answer requests for labels over HTTP, by MLflow's scoring server, for this machine only, until Ctrl-C."""
    from ktg.exporting.pyfunc import serve as run

    run(model, port, device=device)
