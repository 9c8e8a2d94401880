"""Labels in a table: the layouts of Kaggle and Hugging Face, and one's own CSV."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ktg.data import open_data
from ktg.data.label_table import UNDERSTOOD, find_tables, list_unlisted, read_table_folder
from ktg.data.locate import find_data
from ktg.data.open import open_test, remark, summarize
from ktg.errors import DataError
from ktg.graph import Data

PETS = {"cat": 8, "dog": 8}


@pytest.fixture
def flat(make: Callable[..., Path], tmp_path: Path) -> Path:
    """Images cat_00.png, ..., dog_07.png in one folder, without a table."""
    classes, root = make(PETS, name="classes"), tmp_path / "photos"
    root.mkdir()
    for file in classes.glob("*/*"):
        shutil.copy2(file, root / f"{file.parent.name}_{file.name}")
    return root


def write(file: Path, *lines: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def list_lines(root: Path) -> list[str]:
    return [f"{file.name},{file.name[:3]}" for file in sorted(root.rglob("*.png"))]


def test_a_table_says_what_folders_of_classes_would(flat, tmp_path):
    lines = list_lines(flat)
    random.Random(0).shuffle(lines)  # the order of lines is nothing
    write(flat / "labels.csv", "file,label", *lines)
    given, found = (Data(path=str(flat), labels=name) for name in ("labels.csv", None))
    folders = open_data(Data(path=str(tmp_path / "classes")))
    for data in (given, found):
        opened = open_data(data)
        assert opened.classes == ("cat", "dog")
        # Images, form, classes, labels and split: the same data set.
        assert opened.fingerprint == folders.fingerprint
    assert remark(given)[-1:] == remark(Data(path=str(tmp_path / "classes")))[-1:]


@pytest.mark.parametrize(
    "heading", ["Filename;Class", "image_id\tspecies", "path,what it is", "\ufefffile,label"]
)
def test_headings_are_recognised(flat, heading):
    mark = next(mark for mark in ";\t," if mark in heading)
    lines = [line.replace(",", mark) for line in list_lines(flat)]
    write(flat / "labels.csv", heading, *lines)
    assert summarize(Data(path=str(flat), labels="labels.csv")).classes == ("cat", "dog")


def test_two_columns_need_no_heading_and_the_table_may_lie_beside_the_folder(flat):
    write(flat.parent / "mine.csv", *list_lines(flat))
    found = summarize(Data(path=str(flat), labels="mine.csv"))
    assert {split: sum(count) for split, count in found.counts.items()} == {
        "train": 10,
        "val": 2,
        "test": 4,
    }


def test_a_column_of_splits(flat):
    splits = ("train", "Validation", "test", "")
    lines = [f"{line},{splits[i % 4]}" for i, line in enumerate(list_lines(flat))]
    write(flat / "labels.csv", "file,label,split", *lines)
    data = find_data(Data(path=str(flat)), None)
    assert [len(part.labels) for part in (data.train, data.val, data.test())] == [8, 4, 4]


def test_kaggle_images_in_train_and_test_and_a_table_of_train(flat, tmp_path):
    root = tmp_path / "competition"
    shutil.copytree(flat, root / "train")
    shutil.copytree(flat, root / "test")  # the same names, other images
    ids = [line.replace(".png", "") for line in list_lines(root / "train")]
    write(root / "train.csv", "id,breed", *ids)
    write(root / "sample_submission.csv", "id,breed", "cat_00,cat")
    write(root / "test.csv", "id", "cat_00")
    data = find_data(Data(path=str(root)), None)
    assert data.val is None
    assert data.test is None
    assert all(name.startswith("train/") for name in data.train.images.names)
    assert len(list_unlisted(root, data)) == 16
    (said,) = [each for each in remark(Data(path=str(root))) if "table" in each]
    assert said.startswith("16 images are in no line of the table of labels: test/cat_00.png")


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_hugging_faces_metadata_in_each_split(flat, tmp_path, ending):
    root = tmp_path / "hub"
    for split in ("train", "test"):
        shutil.copytree(flat, root / split)
        lines = [line.split(",") for line in list_lines(root / split)]
        rows = [json.dumps({"file_name": file, "label": label}) for file, label in lines]
        csv = ["file_name,label", *map(",".join, lines)]
        write(root / split / f"metadata.{ending}", *(csv if ending == "csv" else rows))
    spec = Data(path=str(root))
    assert len(open_test(spec)) == 16
    assert len(open_data(spec).val) == 4
    drawn = "the data have no validation split: 20% of the training images are held out for it"
    assert any(each.startswith(drawn) for each in remark(spec))


def test_folders_of_classes_go_before_a_table_that_is_not_asked_for(make):
    root = make(PETS)
    write(root / "train.csv", "file,label", "cat/00.png,dog")
    assert not find_tables(root)
    assert len(find_data(Data(path=str(root)), None).train.labels) == 16
    with pytest.raises(DataError, match="classes found: dog; at least two"):
        find_data(Data(path=str(root), labels="train.csv"), None)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["file,label", "cat_0.png,cat"], r"line 2: there is no image 'cat_0.png'. Did you mean"),
        (["file,label", "cat_00.png,"], "line 2: cat_00.png has no label"),
        (["file,label", ",cat"], "line 2: no file is named"),
        (
            ["file,label", "cat_00.png,cat", "", "cat_00.png,dog"],
            "line 4: cat_00.png has another label, split or weight in labels.csv: line 2",
        ),
        (["file,label,split", "cat_00.png,cat,7"], "line 2: '7' is no split; allowed: train, val"),
        (["a,b,c", "cat_00.png,cat,1"], "line 1: no column of files among a, b, c; call one file"),
        (["file,b,c", "cat_00.png,cat,1"], "line 1: no column of labels among file, b, c"),
        ([""], "line 1: no column of files among none"),
        (["file,label", '"cat_00.png', "x" * 200_000], "cannot be read as a table of labels"),
        (["file,label", "cat_00.png,cat", "dog_00.png,dog"], "every class needs at least 3 images"),
        (
            ["file,label,split", "cat_00.png,cat,train", "dog_00.png,cow,test"],
            "the test split has labels that train has not: cow",
        ),
    ],
)
def test_a_line_that_cannot_be_used_is_named(flat, lines, said):
    write(flat / "labels.csv", *lines)
    with pytest.raises(DataError, match=said) as raised:
        find_data(Data(path=str(flat), labels="labels.csv"), None)
    assert "\n" not in str(raised.value)


def test_bytes_that_are_no_text_several_tables_and_none(flat):
    (flat / "labels.csv").write_bytes(b"file,label\n\xff\xfe\x00,cat\n")
    with pytest.raises(DataError, match=r"labels.csv cannot be read as a table of labels"):
        find_data(Data(path=str(flat)), None)
    with pytest.raises(DataError, match=r"there is no label.csv in .* Did you mean 'labels.csv'"):
        find_data(Data(path=str(flat), labels="label.csv"), None)
    write(flat / "metadata.csv", "file,label")
    with pytest.raises(DataError, match=r"several tables of labels \(labels.csv, metadata.csv\)"):
        find_data(Data(path=str(flat)), None)
    assert read_table_folder(flat.parent / "classes", None, "") is None


def test_a_training_image_that_is_missing_is_not_taken_from_the_test_images(flat, tmp_path):
    root = tmp_path / "competition"
    shutil.copytree(flat, root / "train")
    shutil.copytree(flat, root / "test")
    write(root / "train.csv", "image,label", *list_lines(root / "train"))
    assert len(find_data(Data(path=str(root)), None).train.labels) == 16
    (root / "train" / "cat_05.png").unlink()
    said = (
        r"train.csv: line 7: there is no train image 'cat_05.png', and test/cat_05.png is another"
    )
    with pytest.raises(DataError, match=said):
        find_data(Data(path=str(root)), None)


def test_a_column_of_splits_goes_before_the_names_of_folders(flat, tmp_path):
    root = tmp_path / "competition"
    shutil.copytree(flat, root / "train")
    shutil.copytree(flat, root / "test_1")
    for file in (root / "test_1").iterdir():
        file.rename(file.with_name(f"unseen_{file.name}"))
    splits = ("train", "val", "test", "train")
    lines = [f"{line},{splits[i % 4]}" for i, line in enumerate(list_lines(root / "train"))]
    write(root / "labels.csv", "file,label,split", *lines)
    data = find_data(Data(path=str(root)), None)
    assert [len(part.labels) for part in (data.train, data.val, data.test())] == [8, 4, 4]
    assert all(name.startswith("train/") for name in data.test().images.names)


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_labels_that_are_not_utf_8_say_how_to_save_the_table(flat, encoding):
    lines = [line.replace(",dog", ",d\xf6g") for line in list_lines(flat)]
    (flat / "labels.csv").write_bytes("\n".join(["file,label", *lines]).encode(encoding))
    said = r"labels.csv: line 10: the label 'd.*g' is not UTF-8; save it as CSV in UTF-8"
    with pytest.raises(DataError, match=said):
        find_data(Data(path=str(flat)), None)


def test_a_name_of_a_file_need_not_be_utf_8(flat):
    odd = os.fsdecode(os.fsencode(flat) + b"/caf\xe9.png")
    (flat / "cat_00.png").rename(odd)
    lines = [line.replace("cat_00", Path(odd).stem) for line in list_lines(flat)]
    lines = [line.replace(",caf", ",cat") for line in lines]
    text = "\n".join(["file,label", *lines])
    (flat / "labels.csv").write_text(text, encoding="utf-8", errors="surrogateescape")
    found = find_data(Data(path=str(flat)), None)
    assert f"./{Path(odd).name}" in found.train.images.names


def test_where_no_layout_fits_those_that_are_understood_are_named(flat):
    with pytest.raises(DataError) as raised:
        find_data(Data(path=str(flat)), None)
    assert str(raised.value).endswith(f"at least two are needed to tell apart; {UNDERSTOOD}")


def test_one_name_in_two_folders_needs_its_folder(flat, tmp_path):
    root = tmp_path / "both"
    for name in ("images", "photos"):
        shutil.copytree(flat, root / name)
    write(root / "labels.csv", "file,label", *list_lines(flat))
    with pytest.raises(DataError, match=r"may be images/cat_00.png or photos/cat_00.png; write"):
        find_data(Data(path=str(root)), None)
    write(root / "labels.csv", "file,label", *(f"photos/{line}" for line in list_lines(flat)))
    data = find_data(Data(path=str(root)), None)
    assert len(data.train.labels) == 16


def test_only_a_table_that_is_named_weighs_labels(flat):
    lines = [f"{line},{place % 4 / 2}" for place, line in enumerate(list_lines(flat))]
    write(flat / "labels.csv", "file,label,weight", *lines)
    assert find_data(Data(path=str(flat)), None).train.weights is None
    found = find_data(Data(path=str(flat), labels="labels.csv"), None).train
    assert found.weights.tolist() == [place % 4 / 2 for place in range(16)]
    assert found.take(found.weights.argsort()[-2:]).weights.tolist() == [1.5, 1.5]
    write(flat / "labels.csv", "file,label,weight", *lines[:-1], "dog_07.png,dog,heavy")
    with pytest.raises(DataError, match=r"labels.csv: line 17: 'heavy' is no weight of a label;"):
        find_data(Data(path=str(flat), labels="labels.csv"), None)
