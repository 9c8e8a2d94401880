"""Changes training images at random, on the device, with parameters drawn for each image.

The transforms of torchvision draw once per call, so on a batch they give every image the same crop.
Here the parameters are tensors (B,), drawn from a generator on the device of the images; no value
is ever read back to the host, because that would stop the GPU. Drawing and applying are separate
functions, so that each can be tested alone.

A view is what becomes of one image by itself; a mixture blends the views of two images of a batch,
and their labels.
"""

from collections.abc import Callable, Mapping

from torch import Generator, Tensor

from ktg.data.augment.augmix import augmix
from ktg.data.augment.basic import basic, to_float
from ktg.data.augment.crop import crop
from ktg.data.augment.mixing import Mixture, cutmix_or_mixup
from ktg.data.augment.pspnet import pspnet
from ktg.data.augment.randaugment import randaugment
from ktg.graph import Data, Node
from ktg.graph.vocabulary import AugmentName, ViewName

__all__ = ["AUGMENTS", "MIXTURES", "augment_batch", "choose_view", "count_views", "to_float"]

AUGMENTS: Mapping[ViewName, Callable[[Tensor, Generator], Tensor]] = {
    "none": to_float,
    "basic": basic,
    "crop": crop,
    "randaugment": randaugment,
    "augmix": augmix,
    "pspnet": pspnet,
}
MIXTURES: Mapping[AugmentName, Callable[[Generator], Mixture]] = {
    "cutmix_or_mixup": cutmix_or_mixup
}


def choose_view(data: Data, node: Node | None = None) -> ViewName:
    """Return which views a node sees (without one: by default); what is mixed is `basic` views."""
    if node is not None and node.augment is not None:
        return node.augment
    return "basic" if data.augment == "cutmix_or_mixup" else data.augment


def count_views(data: Data, node: Node) -> int | None:
    """Return how many views of an image a node is shown in all, None where each time a new one.

    >>> teacher = Node(model="resnet8", augment="none")
    >>> data = [Data(augment=name, views=4) for name in ("basic", "none")]
    >>> [count_views(each, Node(model="resnet8")) for each in data], count_views(data[0], teacher)
    ([4, 1], 1)
    """
    if data.augment in MIXTURES:  # drawn anew in each step, of new views
        return None
    return 1 if choose_view(data, node) == "none" else data.views


def augment_batch(pixels: Tensor, name: AugmentName, generator: Generator) -> Tensor:
    """Return a batch (B, C, H, W) uint8 augmented, as float32 in [0, 1]."""
    views = AUGMENTS[choose_view(Data(augment=name))](pixels, generator)
    mix = MIXTURES.get(name)
    return views if mix is None else mix(generator).images(views)
