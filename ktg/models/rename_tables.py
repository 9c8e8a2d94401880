"""Lists the names that torchvision and timm give to the same parts of a network.

Each function returns a table from torchvision's prefix to timm's. In networks of inverted residual
blocks (MobileNet V2 and V3, EfficientNet V1 and V2) both number the blocks; what is in a block
torchvision numbers too, where timm calls it by what it does: `block.0.0` is `conv_pw`.
"""

from collections.abc import Callable, Mapping, Sequence

Table = dict[str, str]
Part = Mapping[str, str]
Stages = Sequence[tuple[str, int]]

_STEM: Table = {"features.0.0": "conv_stem", "features.0.1": "bn1"}
# A linear layer in torchvision, before the head, is a 1x1 convolution of a single pixel in timm.
_V3_HEAD: Table = {"classifier.0": "conv_head", "classifier.3": "classifier"}
_EXCITE: Part = {"fc1": "se.conv_reduce", "fc2": "se.conv_expand"}


def _conv(conv: str, norm: str) -> Part:
    return {"0": conv, "1": norm}


# The parts of each kind of block, in order.
_BLOCKS: dict[str, tuple[Part, ...]] = {
    "conv": (_conv("conv", "bn1"),),
    "fused": (_conv("conv_exp", "bn1"), _conv("conv_pwl", "bn2")),
    "separable": (_conv("conv_dw", "bn1"), _conv("conv_pw", "bn2")),
    "separable+se": (_conv("conv_dw", "bn1"), _EXCITE, _conv("conv_pw", "bn2")),
    "inverted": (_conv("conv_pw", "bn1"), _conv("conv_dw", "bn2"), _conv("conv_pwl", "bn3")),
    "inverted+se": (
        *(_conv("conv_pw", "bn1"), _conv("conv_dw", "bn2")),
        *(_EXCITE, _conv("conv_pwl", "bn3")),
    ),
}
_V3_LARGE = (
    *(("separable", 1), ("inverted", 2), ("inverted+se", 3)),
    *(("inverted", 4), ("inverted+se", 2), ("inverted+se", 3)),
)
_V3_SMALL = (
    *(("separable+se", 1), ("inverted", 2)),
    *(("inverted+se", 3), ("inverted+se", 2), ("inverted+se", 3)),
)
# Of the deepest network of each family: a table may name blocks that others do not have.
_EFFICIENT_V1 = (
    ("separable+se", 4),
    *(("inverted+se", blocks) for blocks in (7, 7, 10, 10, 13, 4)),
)
_EFFICIENT_V2 = (
    *(("conv", 4), ("fused", 7), ("fused", 7)),
    *(("inverted+se", blocks) for blocks in (10, 19, 25, 7)),
)
_VIT_DEEPEST = 32  # layers of ViT-H; a table may name layers that others do not have
_VIT_AROUND = {
    "class_token": "cls_token",
    "encoder.pos_embedding": "pos_embed",
    "conv_proj": "patch_embed.proj",
    "encoder.ln": "norm",
    "heads.head": "head",
}
# Of the vision transformer. Queries, keys and values are one matrix in both, in this order.
_VIT_LAYER = {
    "ln_1": "norm1",
    "self_attention.in_proj_weight": "attn.qkv.weight",
    "self_attention.in_proj_bias": "attn.qkv.bias",
    "self_attention.out_proj": "attn.proj",
    "ln_2": "norm2",
    "mlp.0": "mlp.fc1",
    "mlp.3": "mlp.fc2",
}


def mobilenet_v2() -> Table:
    """Return the prefixes in MobileNetV2 (Sandler et al., CVPR 2018) of any width."""
    stages = (("separable", 1), *(("inverted", blocks) for blocks in (2, 3, 4, 3, 3, 1)))
    table = _STEM | _blocks(
        stages, lambda number, stage, block: f"features.{number}.conv", _number_last_part_open
    )
    head = {"features.18.0": "conv_head", "features.18.1": "bn2", "classifier.1": "classifier"}
    return table | head


def mobilenet_v3_large() -> Table:
    """Return the prefixes in the large MobileNetV3 (Howard et al., ICCV 2019)."""
    return _mobilenet_v3(_V3_LARGE)


def mobilenet_v3_small() -> Table:
    """Return the prefixes in the small MobileNetV3."""
    return _mobilenet_v3(_V3_SMALL)


def efficientnet() -> Table:
    """Return the prefixes in EfficientNet B0 to B7 (Tan and Le, ICML 2019)."""
    return _efficientnet(_EFFICIENT_V1)


def efficientnet_v2_small() -> Table:
    """Return the prefixes in EfficientNetV2-S (Tan and Le, ICML 2021), which has six stages."""
    return _efficientnet(_EFFICIENT_V2[:6])


def efficientnet_v2() -> Table:
    """Return the prefixes in EfficientNetV2-M and L, which have seven stages."""
    return _efficientnet(_EFFICIENT_V2)


def vision_transformer() -> Table:
    """Return the names in a ViT with a class token (Dosovitskiy et al., ICLR 2021)."""
    layers = {
        f"encoder.layers.encoder_layer_{i}.{torchvision}": f"blocks.{i}.{timm}"
        for i in range(_VIT_DEEPEST)
        for torchvision, timm in _VIT_LAYER.items()
    }
    return _VIT_AROUND | layers


def _mobilenet_v3(stages: Stages) -> Table:
    table = _STEM | _blocks(stages, lambda number, stage, block: f"features.{number}.block")
    last, after = f"features.{1 + sum(blocks for _, blocks in stages)}", f"blocks.{len(stages)}.0"
    return table | {f"{last}.0": f"{after}.conv", f"{last}.1": f"{after}.bn1"} | _V3_HEAD


def _efficientnet(stages: Stages) -> Table:
    table = _STEM | _blocks(
        stages, lambda number, stage, block: f"features.{stage + 1}.{block}.block"
    )
    last = f"features.{len(stages) + 1}"
    return table | {f"{last}.0": "conv_head", f"{last}.1": "bn2", "classifier.1": "classifier"}


def _number(parts: Sequence[Part]) -> Table:
    """Return timm's names in a block by torchvision's numbers of part and layer: `0.1` -> bn1."""
    return {f"{i}.{child}": name for i, part in enumerate(parts) for child, name in part.items()}


def _number_last_part_open(parts: Sequence[Part]) -> Table:
    """Return the same where the layers of the last part are numbered as parts of their own.

    MobileNetV2 keeps its last convolution and norm outside the small sequences: `2` -> conv_pwl,
    `3` -> bn3, not `2.0` and `2.1`.
    """
    *first, last = parts
    return _number(first) | {str(len(first) + i): name for i, name in enumerate(last.values())}


def _blocks(
    stages: Stages,
    place: Callable[[int, int, int], str],
    inside: Callable[[Sequence[Part]], Table] = _number,
) -> Table:
    """Return the prefixes in all blocks.

    place: returns where torchvision has a block, by its number over all stages (from 1, because 0
    is the stem), its stage and its number there. MobileNets use the first, EfficientNets the rest.
    """
    table: Table = {}
    number = 0
    for stage, (kind, blocks) in enumerate(stages):
        for block in range(blocks):
            number += 1
            at = place(number, stage, block)
            names = inside(_BLOCKS[kind]).items()
            table |= {f"{at}.{tv}": f"blocks.{stage}.{block}.{timm}" for tv, timm in names}
    return table
