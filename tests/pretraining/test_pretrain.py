import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from PIL import Image
from safetensors.torch import load_file

from ktg.data.open import open_data, open_test
from ktg.errors import SpecError, UserError, WeightsError
from ktg.graph import Data, Graph, parse, yaml_files
from ktg.local import cache_folder
from ktg.pretraining.pretrain import BusyError, identify, pretrain
from ktg.pretraining.recipe import build_recipe
from ktg.tracking import MemoryTracker
from ktg.training import Training
from ktg.zoo import Zoo


class Killed(BaseException):
    """Stands for a process that is killed."""


def kill_after(number):
    def on_epoch(epoch, epochs):
        assert epochs == 3
        if epoch.number == number:
            raise Killed

    return on_epoch


def weights(zoo: Zoo, name: str = "fractaldb") -> dict[str, torch.Tensor]:
    return load_file(zoo.find_weights(name, "resnet8"))


def homes() -> list[Path]:
    return [path for path in (cache_folder() / "pretraining").iterdir() if path.is_dir()]


def test_the_entry_is_what_the_engine_trains(graph, zoo):
    tracker, epochs = MemoryTracker(), []
    done = pretrain(
        graph, "fractaldb", tracker, device="cpu", on_epoch=lambda *told: epochs.append(told)
    )
    training = Training(graph, open_data(graph.data), device="cpu")
    accuracies = [epoch.val_accuracy for epoch in training]
    for name, tensor in training.target.body.state_dict().items():
        assert torch.equal(weights(zoo)[name], tensor), name
    card = done.card
    assert done.new and card == zoo.get("fractaldb", "resnet8")
    assert (card.accuracy, card.epochs, card.images) == (
        accuracies[-1],
        3,
        len(training.dataset.train),
    )
    assert (card.mean, card.std, card.input_size) == ((0.2,) * 3, (0.5,) * 3, 16)
    assert card.classes == ("00000", "00001", "00002")
    assert card.data == "fractaldb: 3 classes, 51 training images of 16 x 16 pixels"
    said = card.provenance
    assert (said["points"], said["scale"], said["size"], said["kept_epoch"]) == (300, 0.4, 16, 3)
    assert [(epoch.number, of) for epoch, of in epochs] == [(1, 3), (2, 3), (3, 3)]
    (run,) = tracker.runs.values()
    assert [value for _, value in run.history("val_accuracy")] == accuracies
    assert run.state == "finished" and {"graph.yaml", "graph.svg"} <= run.artifacts.keys()
    assert not homes()


def test_the_graph_of_the_card_trains_to_the_same_weights(graph, zoo):
    card = pretrain(graph, "fractaldb", MemoryTracker(), device="cpu").card
    told = parse(json.loads(card.provenance["graph"]))
    assert told == graph
    again = pretrain(told, "again", MemoryTracker(), device="cpu").card
    assert again.sha256 == card.sha256
    assert (
        0
        <= Training(told, open_data(told.data), device="cpu").test(open_test(told.data)).accuracy
        <= 1
    )


def test_a_node_begins_with_the_entry_and_its_normalisation(graph, zoo, tiny):
    pretrain(graph, "fractaldb", MemoryTracker(), device="cpu")
    plain = {
        "data": {"path": str(tiny)},
        "nodes": {"n0": {"model": "resnet8", "source": "fractaldb"}},
    }
    tuned = parse(plain | {"edges": {"label -> n0": {}}})
    network = Training(tuned, open_data(tuned.data), device="cpu").target
    torch.testing.assert_close(network.mean.flatten(), torch.full((3,), 0.2))
    for name, tensor in network.body.state_dict().items():
        if name not in network.head:
            assert torch.equal(weights(zoo)[name], tensor), name


@pytest.mark.parametrize("keep", ["last", "best"])
def test_a_killed_training_goes_on_to_the_same_weights(graph, zoo, tmp_path, monkeypatch, keep):
    tracker = MemoryTracker()
    for epoch in (1, 2):
        with pytest.raises(Killed):
            pretrain(graph, "killed", tracker, keep=keep, device="cpu", on_epoch=kill_after(epoch))
        assert zoo.list_cards() == []
    told = []
    killed = pretrain(
        graph,
        "killed",
        tracker,
        keep=keep,
        device="cpu",
        on_epoch=lambda epoch, _: told.append(epoch),
    )
    assert [epoch.number for epoch in told] == [3]
    (run,) = tracker.runs.values()
    assert [step for step, _ in run.metrics] == [1, 2, 3]
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "another"))
    whole = pretrain(graph, "whole", MemoryTracker(), keep=keep, device="cpu")
    assert (killed.card.sha256, killed.card.accuracy) == (whole.card.sha256, whole.card.accuracy)


def test_a_training_killed_before_its_entry_was_made_is_not_repeated(graph, zoo):
    with pytest.raises(Killed):
        pretrain(graph, "late", MemoryTracker(), device="cpu", on_epoch=kill_after(3))
    told = []
    card = pretrain(
        graph, "late", MemoryTracker(), device="cpu", on_epoch=lambda *one: told.append(one)
    ).card
    assert not told and card.provenance["kept_epoch"] == 3


def test_anew_begins_again(graph):
    with pytest.raises(Killed):
        pretrain(graph, "a", MemoryTracker(), device="cpu", on_epoch=kill_after(2))
    told = []
    pretrain(
        graph,
        "a",
        MemoryTracker(),
        anew=True,
        device="cpu",
        on_epoch=lambda epoch, _: told.append(epoch.number),
    )
    assert told == [1, 2, 3]


def test_a_damaged_checkpoint_says_how_to_go_on(graph):
    with pytest.raises(Killed):
        pretrain(graph, "a", MemoryTracker(), device="cpu", on_epoch=kill_after(1))
    (checkpoint,) = homes()[0].iterdir()
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(
        WeightsError, match=r"\.pt: is not a checkpoint of ktg, or is damaged.*; begin --anew"
    ):
        pretrain(graph, "a", MemoryTracker(), device="cpu")
    assert pretrain(graph, "a", MemoryTracker(), anew=True, device="cpu").new


def test_best_keeps_the_best_epoch_and_its_weights(graph, zoo):
    graph = replace(graph, train=replace(graph.train, lr=0.5, epochs=6))
    accuracies, states = [], []
    training = Training(graph, open_data(graph.data), device="cpu")
    for epoch in training:
        accuracies.append(epoch.val_accuracy)
        states.append(
            {name: tensor.clone() for name, tensor in training.target.body.state_dict().items()}
        )
    best = accuracies.index(max(accuracies))
    card = pretrain(graph, "best", MemoryTracker(), keep="best", device="cpu").card
    assert (card.accuracy, card.provenance["kept_epoch"]) == (accuracies[best], best + 1)
    assert all(
        torch.equal(weights(zoo, "best")[name], tensor) for name, tensor in states[best].items()
    )


def test_what_is_there_is_not_trained_again(graph, zoo):
    first = pretrain(graph, "a", MemoryTracker(), device="cpu")
    again = pretrain(graph, "a", MemoryTracker(), device="cpu", on_epoch=kill_after(1))
    assert (again.card, again.new) == (first.card, False)


def test_an_entry_made_otherwise_is_replaced_only_if_that_is_said(graph, zoo):
    first = pretrain(graph, "a", MemoryTracker(), device="cpu")
    other = replace(graph, train=replace(graph.train, seed=1))
    with pytest.raises(
        UserError,
        match=r"a/resnet8\.yaml: the zoo has a source 'a' for resnet8 already, made otherwise",
    ):
        pretrain(other, "a", MemoryTracker(), device="cpu", on_epoch=kill_after(1))
    second = pretrain(other, "a", MemoryTracker(), replace=True, device="cpu")
    assert second.new and second.card.sha256 != first.card.sha256
    assert zoo.get("a", "resnet8") == second.card


def test_one_process_at_a_time(graph):
    identity = identify(graph, open_data(graph.data), "last")
    lock = cache_folder() / "pretraining" / f"{identity}.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock), pytest.raises(BusyError, match="another process is training this"):
        pretrain(graph, "a", MemoryTracker(), wait=False, device="cpu", on_epoch=kill_after(1))
    assert pretrain(graph, "a", MemoryTracker(), wait=False, device="cpu").new


def test_a_full_disk_is_one_sentence_and_loses_nothing(graph, zoo):
    resource = pytest.importorskip("resource")
    with pytest.raises(Killed):
        pretrain(graph, "a", MemoryTracker(), device="cpu", on_epoch=kill_after(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (50_000, hard)
    )  # a file cannot grow larger, as on a disk without room
    try:
        with pytest.raises(
            UserError,
            match=r"\.pt: cannot be written: .*; mend that and run the same command again",
        ):
            pretrain(graph, "a", MemoryTracker(), device="cpu")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.suffix for path in homes()[0].iterdir()] == [".pt"]
    told = []
    pretrain(
        graph,
        "a",
        MemoryTracker(),
        device="cpu",
        on_epoch=lambda epoch, _: told.append(epoch.number),
    )
    assert told == [2, 3]


def test_folders_that_cannot_be_written_are_found_before_training(graph, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file"):
        pretrain(
            graph,
            "a",
            MemoryTracker(),
            zoo=Zoo(tmp_path / "file" / "zoo"),
            device="cpu",
            on_epoch=kill_after(1),
        )
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="cannot be written: Not a directory"):
        pretrain(graph, "a", MemoryTracker(), device="cpu", on_epoch=kill_after(1))


def photos_of(folder: Path, *classes: str) -> Graph:
    """A graph that pretrains on twelve grey images of each class, for one epoch."""
    for number, name in enumerate(classes):
        (folder / "photos" / name).mkdir(parents=True)
        for light in range(12):
            image = Image.new("L", (16, 16), 20 * number + light)
            image.save(folder / "photos" / name / f"{light}.png")
    data = Data(path=str(folder / "photos"))
    return build_recipe(data, "resnet8", size=16, epochs=1, batch_size=8)


def test_classes_are_called_what_people_call_them(tmp_path, zoo):
    names = (
        "caf\u00e9\u00a0noir",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u7d05\u3000\u8336",
    )
    graph = photos_of(tmp_path, *names)
    pretrain(graph, "drinks", MemoryTracker(), device="cpu")
    assert zoo.get("drinks", "resnet8").classes == names


@pytest.mark.parametrize("name", ["two\nlines", "right\u200fleft"])
def test_a_name_that_no_card_can_have_is_found_before_training(tmp_path, name):
    graph = photos_of(tmp_path, "plain", name)
    with pytest.raises(SpecError, match=r"^classes\[1\]: must be one line of printable"):
        pretrain(graph, "a", MemoryTracker(), device="cpu", on_epoch=kill_after(1))


def test_a_card_that_is_too_large_is_found_before_training(graph, monkeypatch):
    monkeypatch.setattr(yaml_files, "LARGEST_BYTES", 500)
    with pytest.raises(SpecError, match="is larger than 500 bytes"):
        pretrain(graph, "a", MemoryTracker(), device="cpu", on_epoch=kill_after(1))


def test_an_entry_for_a_network_with_a_tag_is_one_for_the_network(tmp_path, zoo):
    graph = with_node(photos_of(tmp_path, "a", "b"), model="resnet18.a1_in1k")
    assert pretrain(graph, "birds", MemoryTracker(), device="cpu").card.model == "resnet18"
    assert not pretrain(graph, "birds", MemoryTracker(), device="cpu").new
    for model in ("resnet18", "resnet18.a1_in1k", "timm/resnet18"):
        begun = with_node(graph, model=model, source="zoo/birds")
        network = Training(begun, open_data(begun.data), device="cpu").target
        assert torch.equal(
            network.body.conv1.weight,
            load_file(zoo.find_weights("birds", "resnet18"))["conv1.weight"],
        )


def test_what_cannot_be_trained(graph, tiny):
    nodes = {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}}
    two = parse({"data": {"path": str(tiny)}, "nodes": nodes, "edges": {"label -> any": {}}})
    for wrong, name, message in (
        (two, "a", "nodes: pretraining trains one network"),
        (graph, "a b", "'a b' cannot name an entry"),
        (
            with_node(graph, model="resnet9000"),
            "a",
            r"nodes\.n0\.model: 'resnet9000' is not a model",
        ),
        (with_node(graph, source="zoo/none-such"), "a", r"nodes\.n0\.source: .*none-such"),
    ):
        with pytest.raises(SpecError, match=message):
            pretrain(wrong, name, MemoryTracker(), device="cpu")


def with_node(graph: Graph, **fields) -> Graph:
    return replace(graph, nodes={"n0": replace(graph.nodes["n0"], **fields)})
