"""Checkpoints of trainings are read without their code, and damaged numbers are named."""

import argparse
import logging
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from ktg.errors import WeightsError
from ktg.models import checkpoints
from ktg.models.state_dicts import read_state

STATE = {"conv.weight": torch.ones(2, 3), "conv.bias": torch.zeros(2)}
AVERAGE = {name: tensor + 1 for name, tensor in STATE.items()}


def read(folder: Path, content: object, part: str | None = None) -> dict[str, torch.Tensor]:
    torch.save(content, folder / "w.ckpt")
    return read_state(folder / "w.ckpt", part)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class AttributeDict(dict):
    """What Lightning keeps the options of a training in."""


@pytest.mark.parametrize("suffix", [".ckpt", ".pth.tar", ".pth"])
@pytest.mark.parametrize(
    "others",
    [
        {"arch": "resnet18", "args": argparse.Namespace(lr=0.1, names=["a"]), "metric": 0.5},
        {"metric": np.float64(0.5), "sizes": np.arange(3), "folder": Path("runs")},
        {"hyper_parameters": AttributeDict(lr=0.1), "pytorch-lightning_version": "2.4.0"},
        {"optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1}]}},
        {"whole": torch.nn.Linear(2, 2)},
    ],
)
def test_the_weights_of_a_training_checkpoint_are_read(tmp_path, suffix, others):
    torch.save({"epoch": 3, "state_dict": STATE} | others, tmp_path / f"w{suffix}")
    assert same(read_state(tmp_path / f"w{suffix}"), STATE)


def test_a_whole_pickled_network_is_refused_with_what_to_save(tmp_path):
    said = r"holds more than tensors, and its code was not run.*torch\.save\(network\.state_dict"
    for content in (torch.nn.Linear(2, 2), {"model": torch.nn.Linear(2, 2)}):
        with pytest.raises(WeightsError, match=said):
            read(tmp_path, content)


def test_what_a_pickle_would_call_is_never_called(tmp_path):
    victim = tmp_path / "victim"

    class Evil:
        def __reduce__(self):
            return Path.touch, (victim,)

    with pytest.raises(WeightsError, match="its code was not run"):
        read(tmp_path, {"state_dict": STATE, "args": Evil()})
    assert not victim.exists()


def test_of_an_average_beside_the_weights_is_said_what_is_taken(tmp_path, caplog):
    checkpoints._warn_once.cache_clear()
    content = {"state_dict": STATE, "state_dict_ema": AVERAGE, "epoch": 1}
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert same(read(tmp_path, content), STATE)
    said = "w.ckpt: holds state_dict, state_dict_ema; state_dict is taken; to take another, write"
    assert len(caplog.messages) == 1
    assert f"{said} `part: state_dict_ema`" in caplog.messages[0]
    caplog.clear()
    assert same(read(tmp_path, content, "state_dict_ema"), AVERAGE)
    assert same(read(tmp_path, {"state_dict_ema": AVERAGE, "epoch": 1}), AVERAGE)
    assert not caplog.messages


def test_a_part_is_an_entry_or_what_names_begin_with(tmp_path):
    both = {"student": {f"module.{x}": y for x, y in STATE.items()}, "teacher": AVERAGE, "epoch": 1}
    assert same(read(tmp_path, both, "student"), STATE)
    assert same(read(tmp_path, both, "teacher"), AVERAGE)
    flat = {f"net.q.{x}": y for x, y in STATE.items()} | {f"k.{x}": y for x, y in AVERAGE.items()}
    assert same(read(tmp_path, flat, "net.q"), STATE)
    assert same(read(tmp_path, {"state_dict": flat}, "k."), AVERAGE)
    with pytest.raises(WeightsError, match=r"w\.ckpt: has no part 'x'; parts that it has: net, k$"):
        read(tmp_path, flat, "x")
    with pytest.raises(WeightsError, match=r"parts that it has: student, teacher"):
        read(tmp_path, both, "x")


def test_a_checkpoint_that_holds_itself_ends(tmp_path):
    for key in ("state_dict", "mine"):
        content: dict[str, object] = {}
        content[key] = content
        with pytest.raises(WeightsError, match="state dict"):
            read(tmp_path, content)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_numbers_that_are_not_finite_are_counted_and_named(tmp_path, bad, suffix, kind):
    broken = torch.ones(2, 3, dtype=kind)
    broken[0] = bad
    file = tmp_path / f"w{suffix}"
    save = safetensors.torch.save_file if suffix == ".safetensors" else torch.save
    save({"conv.bias": STATE["conv.bias"], "conv.weight": broken}, file)
    said = rf"^{file}: 3 of the 6 numbers of 'conv\.weight' are NaN or infinite; "
    with pytest.raises(WeightsError, match=said):
        read_state(file)


def test_pipes_and_sockets_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.pth"))
        for name in ("pipe.pth", "socket.pth"):
            with pytest.raises(WeightsError, match=f"{name}: is no regular file"):
                read_state(tmp_path / name)
