"""Writes the labels of an audited data set as a CSV table that `data.labels` reads again."""

import csv
import io
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from ktg.auditing.audit import Audit
from ktg.auditing.twins import number_groups

DoubtfulName = Literal["keep", "relabel", "drop"]
COLUMNS = (
    "file",
    "label",
    "split",
    "given",
    "proposed",
    "doubt",
    "weight",
    "doubtful",
    "stranger",
    "twins",
)


def format_labels(audit: Audit, doubtful: DoubtfulName = "keep") -> str:
    """Return the table: a line for each image, which the user may edit.

    `label` is the label as it is, or the proposed one where `doubtful` is relabel; with drop,
    images of train and val with doubtful labels have no line. Test images keep their lines and
    labels: what is measured on them should not depend on this program's opinion. `weight` is the
    probability of the given label; `twins` is a number that twins share.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_list_lines(audit, doubtful))
    return text.getvalue()


def _list_lines(audit: Audit, doubtful: DoubtfulName) -> Iterator[dict[str, Any]]:
    groups = number_groups(audit.twins, len(audit.pool))
    numbers = {group.rows[0]: number for number, group in enumerate(audit.twins, 1)}
    strangers = np.isin(np.arange(len(audit.pool)), audit.strangers)
    for row in range(len(audit.pool)):
        said = audit.describe_label(row)
        wrong = bool(audit.doubts.wrong[row])
        touched = wrong and said["split"] != "test"
        if touched and doubtful == "drop":
            continue
        relabelled = touched and doubtful == "relabel"
        yield {
            "file": said["file"],
            "label": said["proposed"] if relabelled else said["label"],
            "split": said["split"],
            "given": said["label"],
            "proposed": said["proposed"],
            "doubt": said["doubt"],
            "weight": said["probability"],
            "doubtful": int(wrong),
            "stranger": int(strangers[row]),
            "twins": numbers.get(int(groups[row]), ""),
        }
