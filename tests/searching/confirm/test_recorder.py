"""A confirmation as it is written into a tracker."""

from types import SimpleNamespace

from ktg.graph import parse
from ktg.searching.confirm.finalists import BEST, Finalist, Finalists
from ktg.searching.confirm.recorder import ConfirmRecorder
from ktg.searching.seed_queue import SeedQueue
from ktg.tracking import MemoryTracker


def test_each_training_names_the_images_that_it_was_trained_and_tested_on():
    nodes, edges = {"n0": {"model": "resnet8"}}, {"label -> n0": {}}
    graph = parse({"data": {"name": "digits"}, "nodes": nodes, "edges": edges})
    search = SimpleNamespace(run=SimpleNamespace(id="id", name="mine"))
    chosen = Finalists(search, (Finalist("trial-0001", 1, None, 0.9, graph),), frozenset())
    queue, tracker = SeedQueue({BEST: graph}, [1000]), MemoryTracker()
    images = {"data.fingerprint": "f", "data.test": "t"}
    recorder = ConfirmRecorder(tracker, queue, chosen, {"trial-0001": images}, {}, None)
    trial = queue.propose()
    recorder.on_start(trial)
    (run,) = [one for one in tracker.runs.values() if one.parent == recorder.parent]
    assert images.items() <= run.tags.items()
    assert (run.tags["key"], run.params["seed"]) == (trial.key, 1000)
