"""The table of labels has a line for each image, and changes only what it is told to."""

import csv
import io

import numpy as np
import pytest

from ktg.auditing.audit import audit_pool
from ktg.auditing.label_table import COLUMNS, format_labels
from ktg.auditing.pool import gather
from ktg.data.open import name_images, open_data, open_test, remark
from ktg.graph import Data


@pytest.fixture(scope="module")
def found(dirty):
    return audit_pool(gather(Data(path=str(dirty), size=64)), None, "colours")


def read(text: str) -> dict[str, dict[str, str]]:
    rows = csv.DictReader(io.StringIO(text))
    assert tuple(rows.fieldnames) == COLUMNS
    return {row["file"]: row for row in rows}


def test_labels_are_kept_by_default(found):
    rows = read(format_labels(found))
    assert [*rows] == [*found.pool.names]
    assert all(row["label"] == row["given"] for row in rows.values())
    assert {row["split"] for row in rows.values()} == {"train", "val", "test"}
    assert rows["train/red/0.png"]["twins"] == rows["test/red/leak.png"]["twins"] != ""
    assert rows["train/red/stranger.png"]["stranger"] == "1"


def test_doubtful_labels_are_replaced_or_left_out_but_not_those_of_test_images(found):
    doubtful = {found.pool.names[row] for row in found.doubtful if found.pool.splits[row] != "test"}
    relabelled, dropped = read(format_labels(found, "relabel")), read(format_labels(found, "drop"))
    changed = {name for name, row in relabelled.items() if row["label"] != row["given"]}
    assert changed == doubtful == {*relabelled} - {*dropped}
    assert relabelled["train/green/really_blue.png"]["label"] == "blue"


def test_the_table_is_read_again_as_labels(found, dirty, tmp_path):
    file = tmp_path / "labels.csv"
    for doubtful in ("keep", "relabel", "drop", "weigh"):
        text = format_labels(found, doubtful)
        file.write_text(text, encoding="utf-8")
        pool = gather(Data(path=str(dirty), labels=str(file), size=64))
        again = {
            name: (split, pool.classes[label])
            for name, split, label in zip(pool.names, pool.splits, pool.labels, strict=True)
        }
        assert again == {name: (row["split"], row["label"]) for name, row in read(text).items()}


def test_weights_say_how_far_labels_are_believed_and_are_read_again(found, dirty, tmp_path):
    assert {row["weight"] for row in read(format_labels(found)).values()} == {""}
    rows = read(format_labels(found, "weigh"))
    assert all(row["label"] == row["given"] for row in rows.values())
    doubts = dict(zip(found.pool.names, found.doubts.doubt, strict=True))
    for name, row in rows.items():
        if row["split"] == "test":
            assert row["weight"] == ""
        else:
            assert float(row["weight"]) == pytest.approx(min(1, np.exp(-doubts[name])), abs=1e-4)
    assert float(rows["train/green/really_blue.png"]["weight"]) < 0.5
    (tmp_path / "labels.csv").write_text(format_labels(found, "weigh"), encoding="utf-8")
    spec = Data(path=str(dirty), labels=str(tmp_path / "labels.csv"), size=64)
    data, names = open_data(spec), name_images(spec)
    for split, images in (("train", data.train), ("val", data.val)):
        assert images.weights.tolist() == [float(rows[name]["weight"]) for name in names[split]]
    assert open_test(spec).weights is None
    assert any("training labels have weights from 0" in said for said in remark(spec))
