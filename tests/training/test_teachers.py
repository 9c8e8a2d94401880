"""Teachers are named by everything that goes into them, and by nothing else."""

import dataclasses
import errno
import threading
from pathlib import Path

import torch
from filelock import FileLock

from ktg.data import open_data
from ktg.graph import Graph, parse
from ktg.graph.canonical import independent_graph
from ktg.models.build import build_network
from ktg.training import loop, tensor_cache
from ktg.training.teachers import compute_teacher_key, load_teacher


def graph(tiny: Path, model: str = "resnet8", edges: dict | None = None, **train) -> Graph:
    return parse(
        {
            "data": {"path": str(tiny), "batch_size": 32},
            "train": {"epochs": 1, **train},
            "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": model}},
            "edges": edges or {"label -> n0": {}, "n1 -> n0": {}},
        }
    )


def test_the_key_depends_on_model_schedule_seed_data_and_split_only(tiny: Path):
    data = open_data(graph(tiny).data)

    def name(*args, final: bool = False, fingerprint: str = data.fingerprint, **train) -> str:
        other = dataclasses.replace(data, fingerprint=fingerprint)
        return compute_teacher_key(graph(tiny, *args, **train), "n1", other, final=final)

    assert name() == name(
        "resnet8", {"label -> n0": {"gate": "linear"}, "n1 -> n0": {"gate": "correct"}}
    )
    others = [
        name("resnet14"),
        name(epochs=2),
        name(seed=1),
        name(fingerprint="other"),
        name(final=True),
    ]
    assert len({name(), *others}) == 6


def test_many_who_want_one_teacher_train_it_once(tiny: Path, tmp_path: Path):
    made = []

    def count(*parts):
        made.append(1)
        return loop.train_alone(*parts)

    one, data = graph(tiny), open_data(graph(tiny).data)
    networks = [
        build_network(
            one.nodes["n1"], {}, classes=4, image_size=8, mean=[0.5], std=[0.5], seed=seed
        )
        for seed in range(3)
    ]

    def fetch(network) -> None:
        load_teacher(network, one, "n1", data, torch.device("cpu"), count, cache=tmp_path)

    threads = [threading.Thread(target=fetch, args=(network,)) for network in networks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    first = networks[0].body.state_dict()
    assert all(
        torch.equal(first[name], t) for n in networks[1:] for name, t in n.body.state_dict().items()
    )
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_disk_that_takes_no_teacher_stops_no_training(tiny: Path, tmp_path: Path, monkeypatch):
    def full(state, path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tensor_cache, "save_file", full)
    one, data = graph(tiny), open_data(graph(tiny).data)
    network = build_network(
        one.nodes["n1"], {}, classes=4, image_size=8, mean=[0.5], std=[0.5], seed=3
    )
    cpu = torch.device("cpu")
    load_teacher(network, one, "n1", data, cpu, loop.train_alone, cache=tmp_path)
    expected = loop.train_alone(independent_graph(one, "n1"), data, cpu, False)
    state = network.body.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())


def test_teachers_used_longest_ago_make_room(tiny: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("KTG_CACHE_GIB", str(100 / 2**20))  # 100 KiB; a resnet8 has 300
    one, data = graph(tiny), open_data(graph(tiny).data)
    old, locked = (tmp_path / f"solo/{name}.safetensors" for name in ("old", "locked"))
    old.parent.mkdir()
    for file in (old, locked):
        file.write_bytes(bytes(1024))
    network = build_network(
        one.nodes["n1"], {}, classes=4, image_size=8, mean=[0.5], std=[0.5], seed=0
    )
    device = torch.device("cpu")
    with FileLock(locked.with_suffix(".lock")):
        load_teacher(network, one, "n1", data, device, loop.train_alone, cache=tmp_path)
    assert (old.exists(), locked.exists()) == (False, True)
