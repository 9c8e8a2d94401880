import torch
from pixels import generator, noise

from ktg.data.augment.crop import crop


def test_crop_is_the_published_one_and_its_corners_go_everywhere():
    images = noise(1, 362).expand(2, -1, -1, -1)
    assert crop(images, generator()).shape == (2, 3, 224, 224)
    images = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4).expand(200, -1, -1, -1)
    cropped = (crop(images, generator()) * 255).round().int()
    assert {int(image[0, 0, 0]) for image in cropped} == {0, 1, 2, 4, 5, 6, 8, 9, 10}
    assert torch.equal(cropped[:, 0, 1, 1] - cropped[:, 0, 0, 0], torch.full((200,), 5))
