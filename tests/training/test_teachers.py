"""Teachers are named by everything that goes into them, and by nothing else."""

import dataclasses
import errno
import itertools
import threading
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file
from zoos import card
from zoos import weights as zoo_weights

from ktg.data import open_data
from ktg.errors import KtgError, SpecError
from ktg.graph import Graph, dump, parse, parse_space
from ktg.graph.canonical import independent_graph, with_fold
from ktg.models.build import build_network
from ktg.models.state_dicts import write_weights
from ktg.searching.baselines import distilled_ensemble
from ktg.training import loop, tensor_cache
from ktg.training.teachers import compute_teacher_key, load_teacher
from ktg.zoo import Zoo


def graph(tiny: Path, model: str = "resnet8", edges: dict | None = None, **train) -> Graph:
    return parse(
        {
            "data": {"path": str(tiny), "batch_size": 32},
            "train": {"epochs": 1, "lr": 0.1, **train},
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


@pytest.mark.parametrize(
    ("keep", "final", "counts"),
    [("best", False, True), ("best", True, False), ("last", False, False)],
)
def test_the_metric_counts_where_the_best_epoch_is_kept(tiny: Path, keep, final, counts):
    one = graph(tiny, keep=keep)
    data = open_data(one.data)
    keys = {
        compute_teacher_key(one, "n1", data, final=final, metric=metric)
        for metric in ("accuracy", "loss", "macro_f1")
    }
    assert len(keys) == (3 if counts else 1)
    assert compute_teacher_key(one, "n1", data, final=final) in keys


def test_a_teacher_is_kept_by_the_metric_and_in_the_cache_of_the_training(
    tiny: Path, tmp_path: Path, monkeypatch
):
    made = []

    class Noted(loop.Training):
        def __init__(self, *given, **named):
            super().__init__(*given, **named)
            made.append((len(self.graph.nodes), self.metric, self._best.metric, self._cache))

    monkeypatch.setattr(loop, "Training", Noted)
    one = graph(tiny, keep="best")
    Noted(one, open_data(one.data), device="cpu", cache=tmp_path, metric="loss")
    assert made == [(1, "loss", "loss", tmp_path), (2, "loss", "loss", tmp_path)]


def test_how_the_card_of_its_source_normalises_counts(tiny: Path, tmp_path: Path, monkeypatch):
    """Nothing else of two entries of equal weights differs: neither name nor content."""
    one = graph(tiny)
    nodes = {**one.nodes, "n1": dataclasses.replace(one.nodes["n1"], source="zoo/animals")}
    one, data = dataclasses.replace(one, nodes=nodes), open_data(one.data)
    keys = set()
    for mean in (0.5, 0.4):
        folder = tmp_path / str(mean)
        folder.mkdir()
        Zoo(folder / "zoo").add(card(mean=(mean,)), zoo_weights(folder / "file.safetensors"))
        monkeypatch.setenv("KTG_ZOO", str(folder / "zoo"))
        keys.add(compute_teacher_key(one, "n1", data, final=False))
    assert len(keys) == 2


def test_three_copies_of_a_teacher_teach_together_and_are_not_alike(tiny: Path, tmp_path: Path):
    alone = graph(tiny)
    space = parse_space({**dump(alone), "search": {"trials": 30}})
    data = open_data(alone.data)
    begun = loop.Training(distilled_ensemble(space.bind({})), data, device="cpu", cache=tmp_path)
    stems = [next(network.body.parameters()) for network in begun.teachers.values()]
    assert len(stems) == len(begun.teacher_keys) == 3
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(stems, 2))
    assert compute_teacher_key(alone, "n1", data, final=False) in begun.teacher_keys.values()
    assert [round(epoch.number) for epoch in begun] == [1]


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


def test_what_a_node_says_of_its_training_replaces_what_train_says(tiny: Path):
    """So a search over `train.lr` does not train a teacher anew that has a rate of its own."""
    own = {"lr": 0.01, "optimizer": "adamw", "epochs": 3, "batch_size": 16, "schedule": "step"}
    data = open_data(graph(tiny).data)

    def name(node: dict, data_section: dict | None = None, **train) -> str:
        one = graph(tiny, **{"epochs": 5, **train})
        nodes = {**one.nodes, "n1": dataclasses.replace(one.nodes["n1"], **node)}
        spec = dataclasses.replace(one.data, **(data_section or {}))
        whole = dataclasses.replace(one, nodes=nodes, data=spec)
        return compute_teacher_key(whole, "n1", data, final=False)

    same = [
        name(own),
        name(own, lr=1.0),
        name(own, optimizer="adam"),
        name(own, epochs=7),
        name(own, schedule="constant"),
        name(own, {"batch_size": 8}),
        name(own, {"views": 3}),
        name(own, {"unlabelled_share": 0.9, "unlabelled": ("auto",)}),
    ]
    assert len(set(same)) == 1
    others = [name({}), name({}, lr=1.0), name({}, epochs=7), name(own, momentum=0.5)]
    assert len({*same, *others}) == 5


def test_images_without_labels_are_nothing_to_a_teacher(tiny: Path, tmp_path: Path):
    few = dataclasses.replace(graph(tiny).data, per_class=8)
    plain = dataclasses.replace(graph(tiny), data=few)
    more = dataclasses.replace(plain, data=dataclasses.replace(few, unlabelled=("auto",)))
    keys = {
        compute_teacher_key(each, "n1", open_data(each.data), final=False) for each in (plain, more)
    }
    assert len(keys) == 1


def test_a_teacher_has_a_length_of_its_own(tiny: Path, tmp_path: Path):
    one, data = graph(tiny, epochs=2), open_data(graph(tiny).data)
    nodes = {**one.nodes, "n1": dataclasses.replace(one.nodes["n1"], epochs=1, batch_size=16)}
    long = dataclasses.replace(one, nodes=nodes)
    seen = []

    def note(alone, *rest):
        seen.append((alone.train.epochs, alone.data.batch_size))
        return loop.train_alone(alone, *rest)

    network = build_network(
        one.nodes["n1"], {}, classes=4, image_size=8, mean=[0.5], std=[0.5], seed=0
    )
    load_teacher(network, long, "n1", data, torch.device("cpu"), note, cache=tmp_path)
    assert seen == [(1, 16)]


def final_graph(tiny: Path, weights: Path, labels: Path | None, **node) -> Graph:
    stated = {"path": str(weights)} | ({"labels": str(labels)} if labels else {})
    return parse(
        {
            "version": 1,
            "data": {"path": str(tiny), "batch_size": 32},
            "train": {"epochs": 1},
            "sources": {"mine": stated},
            "nodes": {
                "n0": {"model": "resnet8"},
                "guru": {"model": "resnet8", "source": "mine", "epochs": 0, **node},
            },
            "edges": {"label -> n0": {}, "guru -> n0": {}},
        }
    )


@pytest.fixture
def weights(tmp_path: Path, tiny: Path) -> Path:
    """A trained resnet8 of the four classes of `tiny`."""
    alone = parse(
        {
            "data": {"path": str(tiny), "batch_size": 32},
            "train": {"epochs": 1},
            "nodes": {"n0": {"model": "resnet8"}},
            "edges": {"label -> n0": {}},
        }
    )
    state = loop.train_alone(alone, open_data(alone.data), torch.device("cpu"), False)
    write_weights(state, tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def test_weights_that_are_final_teach_as_they_are(tiny, weights, tmp_path):
    (tmp_path / "labels.txt").write_text("0\n1\n2\n3\n")
    for labels in (tmp_path / "labels.txt", None):
        one = final_graph(tiny, weights, labels)
        training = loop.Training(one, open_data(one.data), device="cpu", cache=tmp_path / "cache")
        state = training.teachers["n1"].body.state_dict()
        assert all(torch.equal(state[name], x) for name, x in load_file(weights).items())
    assert not list((tmp_path / "cache").glob("solo/*.safetensors"))


def test_a_head_for_other_classes_cannot_teach_as_it_is(tiny, weights, tmp_path):
    (tmp_path / "labels.txt").write_text("cat\ndog\nowl\nbee\n")
    one = final_graph(tiny, weights, tmp_path / "labels.txt")
    with pytest.raises(SpecError, match=r"nodes\.guru\.epochs: 0 .* a head for 4 other classes"):
        loop.Training(one, open_data(one.data), device="cpu", cache=tmp_path / "cache")
    probe = final_graph(tiny, weights, tmp_path / "labels.txt", head="probe")
    training = loop.Training(probe, open_data(one.data), device="cpu", cache=tmp_path / "cache")
    state, given = training.teachers["n1"].body.state_dict(), load_file(weights)
    other = {name for name in given if not torch.equal(state[name], given[name])}
    assert other == training.teachers["n1"].head
    state = load_file(weights)
    write_weights({n: x for n, x in state.items() if n not in other}, weights)
    bare = final_graph(tiny, weights, None)
    with pytest.raises(SpecError, match="mine has no head for these classes; allowed: 1 or more"):
        loop.Training(bare, open_data(bare.data), device="cpu", cache=tmp_path / "cache")


def test_a_head_that_is_named_for_the_classes_is_another_teacher_than_a_probe(
    tiny, weights, tmp_path
):
    """Though no weights differ, nor anything that a graph says of the training."""
    labels = tmp_path / "labels.txt"

    def teach(names: str) -> tuple[str, torch.Tensor]:
        labels.write_text(names)
        one = final_graph(tiny, weights, labels, head="probe")
        training = loop.Training(one, open_data(one.data), device="cpu", cache=tmp_path / "cache")
        return training.teacher_keys["n1"], training.teachers["n1"].body.linear.weight

    other_key, probe = teach("cat\ndog\nowl\nbee\n")
    key, head = teach("0\n1\n2\n3\n")
    assert key != other_key
    assert not torch.equal(probe, head)


@pytest.mark.parametrize(
    ("node", "told"),
    [
        ({"batch_size": 512}, r"^nodes\.guru\.batch_size: 512 is more than the \d+ images of the"),
        (
            {"lr": 1e30, "optimizer": "sgd"},
            r"^nodes\.guru, trained by itself: the loss of edge label -> guru became .*"
            r"try a lower nodes\.guru\.lr or set train\.clip_norm$",
        ),
        (
            {
                "model": "torchvision/squeezenet1_1",
                "input_size": 32,
                "epochs": 0,
                "head": "probe",
            },
            r"^nodes\.guru\.head: no probe can be fitted for torchvision/squeezenet1_1",
        ),
    ],
)
def test_an_error_of_its_own_training_names_what_the_user_wrote(tiny, tmp_path, node, told):
    plain = {
        "data": {"path": str(tiny), "batch_size": 32},
        "train": {"epochs": 1},
        "nodes": {"n0": {"model": "resnet8"}, "guru": {"model": "resnet8", **node}},
        "edges": {"label -> n0": {}, "guru -> n0": {}},
    }
    one = parse(plain)
    with pytest.raises(KtgError, match=told):
        loop.Training(one, open_data(one.data), device="cpu", cache=tmp_path)


def test_a_teacher_never_saw_an_image_that_its_student_is_validated_on(tiny: Path, tmp_path: Path):
    taught, keys = [], set()

    def spy(alone, dataset, device, final):
        rows = range(len(dataset.train))
        taught.append((alone, {image.tobytes() for image in dataset.train.read(rows)}))
        return loop.train_alone(alone, dataset, device, final)

    for fold in range(4):
        one = with_fold(graph(tiny), 4, fold)
        data = open_data(one.data)
        keys.add(compute_teacher_key(one, "n1", data, final=False))
        network = build_network(
            one.nodes["n1"], {}, classes=4, image_size=8, mean=[0.5], std=[0.5], seed=0
        )
        for _ in range(2):  # the second time it is in the cache
            load_teacher(network, one, "n1", data, torch.device("cpu"), spy, cache=tmp_path)
        held = {image.tobytes() for image in data.val.read(range(len(data.val)))}
        assert len(taught) == fold + 1
        alone, seen = taught[-1]
        assert (alone.data.folds, alone.data.fold) == (4, fold)
        assert len(seen) == len(data.train) > len(held) > 0
        assert seen.isdisjoint(held)
    assert len(keys) == 4
