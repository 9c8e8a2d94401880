import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.errors import KtgError, SpecError, UserError
from ktg.pretraining.groups import check_groups, read_groups, read_hierarchy, split_evenly

CLASSES = ("n1", "n2", "n3", "n4", "n5", "n6")
# A dog may be seen as a pet too, as in WordNet, where a child has several parents.
HIERARCHY = """\
n1 dog
n2 dog
n2 pet
dog animal
n3 cat
cat animal
cat pet
animal thing
n4 car

car thing
n5 car
"""


@given(
    st.integers(2, 60).flatmap(
        lambda classes: st.tuples(st.just(classes), st.integers(1, classes // 2))
    )
)
def test_blocks_are_equal_and_in_order(numbers):
    count, blocks = numbers
    classes = [str(number) for number in range(count)]
    groups = split_evenly(classes, blocks, "set")
    assert len(groups) == blocks
    assert [name for group in groups.values() for name in group] == classes
    sizes = {len(group) for group in groups.values()}
    assert max(sizes) - min(sizes) <= 1
    assert list(groups) == sorted(groups)
    check_groups(groups, classes, "--split")


def test_the_published_split():
    groups = split_evenly([str(number) for number in range(1000)], 10, "imagenet")
    assert groups["imagenet-02"] == tuple(str(number) for number in range(100, 200))


@pytest.mark.parametrize("count", [0, -1, 4])
def test_a_split_needs_two_classes_in_every_block(count):
    with pytest.raises(
        UserError, match=rf"--split: {count} blocks of 6 classes, .*; allowed: 1 to 3"
    ):
        split_evenly(CLASSES, count, "set")


def test_groups_from_yaml_and_csv_agree(tmp_path):
    (tmp_path / "a.yaml").write_text("dog: [n1, n2]\ncar: [n4, n5, 7]\n")
    (tmp_path / "a.csv").write_text(
        "class,group,note\nn1,dog,\nn4,car,\nn2,dog,x\nn5,car,\n7,car,\n"
    )
    wanted = {"dog": ("n1", "n2"), "car": ("n4", "n5", "7")}
    assert read_groups(tmp_path / "a.yaml") == wanted
    assert read_groups(tmp_path / "a.csv") == wanted


def test_groups_from_a_hierarchy(tmp_path):
    path = tmp_path / "is_a.txt"
    path.write_text(HIERARCHY)
    ancestors = {"dogs": "dog", "cars": "car", "pets": "pet", "all": "thing"}
    assert read_hierarchy(path, ancestors, CLASSES) == {
        "dogs": ("n1", "n2"),
        "cars": ("n4", "n5"),
        "pets": ("n2", "n3"),
        "all": ("n1", "n2", "n3", "n4", "n5"),
    }


def test_a_ring_in_a_hierarchy_ends(tmp_path):
    path = tmp_path / "is_a.txt"
    path.write_text("n1 a\na b\nb a\n")
    assert read_hierarchy(path, {"x": "b"}, CLASSES) == {"x": ("n1",)}


@pytest.mark.parametrize(
    ("text", "ancestor", "message"),
    [
        (HIERARCHY, "dgo", "there is no 'dgo', the ancestor of 'x'. Did you mean 'dog'"),
        (HIERARCHY + "n9 boat\n", "boat", "no class of the data descends from boat"),
        ("n1 dog canine\n", "dog", "line 1 has 3 words; expected `child parent`"),
        (
            "dog n1\n",
            "dog",
            "no class of the data is a child in it: its lines seem to be `parent child`; turn them",
        ),
        ("a b\n", "b", "no class of the data is a child in it$"),
    ],
)
def test_a_hierarchy_that_does_not_fit(tmp_path, text, ancestor, message):
    path = tmp_path / "is_a.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_hierarchy(path, {"x": ancestor}, CLASSES)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, "here: holds no groups"),
        ({"a": ()}, "a: a group needs at least two classes to tell apart, got none"),
        ({"a": ("n1",)}, "a: a group needs at least two classes to tell apart, got n1"),
        ({"a": ("n1", "nn2")}, r"a: the data have no class 'nn2'\. Did you mean 'n2'"),
        (
            {"a": ("n1", "n2"), "b": ("n2", "n3")},
            "the class 'n2' is in a and in b; groups must not overlap",
        ),
        ({"a": ("n1", "n1")}, "the class 'n1' is twice"),
        ({"a b": ("n1", "n2")}, "'a b' cannot name an entry"),
    ],
)
def test_groups_that_cannot_be_trained_on(groups, message):
    with pytest.raises((UserError, SpecError), match=message):
        check_groups(groups, CLASSES, "here")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", "dog: n1", "dog: expected a list of classes, got 'n1'"),
        ("a.yaml", "dog: [[n1]]", "dog: expected a list of classes"),
        (
            "a.csv",
            "group;class\n",
            "needs the columns group and class in its first line, found: group;class",
        ),
        ("a.csv", "", "found: none"),
        (
            "a.csv",
            "group,class\ndog,n1\ndog\n",
            r"a\.csv:3: a group and a class are needed on every line",
        ),
        ("a.csv", b"group,class\ndog,\xff\n", "is not a CSV file in UTF-8"),
    ],
)
def test_a_file_that_holds_no_groups(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(KtgError, match=message):
        read_groups(path)


@pytest.mark.parametrize("name", ["gone.yaml", "gone.csv"])
def test_a_file_that_is_not_there(tmp_path, name):
    with pytest.raises(KtgError, match="gone"):
        read_groups(tmp_path / name)
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_hierarchy(tmp_path / "gone.txt", {"a": "b"}, CLASSES)
