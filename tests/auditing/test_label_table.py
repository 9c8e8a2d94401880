"""The table of labels has a line for each image, and changes only what it is told to."""

import csv
import io

import pytest

from ktg.auditing.audit import audit_pool
from ktg.auditing.label_table import COLUMNS, format_labels
from ktg.auditing.pool import gather
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
    for doubtful in ("keep", "relabel", "drop"):
        text = format_labels(found, doubtful)
        file.write_text(text, encoding="utf-8")
        pool = gather(Data(path=str(dirty), labels=str(file), size=64))
        again = {
            name: (split, pool.classes[label])
            for name, split, label in zip(pool.names, pool.splits, pool.labels, strict=True)
        }
        assert again == {name: (row["split"], row["label"]) for name, row in read(text).items()}
