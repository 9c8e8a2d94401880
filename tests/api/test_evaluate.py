"""Models measured from Python."""

from dataclasses import replace

import pytest

import ktg
from ktg.api.listener import Listener
from ktg.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")


def test_evaluate_takes_a_model_or_its_file(trained, photos):
    counted = []
    listener = Listener(count=lambda *step: counted.append(step))
    found = ktg.evaluate(trained.file, photos, split="val", device="cpu", listener=listener)
    assert counted[-1] == ("labelling", 8, 8)
    answers = ktg.predict(trained.file, [answer.file for answer in found.answers], device="cpu")
    right = [a.label == b.label for a, b in zip(found.answers, answers, strict=True)]
    assert found.accuracy == sum(right) / 8
    assert ktg.evaluate(ktg.load(trained.file, "cpu"), photos / "val") == found


def test_batches_have_at_least_one_image(trained, photos):
    with pytest.raises(UserError, match="--batch-size: 0 is not allowed; allowed: 1 or more"):
        ktg.evaluate(trained.file, photos, batch_size=0)


def test_a_folder_that_was_trained_on_is_warned_of(trained, photos):
    warned: list[str] = []
    listener = Listener(warn=warned.append)
    model = ktg.load(trained.file, "cpu")
    ktg.evaluate(model, photos, listener=listener)  # its test split, which is no part of it
    assert not warned
    graph = model.about.graph
    graph = replace(graph, data=replace(graph.data, path=str(photos / "test")))
    # As if its training had split that folder.
    ktg.evaluate(replace(model, about=replace(model.about, graph=graph)), photos, listener=listener)
    assert [each.partition(":")[0] for each in warned] == [
        f"{photos / 'test'} is what the model was trained on"
    ]
