"""Reads state dicts from files, writes them, and fits them into a network.

Strict about the backbone, lenient about the head: a new task has other classes.
"""

import json
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ktg.byte_lru import ByteLRU
from ktg.errors import MissingSourceError, WeightsError
from ktg.graph.paths import WEIGHT_SUFFIXES
from ktg.models.renames import translate

METADATA_KEY = "ktg"  # of the metadata in which a model file of ktg describes itself
_WRAPPERS = ("state_dict", "model")
# What DataParallel, torch.compile and ktg's own `Network` put before every name.
_PREFIXES = ("module.", "_orig_mod.", "body.")
_LISTED = 5


def count_state_bytes(state: Mapping[str, Tensor]) -> int:
    """Return the memory that the tensors of a state dict take."""
    return sum(tensor.nbytes for tensor in state.values())


# The state dicts used last, because reading a file takes as long as a short trial and a search
# begins hundreds of trials with the same few. Caches nothing until a worker sets a limit: whoever
# builds each network once would only lose memory.
WEIGHTS_CACHE = ByteLRU[dict[str, Tensor]](count_state_bytes)


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors, .pth, .pt or .bin file by name, on the CPU.

    A checkpoint that wraps them as {"state_dict": ...} or {"model": ...}, or that names them all
    `module.X`, is unwrapped. Code in a pickle is never run: a file that holds more than tensors is
    refused.
    Raises WeightsError, which names the file.
    """
    if path.suffix not in WEIGHT_SUFFIXES:
        raise WeightsError(f"{path}: is not a weights file; allowed: {', '.join(WEIGHT_SUFFIXES)}")
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file")
    if not path.stat().st_size:
        raise WeightsError(f"{path}: is empty; was its download cut off?")
    return _strip_prefixes(_check_tensors(_unwrap(_open(path)), path))


def read_metadata(path: Path) -> str | None:
    """Return the text in which a model file of ktg describes itself, None for any other file.

    What is wrong with a file is said by whoever reads its weights.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get(METADATA_KEY)
    except (OSError, SafetensorError):
        return None


def read_stated_statistics(path: Path) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return (mean, std) per channel that a model file of ktg says its network expects.

    None for any other file, and for an ensemble's, whose members differ.
    """
    try:
        about = json.loads(read_metadata(path) or "")
        found = about["input"]["mean"], about["input"]["std"]
        mean, std = (tuple(map(float, values)) for values in found)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return None if about.get("members") else (mean, std)


def fit(
    body: nn.Module, state: Mapping[str, Tensor], head: frozenset[str], where: str
) -> dict[str, Tensor]:
    """Return what of `state` goes into `body`, under the names of `body`; only shapes are compared.

    The head is part of it when all of its tensors are there in the right shape, that is when the
    number of classes is the same; else it is left out whole. Raises MissingSourceError at `where`,
    which lists the keys, when a tensor of the backbone is missing, unknown to the network or of
    another shape.
    """
    wanted = body.state_dict()
    state = {
        name: _match_shape(tensor, wanted.get(name))
        for name, tensor in translate(state, wanted).items()
    }
    kept = all(name in state and state[name].shape == wanted[name].shape for name in head)
    used = {name: tensor for name, tensor in state.items() if kept or name not in head}
    # Older PyTorch did not save the counter, which only matters to batch norms without momentum.
    absent = [name for name in wanted if name not in head | used.keys()]
    missing = [name for name in absent if not name.endswith("num_batches_tracked")]
    unknown = [name for name in used if name not in wanted]
    misshaped = [
        f"{name} {tuple(tensor.shape)} instead of {tuple(wanted[name].shape)}"
        for name, tensor in used.items()
        if name in wanted and tensor.shape != wanted[name].shape
    ]
    kinds = {"missing": missing, "unexpected": unknown, "of another shape": misshaped}
    found = [f"{len(keys)} {kind} ({_cut(keys)})" for kind, keys in kinds.items() if keys]
    if found:
        place, _, what = where.partition(": ")
        problem = f"these weights belong to another network; backbone keys: {'; '.join(found)}"
        raise MissingSourceError(place, f"{what}: {problem}" if what else problem)
    return used


def load(body: nn.Module, state: Mapping[str, Tensor], head: frozenset[str], where: str) -> bool:
    """Copy `state` into `body` as `fit` allows; return whether the head came with it."""
    used = fit(body, state, head, where)
    body.load_state_dict({**body.state_dict(), **used})
    return head <= used.keys()


def write_weights(state: Mapping[str, Tensor], file: Path) -> None:
    """Write a state dict as .safetensors; tensors that share memory are written apart."""
    from safetensors.torch import save_file

    save_file({name: tensor.detach().clone().contiguous() for name, tensor in state.items()}, file)


def _match_shape(tensor: Tensor, wanted: Tensor | None) -> Tensor:
    """Return a linear layer's weights as those of a 1x1 convolution, or the reverse, if wanted.

    The layer before MobileNetV3's head is a 1x1 convolution in timm and linear in torchvision:
    (1280, 960) -> (1280, 960, 1, 1).
    """
    if (
        wanted is None
        or {tensor.ndim, wanted.ndim} != {2, 4}
        or tensor.shape[:2] != wanted.shape[:2]
    ):
        return tensor
    return tensor.reshape(wanted.shape) if tensor.numel() == wanted.numel() else tensor


def _open(path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            import safetensors.torch

            return safetensors.torch.load_file(path, device="cpu")
        with warnings.catch_warnings():
            # About unusual pickles; what matters is raised.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the readers fail in every way there is
        if "weights_only" in str(error).lower() or "weights only" in str(error).lower():
            problem = "holds more than tensors, and its code was not run"
            problem += "; save only the state_dict of the network"
        else:
            problem = f"cannot be read as a {path.suffix} file of weights"
            problem += "; it is damaged or of another format"
        raise WeightsError(f"{path}: {problem}") from error


def _unwrap(content: object) -> object:
    while isinstance(content, Mapping):
        inner = next(
            (content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None
        )
        if inner is None:
            break
        content = inner
    return content


def _check_tensors(content: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{path}: holds no state dict (a mapping from names to tensors)")
    for name, tensor in content.items():
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
    return dict(content)


def _strip_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _cut(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
