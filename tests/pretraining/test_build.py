import numpy as np
import pytest
from filelock import FileLock

from ktg.data.open import open_data
from ktg.errors import SpecError
from ktg.graph import Data
from ktg.local import cache_folder
from ktg.pretraining.build import build, graphs_of
from ktg.pretraining.groups import split_evenly
from ktg.pretraining.pretrain import identify
from ktg.pretraining.recipe import build_recipe
from ktg.tracking import MemoryTracker


@pytest.fixture
def graphs(tmp_path):
    random = np.random.default_rng(0)
    np.savez(
        tmp_path / "six.npz",
        x=random.integers(0, 256, (120, 8, 8, 3), dtype=np.uint8),
        y=np.arange(120) % 6,
    )
    graph = build_recipe(
        Data(path=str(tmp_path / "six.npz")), "resnet8", size=8, epochs=2, batch_size=8
    )
    return graphs_of(graph, split_evenly(open_data(graph.data).classes, 3, "six"))


def test_each_group_trains_on_its_classes_alone(graphs, zoo):
    tracker = MemoryTracker()
    built = list(build(graphs, tracker, zoo, device="cpu"))
    assert (
        [one.card.key for one in built]
        == [card.key for card in zoo.list_cards()]
        == [f"six-0{number}/resnet8" for number in (1, 2, 3)]
    )
    assert [one.card.classes for one in built] == [("0", "1"), ("2", "3"), ("4", "5")]
    assert all(one.new and one.card.provenance["keep"] == "best" for one in built)
    assert [run.name for run in tracker.runs.values()] == [one.card.key for one in built]


def test_what_is_there_stays_and_the_rest_is_built(graphs, zoo):
    first = next(build(graphs, MemoryTracker(), zoo, device="cpu"))
    built = list(build(graphs, MemoryTracker(), zoo, device="cpu"))
    assert [one.new for one in built] == [False, True, True]
    assert built[0].card == first.card


def test_what_another_builder_trains_is_waited_for_last(graphs, zoo):
    first = graphs["six-01"]
    identity = identify(first, open_data(first.data), "best")
    lock = FileLock(cache_folder() / "pretraining" / f"{identity}.lock")
    (cache_folder() / "pretraining").mkdir(parents=True)
    began, told = [], []

    def on_model(name):
        began.append(name)
        return lambda epoch, epochs: None

    lock.acquire()
    order = build(
        graphs, MemoryTracker(), zoo, device="cpu", on_model=on_model, on_busy=told.append
    )
    assert [next(order).card.name for _ in range(2)] == ["six-02", "six-03"]
    lock.release()
    assert [one.card.name for one in order] == ["six-01"]
    assert told == ["six-01"]
    assert began == ["six-01", "six-02", "six-03", "six-01"]


def test_a_batch_larger_than_a_group_is_found_before_any_is_trained(graphs, tmp_path):
    graph = build_recipe(Data(path=str(tmp_path / "six.npz")), "resnet8", size=8, batch_size=27)
    groups = {"all": ("0", "1", "2", "3"), "few": ("4", "5")}
    with pytest.raises(
        SpecError, match=r"data\.batch_size: 27 is more than the 26 training images of few"
    ):
        graphs_of(graph, groups)
