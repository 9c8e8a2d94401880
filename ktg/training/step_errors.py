"""Turns what torch raises in the middle of a training into one sentence that says where it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ktg.errors import KtgError, TrainingError

_BATCH_OF_ONE = "more than 1 value per channel"


@contextmanager
def name_node_in_errors(node: str, model: str) -> Iterator[None]:
    """Note on an error which node's network raised it, for `explain_errors`."""
    try:
        yield
    except Exception as error:
        error.add_note(f"nodes.{node} ({model})")
        raise


@contextmanager
def explain_errors(place: str, batch_size: int | None = None) -> Iterator[None]:
    """Raise a TrainingError at `place` for any error in the block that ktg does not know.

    batch_size: None where a smaller one would need no less memory. The cause is the error itself,
    for whoever can do more about a lack of memory or a broken GPU.
    """
    try:
        yield
    except KtgError:
        raise
    except Exception as error:
        at = ", ".join([place, *getattr(error, "__notes__", ())])
        raise TrainingError(f"{at}: {_describe(error, batch_size)}") from error


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether there was too little memory, on the GPU or in the machine."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "DefaultCPUAllocator" in str(error)


def describe_lack_of_memory(batch_size: int | None) -> str:
    """Return what a user can do about a step (None: about a network) that is too large."""
    if batch_size is None:
        return "out of memory; end other programs, or try a smaller network or smaller images"
    return f"out of memory at data.batch_size {batch_size}; try {max(1, batch_size // 2)}"


def _describe(error: Exception, batch_size: int | None) -> str:
    if is_out_of_memory(error):
        return describe_lack_of_memory(batch_size)
    lines = (str(error).strip() or type(error).__name__).splitlines()
    # Of an error in a process that reads ahead torch says at the end what it was.
    said = lines[-1 if lines[0].startswith("Caught ") else 0]
    if isinstance(error, torch.AcceleratorError):
        return f"the GPU failed: {said}"
    if _BATCH_OF_ONE in said:
        remedy = f"batch norm needs more than data.batch_size {batch_size} or a larger input_size"
        return f"{said}; {remedy}"
    return said if isinstance(error, OSError) else f"torch says: {said}"
