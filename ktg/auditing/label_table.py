"""Writes the labels of an audited data set as a CSV table that `data.labels` reads again."""

import csv
import io
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from ktg.auditing.audit import Audit
from ktg.auditing.doubtful_labels import Floats
from ktg.auditing.twins import number_groups

DoubtfulName = Literal["keep", "relabel", "drop", "weigh"]
COLUMNS = (
    "file",
    "label",
    "split",
    "weight",
    "given",
    "proposed",
    "doubt",
    "probability",
    "doubtful",
    "stranger",
    "twins",
)


def format_labels(audit: Audit, doubtful: DoubtfulName = "keep") -> str:
    """Return the table: a line for each image, which the user may edit.

    `label` is the label as it is, or the proposed one where `doubtful` is relabel; with drop,
    images of train and val with doubtful labels have no line. With weigh the labels of train and
    val count as much as they are believed, by `weight`, which is else empty. Test images keep their
    lines and labels: what is measured on them should not depend on this program's opinion.
    `probability` is that of the given label; `twins` is a number that twins share.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_list_lines(audit, doubtful))
    return text.getvalue()


def believe_labels(doubt: Floats) -> list[float]:
    """Return how much each label is believed, from 0 to 1, by its doubt (N,); see `LabelDoubts`.

    It is the label's probability out of fold as a share of that of the likeliest class, so that
    hard images, of which nothing is sure, weigh 1 where no class is likelier than their label.

    >>> believe_labels(np.log([4, 1, 0.5]))
    [0.25, 1.0, 1.0]
    """
    return np.exp(-np.maximum(doubt, 0.0)).round(4).tolist()  # type: ignore[no-any-return]


def _list_lines(audit: Audit, doubtful: DoubtfulName) -> Iterator[dict[str, Any]]:
    groups = number_groups(audit.twins, len(audit.pool))
    numbers = {group.rows[0]: number for number, group in enumerate(audit.twins, 1)}
    strangers = np.isin(np.arange(len(audit.pool)), audit.strangers)
    weights = believe_labels(audit.doubts.doubt)
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
            "weight": weights[row] if doubtful == "weigh" and said["split"] != "test" else "",
            "given": said["label"],
            "proposed": said["proposed"],
            "doubt": said["doubt"],
            "probability": said["probability"],
            "doubtful": int(wrong),
            "stranger": int(strangers[row]),
            "twins": numbers.get(int(groups[row]), ""),
        }
