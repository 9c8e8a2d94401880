"""An error of torch in a training is one sentence that names the node, the epoch and the step."""

import dataclasses
import shutil

import pytest
import torch

from ktg.data.open import open_data
from ktg.errors import SpecError, TrainingError
from ktg.graph import LABEL, Data, Edge, Graph, Node, Train
from ktg.training import Training, assembly, training_batches
from ktg.training.step_errors import explain_errors, is_out_of_memory


@pytest.fixture
def graph(tiny) -> Graph:
    return Graph(
        data=Data(path=str(tiny), batch_size=16, augment="none"),
        nodes={"mine": Node(model="resnet8")},
        edges={(LABEL, "mine"): Edge(loss="ce")},
        train=Train(epochs=1),
    )


def train(graph: Graph) -> None:
    next(Training(graph, open_data(graph.data), device="cpu"))


def change(graph: Graph, batch_size: int = 16, **node) -> Graph:
    data = dataclasses.replace(graph.data, batch_size=batch_size)
    return dataclasses.replace(graph, data=data, nodes={"mine": Node(**node)})


def test_batch_norm_of_one_image(graph: Graph):
    alone = change(graph, 1, model="torchvision/resnet18")
    said = (
        r"^epoch 1, step 1 of 104, nodes\.mine \(torchvision/resnet18\): Expected more than 1 "
        r"value per channel.*; batch norm needs more than data\.batch_size 1"
    )
    with pytest.raises(TrainingError, match=said):
        train(alone)


def test_what_only_a_step_shows_to_be_wrong(graph: Graph):
    training = Training(graph, open_data(graph.data), device="cpu")
    body = training.target.body

    def fail(*_: object) -> None:
        if body.training:
            raise RuntimeError("no\nmore")

    body.register_forward_pre_hook(fail)
    with pytest.raises(
        TrainingError, match=r"^epoch 1, step 1 of 6, nodes\.mine \(resnet8\): .*no"
    ):
        next(training)


def test_a_network_that_fails_in_validation_or_test(graph: Graph, monkeypatch):
    training = Training(graph, open_data(graph.data), device="cpu")
    body = training.target.body

    def fail(*_: object) -> None:
        if not body.training:
            raise RuntimeError("no\nmore")

    body.register_forward_pre_hook(fail)
    with pytest.raises(TrainingError, match=r"^epoch 1, validation: torch says: no$"):
        next(training)
    for act in (training.test, training.predict, training.features):
        with pytest.raises(TrainingError, match=r"torch says: no$"):
            act(training.images)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_the_cause_is_kept_for_whoever_can_do_more(error):
    said = r"^here: out of memory at data\.batch_size 8; try 4$"
    with pytest.raises(TrainingError, match=said) as raised, explain_errors("here", 8):
        raise error
    assert is_out_of_memory(raised.value.__cause__)


def test_a_gpu_that_failed_is_called_so():
    said = r"^here: the GPU failed: CUDA error$"
    with pytest.raises(TrainingError, match=said), explain_errors("here", 8):
        raise torch.AcceleratorError("CUDA error\nmore")


def test_without_a_batch_the_network_is_too_large():
    said = r"^here: out of memory; end other programs, or try a smaller network or smaller images$"
    with pytest.raises(TrainingError, match=said), explain_errors("here"):
        raise MemoryError


def test_an_error_of_a_process_that_reads_ahead_is_its_last_line():
    where = "Caught OSError in DataLoader worker process 0.\nOriginal Traceback (most recent call"
    said = r"^here: OSError: \[Errno 5\] Input/output error$"
    with pytest.raises(TrainingError, match=said), explain_errors("here", 8):
        raise OSError(f"{where} last):\n  File\nOSError: [Errno 5] Input/output error")


def test_too_little_memory_for_the_networks(graph: Graph, monkeypatch):
    monkeypatch.setattr(assembly, "build_network", fail)
    said = r"^building the networks: out of memory; end other programs"
    with pytest.raises(TrainingError, match=said) as raised:
        Training(graph, open_data(graph.data), device="cpu")
    assert is_out_of_memory(raised.value.__cause__)


def test_too_little_memory_for_a_batch(graph: Graph, monkeypatch):
    training = Training(graph, open_data(graph.data), device="cpu")
    monkeypatch.setitem(training_batches.AUGMENTS, "none", fail)
    said = r"^epoch 1: out of memory at data\.batch_size 16; try 8$"
    with pytest.raises(TrainingError, match=said):
        next(training)


def fail(*_: object, **__: object) -> None:
    raise MemoryError


def test_an_image_that_is_gone_when_it_is_read(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "photos")
    images = Data(path=str(tmp_path / "photos"), size=16, batch_size=8, cache="never")
    graph = Graph(
        data=images,
        nodes={"mine": Node(model="resnet8")},
        edges={(LABEL, "mine"): Edge(loss="ce")},
        train=Train(epochs=1),
    )
    data = open_data(images)
    shutil.rmtree(tmp_path / "photos" / "train")
    said = r"^moving images to the device: train/\S+: No such file or directory$"
    with pytest.raises(TrainingError, match=said):
        Training(graph, data, device="cpu")


def test_what_ktg_says_itself_is_left_as_it_is():
    with pytest.raises(SpecError, match=r"^a: b$"), explain_errors("here", 8):
        raise SpecError("a", "b")
