"""Reads the labels of an .npz from a table beside it, as `ktg data audit --write` makes one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ktg.data.found_data import FoundData, LabelledImages, as_labels, drop_even_weights
from ktg.data.label_lines import Line, read_lines
from ktg.data.split_folders import name_split
from ktg.errors import DataError, did_you_mean, did_you_mean_path, join_names, show

SPLITS = ("train", "val", "test")
_ROW = re.compile(r"(?:image )?(\d+)")


@dataclass(frozen=True)
class _Labelled:
    """What a line says: split, array that it names a row of, that row, label and weight."""

    split: str
    array: str
    row: int
    label: str
    weight: float


def relabel_npz(data: FoundData, path: Path, labels: str) -> FoundData:
    """Return the data set of an .npz with the labels, the splits and the weights of a table.

    labels: the table, as `data.labels` names it, relative to the folder of `path`. Its column of
    files has rows of the arrays, from 0: `17` or `image 17`. A line of val or test means a row of
    the array of that split where the file has one, else of the training array. Images without a
    line are left out, but a split of the file that no line names stays as it is.
    Raises DataError that names table and line for what cannot be used.
    """
    table = path.parent / Path(labels).expanduser()
    if not table.is_file():
        hint = did_you_mean_path(table, (".csv", ".tsv", ".jsonl"))
        problem = f"there is no {labels} in {path.absolute().parent}"
        raise DataError(f"{data.title}: data.labels: {problem}.{hint}")
    arrays = {"train": data.train, "val": data.val, "test": data.test and data.test()}
    there = {split: part for split, part in arrays.items() if part is not None}
    found: dict[tuple[str, int], _Labelled] = {}
    for line in read_lines(table, data.title):
        where = f"{data.title}: {table.name}: line {line.number}"
        said = _read_line(line, there, where)
        if found.setdefault((said.array, said.row), said) != said:
            raise DataError(
                f"{where}: {line.file} has another label, split or weight in a line before"
            )
    return _build(data, there, [*found.values()])


def _read_line(line: Line, arrays: Mapping[str, LabelledImages], where: str) -> _Labelled:
    split = name_split(line.split) if line.split else "train"
    if split is None:
        allowed = "allowed: train, val, test, or nothing for train"
        raise DataError(f"{where}: {show(line.split)} is no split; {allowed}")
    array = split if split in arrays else "train"
    match, count = _ROW.fullmatch(line.file), len(arrays[array].labels)
    if match is None or int(match[1]) >= count:
        allowed = f"allowed: 0 to {count - 1}, or `image 0` and so on"
        raise DataError(f"{where}: {show(line.file)} is no row of the {array} images; {allowed}")
    if not line.label:
        raise DataError(f"{where}: {line.file} has no label; remove the line or label it")
    return _Labelled(split, array, int(match[1]), line.label, line.read_weight(where))


def _build(
    data: FoundData, arrays: Mapping[str, LabelledImages], lines: list[_Labelled]
) -> FoundData:
    """Return the data of these lines; classes keep their order, and new ones come last, sorted."""
    used = {line.label for line in lines if line.split == "train"}
    classes = tuple(name for name in data.classes if name in used)
    classes += tuple(sorted(used - {*classes}))
    numbers = {name: number for number, name in enumerate(classes)}
    parts: dict[str, LabelledImages] = {}
    for split in SPLITS:
        own = sorted((each for each in lines if each.split == split), key=lambda each: each.row)
        if own:
            names = [each.label for each in own]
            images = arrays[own[0].array].images.take(np.array([each.row for each in own]))
            weights = np.array([each.weight for each in own]) if split != "test" else None
        elif split in arrays and split != "train":
            names = [data.classes[label] for label in arrays[split].labels]
            images, weights = arrays[split].images, None
        else:
            continue
        unseen = sorted({*names} - numbers.keys())
        if unseen:
            hint = did_you_mean(unseen[0], classes)
            problem = f"the {split} split has labels that train has not: {join_names(unseen)}"
            raise DataError(f"{data.title}: {problem}.{hint}")
        labels = as_labels([numbers[name] for name in names])
        parts[split] = LabelledImages(images, labels, weights)
    if "train" not in parts:
        raise DataError(f"{data.title}: data.labels names no training image")
    test = parts.get("test")
    return drop_even_weights(
        replace(
            data,
            classes=classes,
            train=parts["train"],
            val=parts.get("val"),
            test=None if test is None else lambda: test,
        )
    )
