"""Models measured from Python."""

import shutil
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


@pytest.fixture
def measure(trained, photos):
    """Return a function that measures as if `data` had been trained on; it returns warnings."""
    model = ktg.load(trained.file, "cpu")

    def run(folder, split=None, *, by=None, **data):
        warned: list[str] = []
        graph = model.about.graph
        graph = replace(graph, data=replace(graph.data, **data))
        changed = replace(model, about=replace(model.about, graph=graph))
        listener = Listener(warn=warned.append)
        found = ktg.evaluate(changed, folder, split=split, labels=by, listener=listener)
        return len(found.answers), warned

    return run


def test_images_that_were_trained_on_are_warned_of(measure, photos):
    for folder, split, images in (
        (photos, "train", 20),
        (photos, "val", 8),
        (photos / "train", None, 20),
    ):
        count, (warned,) = measure(folder, split)
        assert count == images
        place = folder if split is None else folder / split
        assert warned.startswith(f"{place} is what the model was trained on, or chosen by: most of")
    assert measure(photos) == (8, [])
    assert measure(photos / "test") == (8, [])
    # As if its training had split that folder.
    assert len(measure(photos, path=str(photos / "test"))[1]) == 1


@pytest.fixture
def flat(photos, tmp_path):
    """All photographs in one folder, and a table of their labels that has to be named."""
    lines = ["file,label,split"]
    for file in sorted(photos.glob("*/*/*")):
        split, label, name = file.relative_to(photos).parts
        shutil.copy2(file, tmp_path / f"{split}_{label}_{name}")
        lines.append(f"{split}_{label}_{name},{label},{split}")
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    return tmp_path


def test_the_table_of_the_training_is_read_for_its_own_images(measure, flat):
    own = {"path": str(flat), "labels": "mine.csv"}
    assert measure(flat, **own) == (8, [])
    images, (warned,) = measure(flat, "train", **own)
    assert (images, warned.partition(" is what")[0]) == (20, f"{flat} (train)")
    with pytest.raises(UserError, match="has no folder for each class"):
        measure(flat)
    assert measure(flat, by="mine.csv") == (8, [])
    # By another table images of the training may be tested on.
    shutil.copy(flat / "mine.csv", flat / "other.csv")
    assert len(measure(flat, by="other.csv", **own)[1]) == 1


def test_classes_that_the_training_left_out_are_left_out(measure, photos, tmp_path):
    root = tmp_path / "three"
    shutil.copytree(photos, root)
    for split in ("train", "val", "test"):
        shutil.copytree(root / split / "night", root / split / "dusk")
    own = {"path": str(root), "only": ("night", "noon")}
    for folder in (root, root / "test"):
        images, (said,) = measure(folder, **own)
        assert images == 8
        end = "left out, as data.only of the model does: dusk (4 images)"
        assert said == f"{root / 'test'}: {end}"
    for data in ({"path": str(root)}, {"path": str(photos), "only": ("night", "noon")}):
        with pytest.raises(UserError, match="has classes that the model does not know: dusk"):
            measure(root, **data)
