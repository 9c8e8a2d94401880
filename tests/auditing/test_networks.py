"""The network that tells the classes apart best looks at the images, or none does."""

import numpy as np
import pytest
import torch

from ktg.auditing.networks import PLAIN, build_viewer, choose_viewer, score_features
from ktg.auditing.pool import gather
from ktg.errors import SpecError
from ktg.graph import Data, Node


@pytest.fixture(scope="module")
def pool(dirty):
    return gather(Data(path=str(dirty), size=64))


def test_a_network_sees_the_images_at_a_size_of_its_own(pool):
    viewer = build_viewer(Node(model="resnet8"), pool, {})
    assert (viewer.name, viewer.certain) == ("resnet8@none at 32 px", False)
    wider = build_viewer(Node(model="resnet8", input_size=48), pool, {})
    assert wider.network.size == 48


def test_an_unknown_model_is_named(pool):
    with pytest.raises(SpecError, match="resnet81"):
        build_viewer(Node(model="resnet81"), pool, {})


def test_plain_features_win_where_there_is_nothing_better(pool):
    cpu = torch.device("cpu")
    assert choose_viewer([], pool, {}, cpu) is PLAIN
    missing = Node(model="resnet8", source="zoo/nowhere")
    told = []
    assert choose_viewer([missing], pool, {}, cpu, passed_over=told.append) is PLAIN
    assert ["nowhere" in str(error) for error in told] == [True]


def test_features_score_by_what_they_tell_apart():
    labels = np.arange(60) % 3
    good = np.eye(3)[labels] + np.random.default_rng(0).normal(0, 0.1, (60, 3))
    poor = np.random.default_rng(0).normal(size=(60, 3))
    assert score_features(good, labels) == 1.0
    assert score_features(poor, labels) < 0.6
