"""`ktg data show` draws images and their views, `ktg data audit` what is dirty."""

import json

import numpy as np
import pytest
from command import ktg
from PIL import Image

from ktg.data import open_data
from ktg.graph import Data

BARE = "nodes: {n0: {model: resnet8}}\nedges: {label -> n0: {}}\n"


def test_a_sheet_shows_the_images_and_below_them_their_views(room):
    done = ktg(
        "data",
        "show",
        "tiny.npz",
        "--augment",
        "pspnet",
        "--rows",
        3,
        "--columns",
        5,
        "-o",
        "s.png",
        folder=room,
    )
    assert (done.code, done.err) == (0, "")
    assert (
        done.out == "s.png: 48 x 38 pixels; from the top: none, pspnet\n"
    )  # of 8 x 8 pixels, with 2 between
    sheet = np.asarray(Image.open(room / "s.png"))
    train = open_data(Data(path=str(room / "tiny.npz"))).train
    assert np.array_equal(sheet[:8, :8], train.read([0])[0])
    assert np.array_equal(sheet[:8, 40:], train.read([4 * len(train) // 5])[0])
    rows = [sheet[10 * row : 10 * row + 8, :8].tobytes() for row in range(4)]
    assert len(set(rows)) == 4


def test_without_a_choice_all_are_drawn(room):
    done = ktg("data", "show", "digits", "-o", "all.webp", "--columns", 3, folder=room)
    assert done.out.endswith(
        "from the top: none, basic, crop, randaugment, augmix, pspnet, cutmix_or_mixup\n"
    )
    with Image.open(room / "all.webp") as sheet:
        assert sheet.size == (28, 68)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("tiny.npz", "-o", "s.gif"), "s.gif: a picture is PNG, JPEG or WebP; give a name"),
        (("photos/birds", "-o", "s.png"), "photos/birds: there is no such folder or .npz file"),
        (("digit", "-o", "s.png"), "data.name: 'digit' is not a known data set"),
        (("tiny.npz", "-o", "there/s.png"), "there/s.png: there is no folder"),
    ],
)
def test_mistakes_write_nothing(refused, words, sentence):
    assert refused("data", "show", *words).startswith(sentence)


@pytest.mark.slow
def test_an_audit_prints_a_table_writes_a_page_and_a_table_of_labels(room):
    done = ktg(
        "data", "audit", "tiny.npz", "-o", "sheet.html", "--write", "labels.csv", folder=room
    )
    assert (done.code, done.err) == (0, "")
    assert "104 train, 24 val, 32 test images, seen by " in done.out
    assert done.out.endswith("written: sheet.html\nwritten: labels.csv\n")
    assert (room / "sheet.html").read_text().startswith("<!DOCTYPE html>")
    assert len((room / "labels.csv").read_text().splitlines()) == 161


def test_an_audit_as_json_names_what_looked_at_the_images(room):
    words = ("--model", "resnet8", "--source", "none", "--json")
    done = ktg("data", "audit", "graph.yaml", *words, folder=room)
    assert done.code == 0
    found = json.loads(done.out)
    assert found["seen_by"] == "resnet8@none at 32 px"
    assert not found["certain"]
    assert found["images"] == {"train": 104, "val": 24, "test": 32}


@pytest.fixture
def plain(tmp_path):
    """A folder of images with the only table of their labels that there is, and its bytes."""
    root = tmp_path / "plain"
    root.mkdir()
    random = np.random.default_rng(0)
    lines = ["file,label,note"]
    for number in range(24):
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
        lines.append(f"{number}.png,{('cat', 'dog')[number % 2]},by hand")
    (root / "labels.csv").write_text("\n".join(lines))
    return root


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("option", ["--write", "-o"])
def test_an_audit_never_writes_over_the_table_that_it_reads(plain, option, force):
    before = (plain / "labels.csv").read_bytes()
    link = plain.parent / "link.csv"
    link.symlink_to(plain / "labels.csv")
    graph = f"data: {{path: plain, labels: labels.csv}}\n{BARE}"
    (plain.parent / "graph.yaml").write_text(graph)
    for data, file in (
        ("plain", "plain/labels.csv"),
        ("plain", "link.csv"),
        ("graph.yaml", "plain/labels.csv"),
    ):
        words = ("data", "audit", data, option, file, *["--force"][: int(force)])
        done = ktg(*words, folder=plain.parent)
        problem = "is the table that these data are read from, and is never overwritten"
        assert (done.code, done.err) == (2, f"ktg: {file}: {problem}; give another name\n")
    assert (plain / "labels.csv").read_bytes() == before


def test_an_audit_overwrites_other_files_with_force_only(plain):
    (plain.parent / "mine.csv").write_text("my own\n")
    words = ("data", "audit", "plain", "--write", "mine.csv", "--model", "resnet8")
    words = (*words, "--source", "none")
    refused = ktg(*words, folder=plain.parent)
    assert (refused.code, refused.err) == (
        2,
        "ktg: mine.csv: is there already; give --force to overwrite it, or another name\n",
    )
    assert (plain.parent / "mine.csv").read_text() == "my own\n"
    assert ktg(*words, "--force", folder=plain.parent).code == 0
    assert (plain.parent / "mine.csv").read_text().startswith("file,label,split,weight,")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "nothing: is no folder"),
        (["tiny.npz", "-o", "no/sheet.html"], "no/sheet.html: there is no folder"),
        (["tiny.npz", "--source", "imagenet"], "--source and --input-size need --model"),
        (["tiny.npz", "--model", "resnet81"], "--model: 'resnet81' is not a model"),
        (["tiny.npz", "--model", "resnet8"], "no ImageNet weights are published for 'resnet8'"),
        (["tiny.npz", "--model", "resnet8", "--source", "x.pth"], "x.pth"),
        (["fractaldb"], "fractaldb is drawn by a formula"),
        (["tiny.npz", "--doubtful", "burn"], "burn"),
        (["tiny.npz", "--doubtful", "weigh"], "is for a table of labels; give --write"),
    ],
)
def test_a_mistake_in_an_audit_is_one_sentence(room, words, said):
    done = ktg("data", "audit", *words, folder=room)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
