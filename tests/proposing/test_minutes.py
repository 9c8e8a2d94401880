"""How long a graph will take."""

import dataclasses

import pytest

from ktg.graph import parse
from ktg.proposing.minutes import measure_training
from ktg.proposing.speed import Speed

EPOCHS, IMAGES = 6, 320


def graph(gate: str = "through", **nodes: dict):
    return parse(
        {
            "data": {"name": "digits", "batch_size": 32},
            "train": {"epochs": EPOCHS},
            "nodes": {"n0": {"model": "resnet8"}, "t": {"model": "resnet20"}, **nodes},
            "edges": {"label -> n0": {}, "t -> n0": {"gate": gate}},
        }
    )


def seconds(of, asked: list | None = None, beside: int = 0, **changes):
    """Return the time where a step of resnet8 takes 1 s and one of resnet20 takes 3 s."""

    def measure(node, _data, _files):
        if asked is not None:
            asked.append(node.model)
        return Speed({"resnet8": 1.0, "resnet20": 3.0}[node.model], 32)

    changed = dataclasses.replace(of, **changes)
    return measure_training(changed, IMAGES, 0, 8, measure, beside=beside)


def test_a_network_alone_takes_its_steps():
    assert seconds(graph("cutoff")).own_s == EPOCHS * IMAGES / 32


def test_a_teacher_is_trained_once_and_then_answers():
    found = seconds(graph())
    assert found.teachers_s == 3 * EPOCHS * IMAGES / 32
    assert found.own_s == pytest.approx(EPOCHS * IMAGES / 32 * (1 + 3 / 3))
    short = seconds(graph(t={"model": "resnet20", "epochs": 0}))
    assert (short.teachers_s, short.own_s) == (0, found.own_s)


@pytest.mark.parametrize(
    ("data", "own", "times"),
    [
        ({"views": 4}, {}, 4),
        ({}, {"augment": "none"}, 1),
        ({"augment": "none"}, {}, 1),
        ({"augment": "none", "views": 4}, {}, 1),
    ],
)
def test_answers_that_are_kept_are_asked_for_once_for_all_trials(data, own, times):
    fixed = graph(t={"model": "resnet20", "epochs": 0, **own})
    fixed = dataclasses.replace(fixed, data=dataclasses.replace(fixed.data, **data))
    found = seconds(fixed)
    assert found.own_s == seconds(graph("cutoff")).own_s
    assert found.teachers_s == pytest.approx(times * IMAGES / 32)
    more = dataclasses.replace(fixed.data, unlabelled=("auto",))
    assert seconds(fixed, data=more, beside=IMAGES).teachers_s == pytest.approx(
        2 * found.teachers_s
    )


def test_of_mixed_images_no_answers_are_kept():
    plain = graph(t={"model": "resnet20", "epochs": 0, "augment": "none"})
    data = dataclasses.replace(plain.data, augment="cutmix_or_mixup")
    found = seconds(plain, data=data)
    assert (found.teachers_s, found.own_s) == (0, pytest.approx(2 * EPOCHS * IMAGES / 32))


def test_each_network_is_measured_once():
    asked = []
    seconds(graph(t={"model": "resnet8"}), asked)
    assert asked == ["resnet8"]


def test_images_without_labels_come_on_top():
    one = graph()
    data = dataclasses.replace(one.data, unlabelled=("auto",))
    assert seconds(one, data=data).own_s == pytest.approx(2 * seconds(one).own_s)


def test_a_length_in_steps_is_what_the_target_takes():
    long = dataclasses.replace(graph(), train=dataclasses.replace(graph().train, steps=6 * 25))
    found = seconds(long)
    assert (found.teachers_s, found.own_s) == (3 * 150, pytest.approx(150 * (1 + 3 / 3)))
    own = dataclasses.replace(
        long, nodes={**long.nodes, "t": dataclasses.replace(long.nodes["t"], epochs=2)}
    )
    assert seconds(own).teachers_s == 3 * 2 * IMAGES / 32  # whole passes


@pytest.mark.slow
def test_real_steps_are_measured():
    found = measure_training(graph("cutoff"), 64, 16, 8)
    assert found.own_s > 0
    assert found.teachers_s == 0
