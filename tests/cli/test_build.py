import json

import pytest
from command import ktg

from ktg.zoo import Zoo

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = (
    "--model",
    "resnet8",
    "--size",
    "8",
    "--epochs",
    "1",
    "--batch-size",
    "16",
    "--device",
    "cpu",
    "--zoo",
    "zoo",
)


@pytest.mark.slow
def test_a_simple_split_is_built_once(room):
    done = ktg("zoo", "build", "tiny.npz", "--split", "2", *SMALL, folder=room)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("tiny-01/resnet8 (1 of 2): epoch 1/1")
    assert lines[3].startswith("tiny-02/resnet8: tiny.npz: 2 classes, 52 training images")
    assert lines[4] == f"2 of 2 entries are new in {room / 'zoo'}"
    again = ktg("zoo", "build", "tiny.npz", "--split", "2", *SMALL, "--json", folder=room)
    assert [(one["name"], one["new"]) for one in json.loads(again.out)] == [
        ("tiny-01", False),
        ("tiny-02", False),
    ]


@pytest.mark.slow
def test_super_classes_from_a_hierarchy(room):
    (room / "is_a.txt").write_text("0 even\n1 odd\n2 even\n3 odd\n")
    words = (
        "--wordnet",
        "is_a.txt",
        "--ancestor",
        "evens=even",
        "--ancestor",
        "odds=odd",
        "--prefix",
        "my-",
    )
    done = ktg("zoo", "build", "tiny.npz", *words, *SMALL, folder=room)
    assert done.code == 0, done.err
    assert {card.name: card.classes for card in Zoo(room / "zoo").list_cards()} == {
        "my-evens": ("0", "2"),
        "my-odds": ("1", "3"),
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give one of --split, --groups and --wordnet"),
        (["--split", "2", "--groups", "a.csv"], "give one of --split, --groups and --wordnet"),
        (
            ["--split", "3"],
            "--split: 3 blocks of 4 classes, but every block needs two; allowed: 1 to 2",
        ),
        (["--wordnet", "a.csv"], "--wordnet and --ancestor NAME=ID belong together"),
        (["--split", "2", "--ancestor", "a=b"], "--wordnet and --ancestor NAME=ID belong together"),
        (
            ["--wordnet", "a.csv", "--ancestor", "dog"],
            "--ancestor: 'dog' is not of the form NAME=ID",
        ),
        (
            ["--wordnet", "a.csv", "--ancestor", "a=b", "--ancestor", "a=c"],
            "--ancestor: 'a' is given twice",
        ),
        (["--groups", "a.csv"], "a.csv: left: the data have no class '7'"),
        (
            ["--split", "2", "--batch-size", "60"],
            "60 is more than the 52 training images of tiny-01",
        ),
    ],
)
def test_mistakes_are_one_sentence(room, refused, words, message):
    (room / "a.csv").write_text("group,class\nleft,0\nleft,7\n")
    assert message in refused(
        "zoo", "build", "tiny.npz", "--model", "resnet8", "--size", "8", *words
    )
