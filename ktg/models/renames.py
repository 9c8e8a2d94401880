"""Translates the names of weights, so that a checkpoint of one library loads into another.

One weight of EfficientNet-B0 is `features.1.0.block.0.0.weight` in torchvision and
`blocks.0.0.conv_dw.weight` in timm. A renaming is a function from key to key. `translate` tries
each and keeps the one under which most keys of the checkpoint exist in the network; a key that no
network knows stays as it is, and the loader reports it. To add a family, write a function that
returns its table in `rename_tables` (names or their prefixes, torchvision's on the left, timm's on
the right, each once) and list it in `FAMILIES`.

Equal names are not always equal networks: epsilons and paddings are no weights. torchvision's
MobileNetV3, EfficientNet-B5 to B7 and EfficientNetV2 have batch norms with an epsilon of 0.001, as
timm's `tf_` models have, but timm's plain ones 0.00001; `model_args: {bn_eps: 0.001}` makes them
the same. timm's `tf_` models also pad asymmetrically ("same", as TensorFlow does), and weights that
were trained so lose accuracy without a word unless `model_args: {pad_type: same}` says it.
"""

import functools
import re
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from ktg.models.rename_tables import (
    efficientnet,
    efficientnet_v2,
    efficientnet_v2_small,
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
    vision_transformer,
)

V = TypeVar("V")
Renaming = Callable[[str], str]

# Published files keep names from before torchvision changed them: DenseNets of 2017 and vision
# transformers of 2021.
_LEGACY = (
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)"), r"\1\2"),
    (re.compile(r"(encoder_layer_\d+\.mlp)\.linear_1\."), r"\1.0."),
    (re.compile(r"(encoder_layer_\d+\.mlp)\.linear_2\."), r"\1.3."),
)
# Auxiliary classifiers that only training uses; networks here are built without them.
_AUXILIARY = re.compile(r"(?:aux1|aux2|AuxLogits)\.")
# ResNets and DenseNets have the same names in both libraries.
FAMILIES = (
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
    efficientnet,
    efficientnet_v2_small,
    efficientnet_v2,
    vision_transformer,
)


def translate(state: Mapping[str, V], wanted: Collection[str]) -> dict[str, V]:
    """Return `state` under the names `wanted` by the network, as far as a renaming gives them.

    Auxiliary classifiers that the network does not have are left out.
    """
    names = set(wanted)
    # Nobody says which library a file is from, so every renaming is tried. The first wins a tie
    # (`max` keeps it), and the first one changes nothing.
    candidates = [{rename(key): value for key, value in state.items()} for rename in _renamings()]
    best = max(candidates, key=lambda renamed: len(names & renamed.keys()))
    return {key: value for key, value in best.items() if key in names or not _AUXILIARY.match(key)}


@functools.cache
def _renamings() -> tuple[Renaming, ...]:
    """Return the renamings in the order of preference: the fewest changes first."""
    renamings: list[Renaming] = [lambda key: key, _modernise]
    for family in FAMILIES:
        table = family()
        back = {timm: torchvision for torchvision, timm in table.items()}
        renamings += [_rename_by(table), _rename_by(back)]
    return tuple(renamings)


def _modernise(key: str) -> str:
    for old, new in _LEGACY:
        key = old.sub(new, key)
    return key


def _rename_by(table: Mapping[str, str]) -> Renaming:
    def rename(key: str) -> str:
        key = _modernise(key)
        # A table names modules, whose weight, bias and statistics keep their last word, and the
        # few bare parameters, such as a class token.
        module, dot, parameter = key.rpartition(".")
        return table.get(key) or table.get(module, module) + dot + parameter

    return rename
