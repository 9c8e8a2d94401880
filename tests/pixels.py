"""Makes images and generators for the tests of augmentations."""

import torch


def generator(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def noise(batch: int = 16, side: int = 32, channels: int = 3) -> torch.Tensor:
    shape = (batch, channels, side, side)
    return torch.randint(1, 256, shape, generator=generator(99), dtype=torch.uint8)
