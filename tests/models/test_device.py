import torch

from ktg.models.device import device_of


def test_a_given_device_is_used_and_a_gpu_is_the_default(monkeypatch):
    assert device_of("cpu") == device_of(torch.device("cpu")) == torch.device("cpu")
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert device_of(None) == torch.device(expected)
        assert device_of("cuda:1") == torch.device("cuda:1")
