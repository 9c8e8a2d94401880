"""The names of torchvision and of timm in the vision transformer (Dosovitskiy et al., ICLR 2021)."""

_DEEPEST = 32  # layers of ViT-H; a table may name layers that others do not have
_AROUND = {
    "class_token": "cls_token",
    "encoder.pos_embedding": "pos_embed",
    "conv_proj": "patch_embed.proj",
    "encoder.ln": "norm",
    "heads.head": "head",
}
# Queries, keys and values are one matrix in both, in this order.
_LAYER = {
    "ln_1": "norm1",
    "self_attention.in_proj_weight": "attn.qkv.weight",
    "self_attention.in_proj_bias": "attn.qkv.bias",
    "self_attention.out_proj": "attn.proj",
    "ln_2": "norm2",
    "mlp.0": "mlp.fc1",
    "mlp.3": "mlp.fc2",
}


def vision_transformer() -> dict[str, str]:
    """Return torchvision's and timm's names, or their prefixes, in a vision transformer with a class token."""
    layers = {
        f"encoder.layers.encoder_layer_{i}.{torchvision}": f"blocks.{i}.{timm}"
        for i in range(_DEEPEST)
        for torchvision, timm in _LAYER.items()
    }
    return _AROUND | layers
