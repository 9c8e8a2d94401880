"""Tables of labels beside folders that are taken for classes: said, or refused."""

import pytest

from ktg.data.locate import find_data
from ktg.data.open import open_data, remark
from ktg.data.unread_tables import find_unread_tables
from ktg.errors import DataError
from ktg.graph import Data

PARTS = {"part_1": 6, "part_2": 6}


def write(root, name: str, heading: str, label) -> None:
    """Write a table of all images in two folders; `label` gives that of a folder and a number."""
    lines = [
        f"{folder}/{number:02d},{label(folder, number)}" for folder in PARTS for number in range(6)
    ]
    (root / name).write_text("\n".join([heading, *lines]))


def rename(root) -> None:
    """Give the images names of which each is there once, as in HAM10000."""
    for file in root.glob("*/*.png"):
        file.rename(file.with_name(f"{file.parent.name}_{file.name}"))


def grade(_: str, number: int) -> str:
    return ("mel", "nv")[number % 2]


@pytest.mark.parametrize(
    ("name", "heading"),
    [("labels.csv", "image_id,dx"), ("any.tsv", "file\tclass"), ("any.jsonl", "file,class")],
)
def test_folders_that_a_table_shows_to_be_no_classes_are_refused(make, name, heading):
    root = make(PARTS)
    rename(root)
    write(root, name, heading, grade)
    text = (
        (root / name).read_text().replace("/", "/part_1_").replace("part_2/part_1", "part_2/part_2")
    )
    if name.endswith("tsv"):
        text = text.replace(",", "\t")
    if name.endswith("jsonl"):
        rows = (line.split(",") for line in text.splitlines()[1:])
        text = "\n".join(f'{{"file": "{file}", "class": "{label}"}}' for file, label in rows)
    (root / name).write_text(text)
    with pytest.raises(DataError) as refused:
        find_data(Data(path=str(root)), None)
    assert str(refused.value) == (
        f"data.path: {root}: {name} gives the images in part_1/ several labels (mel, nv), and no "
        f"label is the name of a folder; give data.labels: {name} (`ktg init --labels {name}`), or "
        "move that table away if the folders are the classes"
    )
    assert open_data(Data(path=str(root), labels=name)).classes == ("mel", "nv")


@pytest.mark.parametrize(
    ("heading", "label"),
    [
        ("file,label", lambda folder, _: f"species of {folder}"),  # another name for the folders
        ("file,label", lambda folder, number: ("part_1", "part_2")[number % 2]),  # mended labels
        ("file,width", grade),  # says nothing of classes
        ("file,label", lambda folder, number: f"{folder} {number}"),  # a caption of each
    ],
)
def test_a_table_that_proves_nothing_is_only_said_to_be_unread(make, heading, label):
    root = make(PARTS)
    rename(root)
    write(root, "mine.csv", heading, label)
    assert find_data(Data(path=str(root)), None).classes == ("part_1", "part_2")
    (said,) = [each for each in remark(Data(path=str(root))) if "mine.csv" in each]
    assert said == (
        "mine.csv beside the class folders is not read, because folders go before it; for its "
        "labels give data.labels: mine.csv (`ktg init --labels mine.csv`)"
    )


def test_names_that_are_in_two_folders_prove_nothing(make):
    root = make(PARTS)
    (root / "labels.csv").write_text(
        "file,label\n" + "\n".join(f"{n:02d},{grade('', n)}" for n in range(6))
    )
    assert len(find_data(Data(path=str(root)), None).train.labels) == 12


def test_what_is_no_table_of_labels(make):
    root = make(PARTS)
    for name, text in (
        ("birds.groups.csv", "file,group\npart_1/00.png,1\n"),
        ("list.csv", "part_1/00.png\n"),
        ("empty.csv", ""),
        ("heading.csv", "file,label\n"),
        ("notes.txt", "file,label\na.png,b\n"),
        ("other.csv", "mean,deviation\n1,2\n"),
    ):
        (root / name).write_text(text)
    (root / "folder.csv").mkdir()
    (root / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    assert find_unread_tables(root) == []
