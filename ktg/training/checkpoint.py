"""Writes and reads checkpoints: tensors and plain values only, read without running any code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ktg.errors import WeightsError
from ktg.local import atomic_write


def write_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """Write a `Training.state_dict()`: a reader sees the old file or the new one, never half."""
    with atomic_write(path) as temporary:
        torch.save(dict(state), temporary)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what `write_checkpoint` wrote.

    Raises WeightsError for anything else, a hostile pickle included.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path}: there is no such checkpoint") from None
    except Exception as error:  # a damaged or hostile file makes the reader fail in any way
        raise WeightsError(
            f"{path}: is not a checkpoint of ktg, or is damaged; nothing in it was run"
        ) from error
    if not isinstance(state, dict) or not {"key", "epoch", "learners"} <= state.keys():
        raise WeightsError(f"{path}: is not a checkpoint of ktg; it lacks key, epoch or learners")
    return state
