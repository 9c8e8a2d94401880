"""Writes a network as a program of torch.export, which runs without the network's source."""

import io
import warnings
from pathlib import Path

import torch

from ktg.errors import KtgError
from ktg.exporting.deployable import check_logits, make_deployable, make_probe_images
from ktg.exporting.metadata import ModelMetadata, to_json
from ktg.local import atomic_write
from ktg.models.network import Ensemble, Network
from ktg.models.state_dicts import METADATA_KEY

DESCRIPTION = f"{METADATA_KEY}.json"


def write_torch_export(path: Path, network: Network | Ensemble, metadata: ModelMetadata) -> float:
    """Write the network as .pt2; return the largest difference of the file's logits from its own.

    It takes images (batch, side, side, channels) uint8. The description is the extra file
    `ktg.json` in it.
    Raises KtgError, and writes nothing, when the network cannot be exported or the difference is
    too large.
    """
    module = make_deployable(network, metadata.input, metadata.temperature)
    images = torch.from_numpy(make_probe_images(metadata.input))
    content = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about itself
            shapes = {"images": {0: torch.export.Dim("batch")}}
            program = torch.export.export(module, (images[:2],), dynamic_shapes=shapes)
            torch.export.save(
                program, content, extra_files={DESCRIPTION: to_json(metadata, path.parent)}
            )
            content.seek(0)
            again = torch.export.load(content).module()
    except Exception as error:  # whatever in a network cannot be traced
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise KtgError(f"the network cannot be written by torch.export ({reason})") from error
    with torch.inference_mode():
        reference = module(images)
        difference = max(
            check_logits(str(path), again(part), reference[: len(part)])
            for part in (images, images[:1])
        )
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.getvalue())
    return difference
