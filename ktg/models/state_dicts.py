"""Reads state dicts from files, writes them, and fits them into a network.

Strict about the backbone, lenient about the head: a new task has other classes.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from ktg.byte_lru import ByteLRU
from ktg.errors import MissingSourceError, WeightsError
from ktg.graph.paths import WEIGHT_SUFFIXES
from ktg.models.checkpoints import find_state, open_checkpoint
from ktg.models.renames import translate

METADATA_KEY = "ktg"  # of the metadata in which a model file of ktg describes itself
# What DataParallel, torch.compile and ktg's own `Network` put before every name.
_PREFIXES = ("module.", "_orig_mod.", "body.")
# In MoCo's checkpoints, the copy that follows the network that was trained.
_COPY = "encoder_k"
_LISTED = 5


def count_state_bytes(state: Mapping[str, Tensor]) -> int:
    """Return the memory that the tensors of a state dict take."""
    return sum(tensor.nbytes for tensor in state.values())


# The state dicts used last, because reading a file takes as long as a short trial and a search
# begins hundreds of trials with the same few. Caches nothing until a worker sets a limit: whoever
# builds each network once would only lose memory.
WEIGHTS_CACHE = ByteLRU[dict[str, Tensor]](count_state_bytes)


def read_state(path: Path, part: str | None = None) -> dict[str, Tensor]:
    """Return the tensors of a file of weights by name, on the CPU.

    A checkpoint that wraps them as {"state_dict": ...} or {"model": ...}, or that names them all
    `module.X`, is unwrapped. part: what to take of a checkpoint that holds several networks (see
    `ktg.models.checkpoints.find_state`). Code in a pickle is never run.
    Raises WeightsError, which names the file, also for numbers that are NaN or infinite.
    """
    if not path.name.endswith(WEIGHT_SUFFIXES):
        raise WeightsError(f"{path}: is not a weights file; allowed: {', '.join(WEIGHT_SUFFIXES)}")
    if not path.is_file():
        what = "is no regular file" if path.exists() else "there is no such file"
        raise WeightsError(f"{path}: {what}")
    if not path.stat().st_size:
        raise WeightsError(f"{path}: is empty; was its download cut off?")
    return _strip_prefixes(find_state(open_checkpoint(path), part, path))


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


def read_stated_classes(path: Path) -> tuple[str, ...] | None:
    """Return the classes that a model file of ktg says its head tells apart; None of others."""
    try:
        classes = json.loads(read_metadata(path) or "")["classes"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    named = isinstance(classes, list) and all(isinstance(each, str) for each in classes)
    return tuple(classes) if named else None


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
        for name, tensor in translate_for(body, state, head, where).items()
    }
    kept = all(name in state and state[name].shape == wanted[name].shape for name in head)
    used = {name: tensor for name, tensor in state.items() if kept or name not in head}
    used = _drop_other_head(used, wanted, head)
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


def translate_for(
    body: nn.Module, state: Mapping[str, Tensor], head: frozenset[str], where: str
) -> dict[str, Tensor]:
    """Return `state` under the names of `body`, as far as it has them; see `translate`.

    Where the backbone is not among them but is under one prefix (`model.backbone.X`), that is taken
    off, and what has other names is left out. Raises WeightsError, which begins with `where`, where
    it is there under several prefixes.
    """
    wanted = body.state_dict()
    plain = translate(state, wanted)
    if _holds_backbone(plain, wanted, head):
        return plain
    backbone = _list_backbone(wanted, head)
    fitting = {}
    for prefix, names in _group_by_prefix(state).items():
        if len(names) >= len(backbone):
            inner = {name.removeprefix(prefix): state[name] for name in names}
            found = translate(inner, wanted)
            if _holds_backbone(found, wanted, head):
                fitting[prefix] = found
    trained = {prefix: x for prefix, x in fitting.items() if _COPY not in prefix.split(".")}
    fitting = trained or fitting
    if len(fitting) > 1:
        several = ", ".join(fitting)
        problem = f"holds weights of this network {len(fitting)} times, under {several}"
        choice = f"choose with `part: {next(iter(fitting))[:-1]}` beside its `path` in `sources`"
        raise WeightsError(f"{where} {problem}; {choice}")
    return next(iter(fitting.values()), plain)


def load(body: nn.Module, state: Mapping[str, Tensor], head: frozenset[str], where: str) -> bool:
    """Copy `state` into `body` as `fit` allows; return whether the head came with it."""
    used = fit(body, state, head, where)
    body.load_state_dict({**body.state_dict(), **used})
    return head <= used.keys()


def write_weights(state: Mapping[str, Tensor], file: Path) -> None:
    """Write a state dict as .safetensors; tensors that share memory are written apart."""
    from safetensors.torch import save_file

    save_file({name: tensor.detach().clone().contiguous() for name, tensor in state.items()}, file)


def _list_backbone(wanted: Mapping[str, Tensor], head: frozenset[str]) -> list[str]:
    """Return what weights must have; older PyTorch did not save the counters of batch norms."""
    return [x for x in wanted if x not in head and not x.endswith("num_batches_tracked")]


def _holds_backbone(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], head: frozenset[str]
) -> bool:
    return all(
        name in state and _match_shape(state[name], wanted[name]).shape == wanted[name].shape
        for name in _list_backbone(wanted, head)
    )


def _group_by_prefix(state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return the names below each module: {a.b.c, a.d} -> {a.: [a.b.c, a.d], a.b.: [a.b.c]}."""
    groups: dict[str, list[str]] = {}
    for name in state:
        for end, letter in enumerate(name, 1):
            if letter == ".":
                groups.setdefault(name[:end], []).append(name)
    return groups


def _drop_other_head(
    used: dict[str, Tensor], wanted: Mapping[str, Tensor], head: frozenset[str]
) -> dict[str, Tensor]:
    """Return the weights without those of a head that has other layers: {fc.0.weight, fc.2.weight}.

    Methods that learn without labels train such heads.
    """
    owners = {name.rpartition(".")[0] for name in head} - {""}
    inside = tuple(f"{owner}." for owner in owners)
    return {name: x for name, x in used.items() if name in wanted or not name.startswith(inside)}


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


def _strip_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _cut(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
