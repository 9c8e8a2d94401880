"""Names of one and the same weight in different libraries, so that their checkpoints load into each other.

A renaming is a function from key to key. `translate` tries each and keeps the one under which most keys of the
checkpoint exist in the network; a key that no network knows stays as it is and is reported by the loader.
To add a family, write its table of prefixes (torchvision's on the left, timm's on the right) into `_FAMILIES`.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

V = TypeVar("V")
Renaming = Callable[[str], str]

# Published files keep names from before torchvision changed them: DenseNets of 2017 and vision transformers of 2021.
_LEGACY = (
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)"), r"\1\2"),
    (re.compile(r"(encoder_layer_\d+\.mlp)\.linear_1\."), r"\1.0."),
    (re.compile(r"(encoder_layer_\d+\.mlp)\.linear_2\."), r"\1.3."),
)
# Auxiliary classifiers that only training uses; networks here are built without them.
_AUXILIARY = re.compile(r"(?:aux1|aux2|AuxLogits)\.")


def mobilenet_v2() -> dict[str, str]:
    """Return torchvision's and timm's prefixes in MobileNetV2 (Sandler et al., CVPR 2018) of any width."""
    table = {"features.0.0": "conv_stem", "features.0.1": "bn1", "features.18.0": "conv_head", "features.18.1": "bn2"}
    table |= {"classifier.1": "classifier"}
    first = {"conv.0.0": "conv_dw", "conv.0.1": "bn1", "conv.1": "conv_pw", "conv.2": "bn2"}
    inner = {"conv.0.0": "conv_pw", "conv.0.1": "bn1", "conv.1.0": "conv_dw", "conv.1.1": "bn2"}
    inner |= {"conv.2": "conv_pwl", "conv.3": "bn3"}
    number = 0
    for stage, blocks in enumerate((1, 2, 3, 4, 3, 3, 1)):
        for block in range(blocks):
            number += 1
            parts = first if stage == 0 else inner
            table |= {f"features.{number}.{tv}": f"blocks.{stage}.{block}.{tm}" for tv, tm in parts.items()}
    return table


_FAMILIES = (mobilenet_v2,)


def translate(state: Mapping[str, V], wanted: Collection[str]) -> dict[str, V]:
    """Return `state` under the names `wanted` by the network, as far as a renaming gives them.

    Auxiliary classifiers that the network does not have are left out.
    """
    names = set(wanted)
    candidates = [{renaming(key): value for key, value in state.items()} for renaming in _renamings()]
    best = max(candidates, key=lambda renamed: len(names & renamed.keys()))
    return {key: value for key, value in best.items() if key in names or not _AUXILIARY.match(key)}


def _renamings() -> list[Renaming]:
    """Return the renamings in the order of preference: the fewest changes first."""
    renamings: list[Renaming] = [lambda key: key, _modern]
    for family in _FAMILIES:
        table = family()
        renamings += [_by_prefix(table), _by_prefix({timm: torchvision for torchvision, timm in table.items()})]
    return renamings


def _modern(key: str) -> str:
    for old, new in _LEGACY:
        key = old.sub(new, key)
    return key


def _by_prefix(table: Mapping[str, str]) -> Renaming:
    def rename(key: str) -> str:
        module, dot, parameter = key.rpartition(".")
        return table.get(module, module) + dot + parameter

    return rename
