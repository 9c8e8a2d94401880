import torch
from pixels import generator
from torchvision.transforms import v2

from ktg.data.augment.operations import NUMBER, OPERATIONS
from ktg.data.augment.randaugment import STRENGTH, compute_amounts, draw_operations


def test_operations_and_directions_are_uniform():
    operation, sign = draw_operations(14_000, generator())
    counts = torch.bincount(operation, minlength=14)
    assert ((counts - 1000) ** 2 / 1000).sum() < 46  # chi-squared with 13 degrees, 99.99 % below 46
    assert set(sign.tolist()) == {-1.0, 1.0}
    assert abs(sign.mean()) < 0.04
    assert draw_operations(1000, generator(), first=1)[0].min() == 1


def test_amounts_are_torchvisions_at_its_ninth_level():
    space = v2.RandAugment()._AUGMENTATION_SPACE
    names = {"color": "Color", "autocontrast": "AutoContrast"}
    for name in OPERATIONS:
        title = names.get(name, "".join(part.capitalize() for part in name.split("_")))
        levels, signed = space[title]
        magnitudes = levels(31, 200, 200)
        got = compute_amounts(
            torch.tensor([NUMBER[name]]), torch.tensor([STRENGTH]), least_bits=4
        ).item()
        if magnitudes is None:
            continue
        want = float(magnitudes[9])
        if name.startswith("translate"):
            got *= 200
        elif name in ("brightness", "color", "contrast", "sharpness"):
            want += 1
        torch.testing.assert_close(got, want, atol=1e-4, rtol=0)
        back = compute_amounts(
            torch.tensor([NUMBER[name]]), torch.tensor([-STRENGTH]), least_bits=4
        ).item()
        assert (back != got / (200 if name.startswith("translate") else 1)) == signed
