"""Teachers are asked once: what they said is what they would say, shared, and gone on with."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ktg.data import Images, open_data
from ktg.data.cache_limit import remove_unless_held
from ktg.data.views import open_view
from ktg.errors import TrainingError
from ktg.graph import Data, Graph, Node, parse
from ktg.models.build import build_network
from ktg.models.maps import find_last_maps
from ktg.models.state_dicts import write_weights
from ktg.training import Training, answers
from ktg.training.answers import Answers, Question, Teacher, join_answers, keep_answers

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
LABEL = {"label -> n0": {}}


def make(tiny: Path, edge: dict | None = None, data: dict | None = None, **nodes: dict) -> Graph:
    """A student and a teacher that are shown the images as they are, or as `data` says."""
    own = {"n0": {"model": "resnet8"}, "n1": {"model": "resnet14"}}
    return parse(
        {
            "data": {"path": str(tiny), "batch_size": 24, "augment": "none", **(data or {})},
            "train": {"epochs": 3, "lr": 0.05},
            "nodes": {name: {**node, **nodes.get(name, {})} for name, node in own.items()},
            "edges": {**LABEL, "n1 -> n0": edge or {}},
        }
    )


def count_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def training_of(graph: Graph, cache: Path) -> Training:
    return Training(graph, open_data(graph.data), device="cpu", cache=cache)


def figures(training: Training) -> list[dict[str, float]]:
    clocks = ("epoch_s", "images_per_s", "peak_memory_mib")
    return [
        {key: value for key, value in epoch.metrics().items() if key not in clocks}
        for epoch in training
    ]


def images_seen(training: Training, node: str = "n1") -> list[int]:
    """Return a list to which each batch that goes through the node's backbone adds its size."""
    seen: list[int] = []
    training.trained_networks[node].body.conv1.register_forward_hook(
        lambda _m, inputs, _o: seen.append(len(inputs[0]))
    )
    return seen


@pytest.fixture
def question() -> Question:
    node = make(Path("x")).nodes["n1"]
    network = build_network(node, {}, classes=4, image_size=8, mean=[0.5], std=[0.5], seed=0)
    return Question(network.eval(), CPU, torch.float32, True, find_last_maps(network)[:2])


@pytest.fixture
def images(tiny: Path) -> Images:
    return open_data(Data(path=str(tiny))).train  # 104, in two pieces


def test_what_is_kept_is_what_the_teacher_says(question, images, tmp_path):
    teacher = Teacher("a" * 64, question, "none")
    kept = keep_answers(teacher, images.take(np.arange(100)), tmp_path)
    rows = torch.tensor([99, 0, 63, 64, 0])
    got = kept.take(rows)
    pixels = torch.from_numpy(images.read(rows.numpy())).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        said = question(pixels)
    assert (got.features.shape, len(got.maps)) == ((5, 64), 2)
    torch.testing.assert_close(got.logits, said.logits)
    torch.testing.assert_close(got.features, said.features)
    for one, other in zip(got.maps, said.maps, strict=True):
        torch.testing.assert_close(one, other)


def test_a_large_entry_is_read_from_its_file(question, images, tmp_path, monkeypatch):
    teacher, rows = Teacher("a" * 64, question, "none"), torch.tensor([7, 103, 7])
    resident = keep_answers(teacher, images, tmp_path)
    monkeypatch.setattr(answers, "RESIDENT_BYTES", 0)
    mapped = keep_answers(teacher, images, tmp_path)
    assert not mapped._resident
    one, other = resident.take(rows), mapped.take(rows)
    assert torch.equal(one.logits, other.logits)
    assert all(torch.equal(a, b) for a, b in zip(one.maps, other.maps, strict=True))


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_a_process_that_was_killed_is_gone_on_from(question, images, tmp_path, monkeypatch, pieces):
    """Whatever it had written: the result has the bits of an uninterrupted one."""
    monkeypatch.setattr(answers, "ASKED_AT_ONCE", 32)
    teacher = Teacher("a" * 64, question, "none")
    whole = keep_answers(teacher, images, tmp_path / "whole")
    real, asked = answers._ask, []

    def killed(question, images, start):
        for number, each in enumerate(real(question, images, start)):
            if number == pieces:
                raise KeyboardInterrupt
            yield each

    monkeypatch.setattr(answers, "_ask", killed)
    with pytest.raises(KeyboardInterrupt):
        keep_answers(teacher, images, tmp_path)
    (part,) = (tmp_path / "answers").glob("*.tmp")
    with (part / "logits.f32").open("ab") as file:
        file.write(b"torn off")

    def count(question, images, start):
        for each in real(question, images, start):
            asked.append(len(each.logits))
            yield each

    monkeypatch.setattr(answers, "_ask", count)
    kept = keep_answers(teacher, images, tmp_path)
    assert sum(asked) == 104 - 32 * pieces
    every = torch.arange(104)
    for name in ("logits", "features"):
        one, other = (getattr(each.take(every), name) for each in (kept, whole))
        assert torch.equal(one, other)
    assert not list((tmp_path / "answers").glob("*.tmp"))


def test_a_full_disk_keeps_nothing_and_stops_nothing(question, images, tmp_path, monkeypatch):
    teacher, rows = Teacher("a" * 64, question, "none"), torch.arange(104)
    expected = keep_answers(teacher, images, tmp_path / "other").take(rows)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(answers, "_write", full)
    got = keep_answers(teacher, images, tmp_path).take(rows)
    assert torch.equal(got.logits, expected.logits)
    assert not list(tmp_path.glob("answers/*.answers*"))


@pytest.mark.parametrize("damage", ["logits.f32", "shapes.json", "missing"])
def test_an_entry_that_a_power_cut_has_left_torn_is_made_again(
    question, images, tmp_path, monkeypatch, damage
):
    teacher, rows = Teacher("a" * 64, question, "none"), torch.arange(104)
    expected = keep_answers(teacher, images, tmp_path).take(rows)
    (entry,) = (tmp_path / "answers").glob("*.answers")
    if damage == "missing":
        (entry / "features.f32").unlink()
    else:
        (entry / damage).write_bytes((entry / damage).read_bytes()[:-4] if "f32" in damage else b"")
    for again in range(2):
        if again:  # nothing is asked any more
            monkeypatch.setattr(answers, "_ask", lambda *_: iter(()))
        got = keep_answers(teacher, images, tmp_path).take(rows)
        assert torch.equal(got.logits, expected.logits)
        assert torch.equal(got.features, expected.features)


@pytest.mark.parametrize("resident", [True, False])
def test_answers_are_kept_from_being_removed_for_as_long_as_they_are_read(
    question, images, tmp_path, monkeypatch, resident
):
    if not resident:
        monkeypatch.setattr(answers, "RESIDENT_BYTES", 0)
    images.read([0])  # which opens their own file
    before = count_descriptors()
    kept = keep_answers(Teacher("a" * 64, question, "none"), images, tmp_path)
    (entry,) = (tmp_path / "answers").glob("*.answers")
    assert (count_descriptors() == before) == resident
    assert remove_unless_held(entry) == resident
    del kept
    assert count_descriptors() == before


def test_a_teacher_that_is_too_large_for_its_pieces_is_one_sentence(question, images, tmp_path):
    def fail(*_: object) -> None:
        raise MemoryError

    question.network.body.register_forward_pre_hook(fail)
    said = "^the answers of a teacher to 64 images at once: out of memory; end other programs"
    with pytest.raises(TrainingError, match=said):
        keep_answers(Teacher("a" * 64, question, "none"), images, tmp_path)


def test_another_teacher_other_images_or_another_question_has_its_own_entry(
    question, images, tmp_path
):
    first = Teacher("a" * 64, question, "none")
    for teacher, shown in (
        (first, images),
        (first, images),
        (dataclasses.replace(first, key="b" * 64), images),
        (first, images.take(np.arange(103))),
        (dataclasses.replace(first, question=dataclasses.replace(question, layers=())), images),
        (
            dataclasses.replace(
                first, question=dataclasses.replace(question, precision=torch.bfloat16)
            ),
            images,
        ),
    ):
        keep_answers(teacher, shown, tmp_path)
    assert len(list(tmp_path.glob("answers/*.answers"))) == 5


@pytest.mark.parametrize(
    "edge",
    [
        {"loss": "kl", "temperature": 2.0},
        {"loss": "kl", "gate": "correct"},
        {"loss": "dist"},
        {"loss": "attention"},
        {"loss": "feature", "maps": 1},
        {"loss": "embedding"},
    ],
)
@pytest.mark.parametrize("data", [{}, {"augment": "basic", "views": 2}])
def test_a_teacher_asked_beforehand_teaches_as_one_that_is_asked_in_every_step(
    tiny, tmp_path, monkeypatch, edge, data
):
    graph = make(tiny, edge, data)
    asked = training_of(graph, tmp_path)
    assert set(asked._known) == {"n1"}
    got = figures(asked)
    with monkeypatch.context() as patch:
        patch.setattr("ktg.training.loop.find_known_teachers", lambda *_: {})
        live = training_of(graph, tmp_path)
        expected = figures(live)
    assert not live._known
    for one, other in zip(got, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


def test_the_second_training_asks_nothing(tiny, tmp_path):
    """Of two views and the validation images in pieces of 64 that is each once."""
    graph = make(tiny, data={"augment": "basic", "views": 2})
    for number, expected in enumerate((2 * 128 + 64, 0)):
        training = training_of(graph, tmp_path)
        seen = images_seen(training)
        list(training)
        assert sum(seen) == expected, number


def test_each_image_without_a_label_meets_its_own_answer(tiny, tmp_path):
    """Also in a step that goes through all views, to a teacher that is shown none of them."""
    data = {"per_class": 6, "unlabelled": "auto", "augment": "basic", "views": 2}
    graph = make(tiny, data=data | {"unlabelled_share": 0.9}, n1={"augment": "none"})
    training = training_of(graph, tmp_path)
    batches, known, images = training._batches, training._known["n1"], training.dataset.unlabelled
    (places,) = batches._unlabelled_places(0, batches.steps)
    assert [view for view, _ in places.split()] == [0, 1, 0]
    views = [
        torch.from_numpy(open_view(images, "basic", 0, view).read(places.rows.numpy()))
        for view in range(2)
    ]
    shown = torch.stack(views)[places.views, torch.arange(len(places))].permute(0, 3, 1, 2)
    (batch,) = batches(0, {}, {"n1": known})
    torch.testing.assert_close(batch.images["n0"][24:], shown / 255)
    assert torch.equal(batch.answers["n1"].logits[24:], known.logits(images)[places.rows])


def test_images_without_labels_are_asked_about_pass_by_pass(tiny, tmp_path):
    """A view that no pass has come to is never drawn, nor is its teacher asked."""
    data = {"per_class": 6, "unlabelled": "auto", "augment": "basic", "views": 4}
    graph = make(tiny, data=data | {"unlabelled_share": 0.75})
    training = training_of(graph, tmp_path)
    dataset = training.dataset
    seen = images_seen(training)
    list(training)  # three steps of 24 labelled and 72 others
    rest, piece = len(dataset.unlabelled), answers.ASKED_AT_ONCE
    whole = [-(-images // piece) * piece for images in (len(dataset.train), rest)]
    passes = -(-3 * 72 // rest)
    assert sum(seen) == 3 * whole[0] + passes * whole[1] + piece  # of 24 validation images


def test_new_views_in_every_epoch_mean_a_teacher_in_every_step(tiny, tmp_path):
    assert not training_of(make(tiny, data={"augment": "basic"}), tmp_path)._known
    assert not training_of(make(tiny, data={"augment": "cutmix_or_mixup"}), tmp_path)._known
    fixed = make(tiny, data={"augment": "basic"}, n1={"augment": "none"})
    assert set(training_of(fixed, tmp_path)._known) == {"n1"}


def test_a_teacher_that_depends_on_chance_is_asked_in_every_step(tiny, tmp_path, monkeypatch):
    training = training_of(make(tiny), tmp_path)
    network = training.teachers["n1"]
    forward = network.body.forward
    network.body.forward = lambda images: forward(images) + torch.rand(1)
    question = Question(network, CPU, torch.float32)
    assert answers._measure_answer(question, 8) == 0


def test_answers_are_asked_for_only_while_there_is_room(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("KTG_CACHE_GIB", str(1000 / 2**30))
    assert not training_of(make(tiny), tmp_path)._known


def test_joined_answers_follow_each_other():
    one = Answers(torch.zeros(2, 3), torch.zeros(2, 5), [torch.zeros(2, 1, 4, 4)])
    other = Answers(torch.ones(1, 3), torch.ones(1, 5), [torch.ones(1, 1, 4, 4)])
    both = join_answers([one, other])
    assert both.logits[:, 0].tolist() == [0, 0, 1]
    assert both.features[:, 0].tolist() == [0, 0, 1]
    assert both.maps[0][:, 0, 0, 0].tolist() == [0, 0, 1]
    assert join_answers([one]) is one


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "size", "mean"),
    [
        ("vit_small_patch14_dinov2", 28, 0.485),
        ("vit_small_patch16_dinov3", 32, 0.485),
        ("vit_base_patch16_siglip_224", 32, 0.5),
        ("vit_base_patch32_clip_224", 64, 0.48145466),
    ],
)
def test_a_foundation_encoder_teaches_through_a_probe_of_its_features(
    tiny, tmp_path, model, size, mean
):
    """Tiny networks of timm's own classes, random, with files that have no head, as published."""
    shape = {"depth": 1, "embed_dim": 32, "num_heads": 2}
    node = Node(model=model, input_size=size, model_args=shape)
    made = build_network(node, {}, classes=4, image_size=8, mean=[0.1], std=[0.2], seed=0)
    given = {name: x for name, x in made.body.state_dict().items() if name not in made.head}
    write_weights(given, tmp_path / "encoder.safetensors")
    encoder = {"model": model, "input_size": size, "model_args": shape, "source": "mine"}
    graph = parse(
        {
            "data": {"path": str(tiny), "batch_size": 24, "augment": "basic", "views": 2},
            "train": {"epochs": 1},
            "sources": {"mine": {"path": str(tmp_path / "encoder.safetensors")}},
            "nodes": {"n0": {"model": "resnet8"}, "n1": {**encoder, "epochs": 0}},
            "edges": {"label -> n0": {}, "n1 -> n0": {"loss": "embedding"}},
        }
    )
    training = training_of(graph, tmp_path / "cache")
    teacher = training.teachers["n1"]
    assert (teacher.size, teacher.mean.flatten()[0].item()) == (size, pytest.approx(mean))
    state = teacher.body.state_dict()
    assert all(torch.equal(state[name], x) for name, x in given.items())
    assert all(teacher.body.get_parameter(name).abs().sum() > 0 for name in teacher.head)
    assert set(training._known) == {"n1"}
    (epoch,) = training
    assert epoch.nodes["n1"].val_accuracy > 0.25  # a probe knows more than chance
    assert 0 < epoch.edges["n1", "n0"].loss < 2
