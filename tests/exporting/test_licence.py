"""What a network began with, and its licence."""

import pytest

from ktg.exporting.licence import origin_of
from ktg.graph import parse

SOURCES = {
    "mine": {"path": "a.pth", "origin": "iNaturalist, Apache-2.0"},
    "other": {"path": "b.pth"},
}


@pytest.mark.parametrize(
    ("model", "source", "said"),
    [
        ("resnet8", "none", "trained from nothing"),
        ("mobilenetv2_100", "mine", "fine-tuned from `mine`: iNaturalist, Apache-2.0"),
        ("mobilenetv2_100", "other", "its licence is not known to ktg"),
        ("mobilenetv2_100", "weights/b.pth", "a file of weights; its licence is not known"),
        ("mobilenetv2_100", "imagenet", "timm's `mobilenetv2_100.ra_in1k` .*licence: apache-2.0"),
        ("torchvision/resnet18", "imagenet", "torchvision's own; it states no licence"),
    ],
)
def test_origin(model, source, said):
    import re

    plain = {
        "data": {"name": "digits"},
        "nodes": {"n0": {"model": model, "source": source}},
        "sources": SOURCES,
    }
    assert re.search(said, origin_of(parse(plain | {"edges": {"label -> n0": {}}}), "n0"))
