"""Opens files of weights without running their code, and finds the state dict in a checkpoint.

A checkpoint of a training holds more than one network: its options, the state of the optimizer, an
average of the weights beside the weights. What is not a tensor or a plain container is read as an
empty thing: nothing that a pickle names is imported or called.
"""

import contextlib
import functools
import logging
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ktg.errors import WeightsError, join_names

# Where training scripts keep the state dict, the first that is there. Averages come last: they are
# taken only where nothing else is, or by name (`part`).
_WRAPPERS = (
    *("state_dict", "model", "model_state_dict", "model_state", "net", "network"),
    *("state_dict_ema", "model_ema"),
)
_DEEPEST = 4  # a file made to do harm may hold itself
_logger = logging.getLogger(__name__)
_SAVE = "save only the state_dict of the network: torch.save(network.state_dict(), 'weights.pth')"


class _Inert:
    """Stands for any class or function that a pickle names; it takes everything, does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> "_Inert":
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Forget the state."""


def open_checkpoint(path: Path) -> object:
    """Return what is in a file of weights, with everything on the CPU. Raises WeightsError."""
    try:
        if path.suffix == ".safetensors":
            import safetensors.torch

            return safetensors.torch.load_file(path, device="cpu")
        with warnings.catch_warnings():
            # About unusual pickles; what matters is raised.
            warnings.simplefilter("ignore", UserWarning)
            return _load_pickle(path)
    except Exception as error:  # a damaged file makes the readers fail in every way there is
        if "weights_only" in str(error).lower() or "weights only" in str(error).lower():
            problem = f"holds more than tensors, and its code was not run; {_SAVE}"
        else:
            problem = f"cannot be read as a {path.suffix} file of weights"
            problem += "; it is damaged or of another format"
        raise WeightsError(f"{path}: {problem}") from error


def find_state(content: object, part: str | None, path: Path) -> dict[str, Tensor]:
    """Return the state dict in a checkpoint.

    part: an entry of the checkpoint, or what the names of the wanted tensors begin with. Without
    it, the first of the entries that usually hold the weights is taken; where there is none, all
    entries that are state dicts, their tensors named `ENTRY.NAME`.
    Raises WeightsError, which names the file.
    """
    if part is None:
        _say_what_is_taken(content, path)
        return _check_tensors(_unwrap(content), path)
    if isinstance(content, Mapping) and isinstance(content.get(part), Mapping):
        return _check_tensors(_unwrap(content[part]), path)
    state = _check_tensors(_unwrap(content), path)
    start = f"{part.removesuffix('.')}."
    chosen = {name.removeprefix(start): x for name, x in state.items() if name.startswith(start)}
    if not chosen:
        there = join_names([*list_parts(content), *_list_beginnings(state)])
        raise WeightsError(f"{path}: has no part {part!r}; parts that it has: {there}")
    return chosen


def list_parts(content: object) -> list[str]:
    """Return the entries of a checkpoint that hold weights, in its order; none of a state dict."""
    if not isinstance(content, Mapping):
        return []
    return [str(key) for key, value in content.items() if _select_state(value)]


def _say_what_is_taken(content: object, path: Path) -> None:
    """Say it where there is a choice, such as an average of the weights beside the weights."""
    parts = list_parts(content)
    taken = next((key for key in _WRAPPERS if key in parts), None)
    others = [key for key in parts if key != taken]
    if taken and others:
        choice = f"to take another, write `part: {others[0]}` beside its `path` in `sources`"
        _warn_once(f"{path}: holds {join_names(parts)}; {taken} is taken; {choice}")


@functools.cache
def _warn_once(sentence: str) -> None:
    _logger.warning("%s", sentence)


def _load_pickle(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # Files of the old format, and what does more than to hold things, fail once more.
        with contextlib.suppress(Exception):
            names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
            inert: list[Any] = [(_choose_stand_in(name), name) for name in names]
            with torch.serialization.safe_globals(inert):
                return torch.load(path, map_location="cpu", weights_only=True)
        raise


def _choose_stand_in(name: str) -> type:
    """Return what is made in place of a class: Lightning keeps its options in an AttributeDict."""
    return dict if name.endswith(".AttributeDict") else _Inert


def _unwrap(content: object, depth: int = 0) -> object:
    if not isinstance(content, Mapping) or depth == _DEEPEST:
        return content
    wrapper = next((key for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
    if wrapper:
        return _unwrap(content[wrapper], depth + 1)
    if not any(isinstance(x, Tensor) for x in content.values()):
        states = {key: _select_state(value, depth + 1) for key, value in content.items()}
        found = {f"{key}.{name}": x for key, state in states.items() for name, x in state.items()}
        return found or content
    return content


def _select_state(content: object, depth: int = 0) -> dict[str, Tensor]:
    """Return the state dict in an entry of a checkpoint, an empty one where it is something else.

    Of names and tensors alone; what else may be wrong with it is said when it is used.
    """
    content = _unwrap(content, depth)
    if not isinstance(content, Mapping) or not content:
        return {}
    named = all(isinstance(key, str) and isinstance(x, Tensor) for key, x in content.items())
    return dict(content) if named else {}


def _check_tensors(content: object, path: Path) -> dict[str, Tensor]:
    if isinstance(content, _Inert):
        raise WeightsError(f"{path}: holds more than tensors, and its code was not run; {_SAVE}")
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{path}: holds no state dict (a mapping from names to tensors)")
    for name, tensor in content.items():
        if isinstance(tensor, _Inert):
            problem = f"holds more than tensors, and its code was not run ({name!r})"
            raise WeightsError(f"{path}: {problem}; {_SAVE}")
        if (
            not isinstance(name, str)
            or not isinstance(tensor, Tensor)
            or tensor.layout is not torch.strided
        ):
            raise WeightsError(
                f"{path}: {name!r} is not a dense tensor, so this is not a state dict"
            )
        if tensor.is_quantized:  # int8 and a scale: copying it would keep only the integers
            raise WeightsError(
                f"{path}: {name!r} is quantized; give the weights as floating point numbers"
            )
    check_finite(content, path)
    return dict(content)


def check_finite(state: Mapping[str, Tensor], path: Path) -> None:
    """Raise WeightsError, which names file and tensor, for numbers that are NaN or infinite."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not (finite := torch.isfinite(tensor)).all():
            raise WeightsError(f"{path}: {_describe_infinite(name, tensor, finite)}")


def _describe_infinite(name: str, tensor: Tensor, finite: Tensor) -> str:
    wrong = int(tensor.numel() - finite.sum())
    problem = f"{wrong:,} of the {tensor.numel():,} numbers of {name!r} are NaN or infinite"
    return f"{problem}; the training that made them broke down, so give an earlier state of it"


def _list_beginnings(state: Mapping[str, Tensor]) -> list[str]:
    return list(dict.fromkeys(name.partition(".")[0] for name in state if "." in name))
