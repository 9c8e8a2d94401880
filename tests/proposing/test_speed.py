"""How long training takes here."""

import pytest
import torch

from ktg.errors import KtgError
from ktg.graph import Data, Node
from ktg.proposing.speed import Speed, measure_speed, use_threads


def test_a_larger_network_takes_longer():
    data = Data(path="noise", size=16, batch_size=8)
    small, large = (measure_speed(Node(model=name), data) for name in ("resnet8", "resnet56"))
    assert 0 < small.step_s < large.step_s
    assert small.batch == 8


def test_what_cannot_be_trained_is_an_error():
    data = Data(path="noise", size=8, batch_size=8)
    with pytest.raises(KtgError):
        measure_speed(Node(model="resnet8", model_args={"nonsense": 1}), data)


def test_an_epoch_grows_with_its_images():
    speed = Speed(0.5, 10)
    assert speed.epoch_s(100) == 10 * 0.5
    assert speed.epoch_s(5) == 0.5  # a step at least
    assert speed.epoch_s(100, 60) > speed.epoch_s(100, 30) > speed.epoch_s(100)
    assert speed.at_side(64, 64) == speed


def test_threads_are_set_back():
    before = torch.get_num_threads()
    with use_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
