"""Groups of images in a table: on one side of every split, or one clear sentence."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from ktg.data.open import name_images, open_data, remark, summarize
from ktg.errors import DataError, SpecError
from ktg.graph import Data, parse

COUNTS = {"cat": 24, "dog": 36}
EACH = 6  # images of a group


@pytest.fixture
def root(make) -> Path:
    return make(COUNTS)


@pytest.fixture
def write(root: Path, tmp_path: Path):
    """Return a function that writes lines, by default of groups of six, and returns the data."""
    groups = {
        file.relative_to(root).as_posix(): f"{file.parent.name} {number // EACH}"
        for label in COUNTS
        for number, file in enumerate(sorted((root / label).iterdir()))
    }

    def make_data(*lines: str, name: str = "groups.csv", **fields: object) -> Data:
        rows = lines or ("file,group", *(f"{file},{group}" for file, group in groups.items()))
        (tmp_path / name).write_text("\n".join(rows), encoding="utf-8")
        return Data(path=str(root), groups=str(tmp_path / name), **fields)

    make_data.groups = groups
    return make_data


def list_sides(data: Data, groups: dict[str, str]) -> dict[str, set[str]]:
    """Return in which splits the images of each group are."""
    sides: dict[str, set[str]] = {}
    for split, names in name_images(data).items():
        for name in names:
            sides.setdefault(groups[name], set()).add(split)
    return sides


def test_no_group_is_on_two_sides_of_a_split(write):
    for fields in ({}, {"folds": 3, "fold": 1}, {"split_seed": 5}):
        data = write(**fields)
        sides = list_sides(data, write.groups)
        assert all(len(splits) == 1 for splits in sides.values())
        assert set.union(*sides.values()) == {"train", "val", "test"}
        for split, counts in summarize(data).counts.items():
            assert all(count % EACH == 0 and count > 0 for count in counts), split
    # Without the table images of most groups are on two sides.
    apart = list_sides(Data(path=write().path), write.groups)
    assert sum(len(splits) > 1 for splits in apart.values()) > len(apart) / 2


def test_what_was_decoded_is_split_as_what_was_counted(write):
    data = write()
    opened, counted = open_data(data), summarize(data)
    assert np.bincount(opened.val.labels).tolist() == list(counted.counts["val"])
    assert opened.fingerprint != open_data(Data(path=data.path)).fingerprint
    assert "60 images are 10 groups, which no drawn split cuts (data.groups)" in remark(data)


def test_images_without_a_group_are_by_themselves(write):
    some = ("group,note,file", "tom,x,cat_000.png", "tom,,cat_001.png", ",,cat_002.png")
    lines = [line.replace("cat_", "cat/") for line in some]
    data = write(*lines)
    names = [Path(name) for name in write.groups]
    assert (names[0].parent.name, names[0].suffix) == ("cat", ".png")
    lines = ["group,note,file", *(f"tom,,{name}" for name in names[:2]), f",,{names[2]}"]
    data = write(*lines)
    sides = {name: split for split, files in name_images(data).items() for name in files}
    assert sides[names[0].as_posix()] == sides[names[1].as_posix()]
    assert "59 groups" in " ".join(remark(data))


def test_tables_of_json_lines_and_files_by_their_last_names_will_do(write):
    lines = [json.dumps({"file": name, "group": group}) for name, group in write.groups.items()]
    plain = open_data(write())
    assert open_data(write(*lines, name="groups.jsonl")).fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["file,patient", "a,b"],
            r"groups.csv: line 1: no columns file and group among file, patient",
        ),
        ([""], r"line 1: no columns file and group among none"),
        (["file,group", "cat/99.png,1"], r"line 2: there is no image 'cat/99.png'"),
        (["file,group", "{first},1", "{first},2"], r"line 3: .* is in the group 1 in a line befor"),
        (["file,group", "{first}"], r"line 2: 1 of 2 columns are there"),
        (["file,group", '"{first}', "x" * 200_000], "cannot be read as a table of groups"),
    ],
)
def test_mistakes_name_table_and_line(write, lines, said):
    first = next(iter(write.groups))
    with pytest.raises(DataError, match=said):
        summarize(write(*(line.replace("{first}", first) for line in lines)))


def test_a_class_needs_a_group_for_each_split(write):
    lines = [f"{name},{group.partition(' ')[0]}" for name, group in write.groups.items()]
    said = r"needs at least 3 groups, one for each split; too few: cat \(1\), dog \(1\)"
    with pytest.raises(DataError, match=said):
        open_data(write("file,group", *lines))


@pytest.mark.parametrize("fields", [{}, {"folds": 2}, {"folds": 2, "fold": 1}])
@pytest.mark.parametrize("split_seed", range(6))
def test_three_groups_of_any_size_are_one_for_each_split(write, fields, split_seed):
    """Whichever come first, the test split does not take two of them."""
    sizes = {"cat": (3, 3, 18), "dog": (4, 4, 28)}
    owner = {label: np.repeat(range(3), each) for label, each in sizes.items()}
    places = dict.fromkeys(sizes, 0)
    lines = ["file,group"]
    for name in write.groups:
        label = Path(name).parent.name
        lines.append(f"{name},{label} {owner[label][places[label]]}")
        places[label] += 1
    data = write(*lines, split_seed=split_seed, **fields)
    counts = summarize(data).counts
    assert all(count > 0 for split in ("train", "val", "test") for count in counts[split]), counts


def test_a_class_whose_last_group_cannot_be_read_is_one_sentence(write, root):
    lost = {f"cat {number}" for number in range(3)}  # all but one of its groups
    for name, group in write.groups.items():
        if group in lost:
            (root / name).write_bytes(b"no image")
    data = write(corrupt="skip")
    # 18 of 24 images of cats are gone, so that one group is left at most.
    said = r"every class needs at least 1 image in the (train|val) split; too few: cat \(0\)"
    with pytest.raises(DataError, match=said):
        for seed in range(9):
            open_data(dataclasses.replace(data, split_seed=seed))


def test_a_class_that_is_left_out_needs_no_groups(make, tmp_path):
    root = make({"ant": 6, "bee": 6, "cow": 6})
    lines = ["file,group", *(f"cow/{number:02d}.png,one" for number in range(6))]
    (tmp_path / "groups.csv").write_text("\n".join(lines))
    data = Data(path=str(root), groups=str(tmp_path / "groups.csv"))
    with pytest.raises(DataError, match=r"too few: cow \(1\)"):
        summarize(data)
    assert summarize(dataclasses.replace(data, only=("ant", "bee"))).classes == ("ant", "bee")


def test_a_table_that_is_not_there_and_images_in_arrays(write, tmp_path):
    data = write()
    (tmp_path / "groups.csv").rename(tmp_path / "group.csv")
    with pytest.raises(DataError, match=r"groups.csv does not exist .* Did you mean .*group.csv"):
        open_data(data)
    pixels, labels = np.zeros((12, 8, 8), np.uint8), np.arange(12) % 2
    np.savez(tmp_path / "images.npz", images=pixels, labels=labels)
    arrays = Data(path=str(tmp_path / "images.npz"), groups=str(tmp_path / "group.csv"))
    with pytest.raises(DataError, match="groups are of images in a folder"):
        open_data(arrays)


def test_groups_go_with_a_path():
    graph = {
        "version": 2,
        "data": {"name": "digits", "groups": "groups.csv"},
        "nodes": {"n0": {"model": "resnet8"}},
        "edges": {"label -> n0": {}},
    }
    with pytest.raises(SpecError, match=r"data.groups: goes with data.path"):
        parse(graph)
