"""Everything that was planted in a folder is found."""

import json
from pathlib import Path

import dirt as pictures
import pytest

from ktg.auditing.audit import audit_pool
from ktg.auditing.pool import gather
from ktg.graph import Data


@pytest.fixture(scope="module")
def found(dirty):
    return audit_pool(gather(Data(path=str(dirty), size=64)), None, "colours")


def names(found, rows):
    return {found.pool.names[row] for row in rows}


def test_twins_leaks_and_contradictions_are_found(found):
    groups = [names(found, group.rows) for group in found.twins]
    assert groups == [
        {"train/blue/1.png", "train/blue/small.png"},
        {"train/green/2.png", "train/red/green.jpg"},
        {"train/red/0.png", "test/red/leak.png"},
    ]
    assert [group.exact for group in found.twins] == [False, False, True]
    assert found.leaks == found.twins[2:]
    assert found.contradictions == found.twins[1:2]


def test_wrong_labels_and_strangers_are_found(found):
    doubtful = names(found, found.doubtful)
    assert {"train/green/really_blue.png", "train/red/green.jpg"} <= doubtful
    assert len(doubtful) <= 4
    assert "train/red/stranger.png" in names(found, found.strangers)
    label = found.describe_label(found.pool.names.index("train/green/really_blue.png"))
    assert (label["label"], label["proposed"]) == ("green", "blue")
    assert label["doubt"] > 0 and label["probability"] < 0.5


def test_what_is_told_agrees_with_what_was_found(found):
    said = json.loads(json.dumps(found.to_json()))
    assert said["counts"] == found.counts
    assert said["counts"]["leaks"] == sum(group["leak"] for group in said["twins"]) == 1
    assert [one["file"] for one in said["doubtful"]] == [
        found.pool.names[row] for row in found.doubtful
    ]
    assert found.sentences[0].startswith("1 image lies in several splits")
    assert found.sentences[-1].startswith("no weights from photographs were used")


def test_labels_without_two_classes_of_two_images_are_not_doubted(tiny):
    from dataclasses import replace

    import numpy as np

    pool = gather(Data(path=str(tiny)))
    alike = pool.images.take(np.arange(len(pool)))
    alike.labels = np.zeros(len(pool), dtype=np.int64)
    found = audit_pool(replace(pool, images=alike), None, "colours")
    assert len(found.doubtful) == 0
    assert found.to_json()["noise"] == 0


def test_several_photographs_of_one_thing_are_counted(tmp_path):
    for label in ("good", "bad"):
        (tmp_path / label).mkdir()
        for number in range(12):
            thing = pictures.picture(number + 50 * (label == "bad"), side=100)
            for again in range(1 + 2 * (number < 4)):
                shot = pictures.expose(thing, 9 * number + again)
                shot.save(tmp_path / label / f"{number:02d}_{again}.png")
    found = audit_pool(gather(Data(path=str(tmp_path), size=48)), None, "colours")
    assert found.counts["images of one thing"] == len(found.alike_images) == 24
    numbers = {Path(name).stem[:2] for name in names(found, found.alike_images)}
    assert numbers == {"00", "01", "02", "03"}
    said = "24 images seem to show 8 things, each several times: a table, `data.groups`, "
    assert any(sentence.startswith(said) for sentence in found.sentences)


def test_things_that_are_shown_once_are_no_groups(found):
    assert found.counts["images of one thing"] == 0
    assert not any("each several times" in sentence for sentence in found.sentences)
