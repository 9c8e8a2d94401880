import torch
from pixels import noise
from torchvision.transforms.v2 import functional

from ktg.data.augment.plain import to_float


def test_none_only_scales():
    images = noise()
    torch.testing.assert_close(
        to_float(images), functional.to_dtype(images, torch.float32, scale=True)
    )
    floats = images.float()
    to_float(floats)
    assert torch.equal(floats, images.float())
