"""The labels of an .npz may stand in a table, as an audit writes it."""

import numpy as np
import pytest
from dirt import COLOURS, picture

from ktg.api.data import audit
from ktg.data.dataset import merge
from ktg.data.open import name_images, open_data, open_test
from ktg.errors import DataError
from ktg.graph import Data

NAMES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def pixels():
    shades = [COLOURS[name] for name in NAMES]
    return np.stack([np.asarray(picture(row, shades[row % 3], 16)) for row in range(60)])


@pytest.fixture
def folder(tmp_path, pixels):
    """One array for all splits, and one with a test array of its own."""
    labels = np.arange(60) % 3
    np.savez(tmp_path / "one.npz", x=pixels, y=labels, classes=NAMES)
    two = {"x_train": pixels[:48], "y_train": labels[:48]}
    two |= {"x_test": pixels[48:], "y_test": labels[48:]}
    np.savez(tmp_path / "two.npz", **two, classes=NAMES)
    return tmp_path


def write(folder, *lines, heading="file,label,split"):
    (folder / "labels.csv").write_text("\n".join([heading, *lines]) + "\n")


def opened(folder, name="one.npz", **spec):
    data = Data(path=str(folder / name), labels="labels.csv", **spec)
    return open_data(data), open_test(data), name_images(data)


def test_lines_name_rows_labels_and_splits(folder, pixels):
    rows = [f"image {row},{NAMES[row % 3]},train" for row in range(30, 0, -1)]
    rows += [f"{row},{NAMES[row % 3]},val" for row in range(31, 40)]
    rows += [f"{row},red,test" for row in range(40, 50)]
    rows += [f"{row},{name},test" for row, name in ((50, "blue"), (51, "green"))]
    write(folder, *rows)
    data, test, names = opened(folder)
    assert data.classes == NAMES
    assert names["train"][:2] == ["image 1", "image 2"]  # the order of lines changes nothing
    assert np.array_equal(data.train.read(range(30)), pixels[1:31])
    assert np.array_equal(data.train.labels, np.arange(1, 31) % 3)
    assert np.array_equal(data.val.read(range(9)), pixels[31:40])
    assert test.labels.tolist() == [2] * 10 + [0, 1]


def test_a_split_of_the_file_that_no_line_names_stays(folder, pixels):
    write(folder, *(f"{row},{NAMES[(row + 1) % 3]}" for row in range(24)), heading="id,class")
    data, test, names = opened(folder, "two.npz", val_fraction=0.25)
    assert len(data.train) + len(data.val) == 24
    assert np.array_equal(test.read(range(12)), pixels[48:])
    assert np.array_equal(test.labels, np.arange(48, 60) % 3)
    row = int(names["train"][0].removeprefix("image "))
    assert data.train.labels[0] == (row + 1) % 3


def test_new_classes_come_last(folder):
    write(folder, *(f"{row},{('red', 'amber', 'blue')[row % 3]},train" for row in range(30)))
    assert opened(folder)[0].classes == ("blue", "red", "amber")


@pytest.mark.slow
@pytest.mark.parametrize("doubtful", ["keep", "relabel", "drop", "weigh"])
@pytest.mark.parametrize("name", ["one.npz", "two.npz"])
def test_what_an_audit_writes_is_read_again(folder, name, doubtful):
    before = open_data(Data(path=str(folder / name)))
    found = audit(folder / name, labels=folder / "labels.csv", doubtful=doubtful)
    after, test, names = opened(folder, name)
    assert len(test) == found.pool.counts["test"]
    wrong, splits = found.doubts.wrong, np.array(found.pool.splits)
    dropped = (wrong & (splits != "test")).sum() if doubtful == "drop" else 0
    assert len(after.train) + len(after.val) == len(before.train) + len(before.val) - dropped
    if doubtful == "keep":
        pool = found.pool
        own = [row for row, split in enumerate(pool.splits) if split == "train"]
        given = {pool.names[row]: pool.labels[row] for row in own}
        assert given == dict(zip(names["train"], after.train.labels, strict=True))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["60,red,"], r"labels.csv: line 2: '60' is no row of the train images; allowed: 0 to 59"),
        (["a.png,red,"], "line 2: 'a.png' is no row of the train images"),
        (["-1,red,"], "line 2: '-1' is no row"),
        (["1,,"], "line 2: 1 has no label"),
        (["1,red,later"], "line 2: 'later' is no split; allowed: train, val, test"),
        (
            ["1,red,", "image 1,blue,"],
            "line 3: image 1 has another label, split or weight in a line before",
        ),
        (["1,red,test"], "the test split has labels that train has not: red"),
        ([], "data.labels names no training image"),
        (["1,red,", "2,red,"], "classes found: red; at least two are needed"),
        (["1,red,,x"], "line 2: 'x' is no weight of a label; allowed: a number from 0 on"),
        (["1,red,,-0.5"], "line 2: '-0.5' is no weight"),
        (["1,red,,inf"], "line 2: 'inf' is no weight"),
        (["1,red,,nan"], "line 2: 'nan' is no weight"),
        (["1,red,,1", "image 1,red,,0.5"], "line 3: image 1 has another label, split or weight"),
    ],
)
def test_what_cannot_be_used_is_named(folder, lines, said):
    write(folder, *lines, heading="file,label,split,weight")
    with pytest.raises(DataError, match=said):
        opened(folder)


def test_a_table_that_is_not_there_is_named(folder):
    with pytest.raises(DataError, match=r"data\.labels: there is no labels\.csv in "):
        opened(folder)


def weigh(folder, name="one.npz", **spec):
    """The set with a weight for each row, row / 100, and none for row 0."""
    lines = [f"{row},{NAMES[row % 3]},{row / 100 if row else ''}" for row in range(48)]
    write(folder, *lines, heading="file,label,weight")
    return opened(folder, name, **spec)


@pytest.mark.parametrize("name", ["one.npz", "two.npz"])
@pytest.mark.parametrize(
    "spec", [{}, {"folds": 4, "fold": 2}, {"per_class": 3}, {"only": ("blue", "red")}]
)
def test_weights_stay_with_their_images(folder, name, spec):
    data, test, names = weigh(folder, name, **spec)
    for split, images in (("train", data.train), ("val", data.val)):
        rows = [int(each.split()[1]) for each in names[split]]
        assert images.weights.tolist() == [row / 100 if row else 1.0 for row in rows]
    both = merge(data).weights
    assert both.tolist() == [*data.train.weights, *data.val.weights]
    assert data.train.take(np.array([3, 1])).weights.tolist() == both[[3, 1]].tolist()
    if name == "two.npz":
        assert test.weights is None


def test_equal_weights_are_none_and_others_make_other_data(folder):
    prints = []
    for weights in ([1] * 60, [0.5] * 60, [1] * 59 + [0]):
        lines = [f"{row},{NAMES[row % 3]},{weights[row]}" for row in range(60)]
        write(folder, *lines, heading="file,label,weight")
        prints.append(opened(folder)[0].fingerprint)
    write(folder, *(f"{row},{NAMES[row % 3]}" for row in range(60)), heading="file,label")
    plain = opened(folder)[0]
    assert plain.train.weights is None
    assert prints[:2] == [plain.fingerprint] * 2 != prints[1:]


def test_a_class_needs_labels_that_are_used(folder):
    lines = [f"{row},{NAMES[row % 3]},{int(row % 3 > 0)}" for row in range(60)]
    write(folder, *lines, heading="file,label,weight")
    said = r"\(labels of weight 0 do not count\); too few: blue \(0\)"
    with pytest.raises(DataError, match=said):
        opened(folder)
