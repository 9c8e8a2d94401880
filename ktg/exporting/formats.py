"""Writes a trained network in every form that is asked for."""

from dataclasses import dataclass, field
from pathlib import Path

from ktg.data import Dataset
from ktg.errors import UserError
from ktg.exporting.graph_files import check_free
from ktg.exporting.int8 import QuantisationResult, write_int8
from ktg.exporting.metadata import ModelMetadata
from ktg.exporting.model_card import format_model_card
from ktg.exporting.onnx import WRITING, check_packages, write_onnx
from ktg.local import write_text
from ktg.models.network import Ensemble, Network

_ENDINGS = {
    "weights": ".safetensors",
    "onnx": ".onnx",
    "torch_export": ".pt2",
    "int8": ".onnx",
    "card": ".md",
}


@dataclass(frozen=True)
class Formats:
    """The files to write, None for those that are not wanted."""

    weights: Path | None = None
    onnx: Path | None = None
    torch_export: Path | None = None
    int8: Path | None = None
    card: Path | None = None

    @property
    def files(self) -> dict[str, Path]:
        """The files that are wanted, by kind."""
        return {kind: path for kind, path in vars(self).items() if path is not None}

    def check(self) -> None:
        """Raise UserError, before any training, for a wrong ending and for absent packages."""
        for kind, path in self.files.items():
            if path.suffix != _ENDINGS[kind]:
                option = kind.replace("_", "-")
                raise UserError(f"--{option}: {path}: give a name that ends in {_ENDINGS[kind]}")
        twice = [path for path in self.files.values() if list(self.files.values()).count(path) > 1]
        if twice:
            raise UserError(f"{twice[0]}: two of the files are to have this name")
        if self.onnx or self.int8:
            check_packages(WRITING)


def check_weights_file(path: Path, *, force: bool) -> None:
    """Raise UserError, before any training, unless weights can go to this file.

    One that exists needs `force`.
    """
    Formats(weights=path).check()
    check_free([path], force=force)


@dataclass
class WrittenFormats:
    """What was written: files by kind, largest differences of logits, what quantising changed.

    A difference is that from torch's logits, relative to the largest of them.
    """

    files: dict[str, Path] = field(default_factory=dict)
    differences: dict[str, float] = field(default_factory=dict)
    quantised: QuantisationResult | None = None


def write_formats(
    formats: Formats,
    network: Network | Ensemble,
    metadata: ModelMetadata,
    dataset: Dataset | None,
) -> WrittenFormats:
    """Write all that is wanted but the weights; only 8-bit integers need the dataset.

    The card comes last, as it tells what quantising changed.
    """
    written = WrittenFormats(formats.files)
    if formats.onnx:
        written.differences["onnx"] = write_onnx(formats.onnx, network, metadata)
    if formats.torch_export:
        from ktg.exporting.torch_export import write_torch_export

        written.differences["torch_export"] = write_torch_export(
            formats.torch_export, network, metadata
        )
    if formats.int8 and dataset is not None:
        written.quantised = write_int8(formats.int8, network, metadata, dataset)
    if formats.card:
        text = format_model_card(metadata, formats.files, formats.card.parent, written.quantised)
        write_text(formats.card, text)
    return written
