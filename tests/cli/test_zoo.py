"""`ktg zoo`: what each command says and does, and that mistakes write one sentence alone."""

import json
from pathlib import Path

import pytest
import torch
from command import ktg
from PIL import Image
from zoos import card, files, filled, served, weights

from ktg.graph import Node
from ktg.models.architectures import build_body
from ktg.zoo import Zoo


@pytest.fixture
def here(tmp_path: Path, monkeypatch) -> Zoo:
    """The user's zoo, with three entries."""
    zoo = filled(
        tmp_path, ("animals", "resnet8"), ("animals", "torchvision/resnet18"), ("fish", "resnet8")
    )
    monkeypatch.setenv("KTG_ZOO", str(zoo.folder))
    return zoo


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .pth with a head of three classes."""
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.save(
        build_body(Node(model="resnet8"), classes=3, size=32).state_dict(), folder / "net.pth"
    )
    return folder / "net.pth"


def test_list_fits_80_columns_and_says_everything(here: Zoo, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    long = card(
        "birds", "vit_base_patch16_224", data="[red]1,000,000 pictures[/] of birds", accuracy=0.8765
    )
    here.add(long, weights(tmp_path / "a.safetensors"))
    done = ktg("zoo", "list", folder=tmp_path)
    assert done.code == 0
    assert max(map(len, done.out.splitlines()[:-1])) <= 80
    text = " ".join(done.out.split())
    for word in (
        "vit_base_patch16_224",
        "torchvision/resnet18",
        "87.65 %",
        "[red]1,000,000",
        f"4 entries in {here.folder}, and 1 that came with ktg",
    ):
        assert word in text
    some = json.loads(ktg("zoo", "list", "--model", "timm/resnet18", "--json", folder=tmp_path).out)
    assert some == {"zoo": str(here.folder), "entries": [], "faults": []}
    some = json.loads(ktg("zoo", "list", "--model", "resnet8", "--json", folder=tmp_path).out)[
        "entries"
    ]
    assert [(entry["name"], entry["file"]) for entry in some] == [
        (name, str(here.folder / name / "resnet8.safetensors")) for name in ("animals", "fish")
    ]


def test_a_card_that_cannot_be_read_does_not_hide_the_others(here: Zoo, tmp_path: Path):
    here.card_file("fish/resnet8").write_text("name: fish\nacuracy: 1")
    done = ktg("zoo", "list", folder=tmp_path)
    assert (done.code, "2 entries in" in done.out) == (0, True)
    assert done.err.startswith(f"not listed: {here.folder}/fish/resnet8.yaml: acuracy: unknown key")
    done = ktg("zoo", "verify", folder=tmp_path)
    assert (done.code, done.err) == (1, f"ktg: {here.folder}: 1 found wrong, 4 entries checked\n")
    assert "acuracy: unknown key" in done.out
    assert ktg("zoo", "remove", "fish", folder=tmp_path).code == 0


def test_an_empty_zoo_says_how_to_fill_it(tmp_path: Path):
    done = ktg("zoo", "list", "--zoo", tmp_path, folder=tmp_path)
    assert (done.code, done.out.splitlines()) == (
        0,
        [
            "The zoo is empty; `ktg zoo build`, `add` and `pull` fill it.",
            f"0 entries in {tmp_path}",
        ],
    )
    assert list(tmp_path.iterdir()) == []
    done = ktg("zoo", "list", "--zoo", "gone", folder=tmp_path)
    assert (done.code, done.err) == (2, "ktg: --zoo: there is no folder gone\n")


def test_show(here: Zoo, tmp_path: Path):
    done = ktg("zoo", "show", "animals", folder=tmp_path)
    assert (done.code, done.out.count("zoo/animals for")) == (0, 2)
    assert "  classes       2: cat, dog\n" in done.out
    assert here.get("animals", "resnet8").sha256 in done.out
    (one,) = json.loads(
        ktg("zoo", "show", "animals", "--model", "resnet8", "--json", folder=tmp_path).out
    )
    assert one["sha256"] == here.get("animals", "resnet8").sha256
    done = ktg("zoo", "show", "animls", folder=tmp_path)
    assert (done.code, done.err.endswith("Did you mean 'animals'?\n")) == (2, True)


def test_remove_asks_which_when_there_are_several(here: Zoo, tmp_path: Path):
    done = ktg("zoo", "remove", "animals", folder=tmp_path)
    assert (done.code, len(here.list_keys())) == (2, 3)
    assert "resnet8, torchvision.resnet18; give --model, or --all" in done.err
    done = ktg("zoo", "remove", "animals", "--model", "torchvision/resnet18", folder=tmp_path)
    assert (done.code, done.out) == (0, "removed animals/torchvision.resnet18\n")
    done = ktg("zoo", "remove", "animals", "--all", "--json", folder=tmp_path)
    assert json.loads(done.out) == {"removed": ["animals/resnet8"]}
    assert here.list_keys() == ["fish/resnet8"]


def test_verify(here: Zoo, tmp_path: Path):
    done = ktg("zoo", "verify", folder=tmp_path)
    assert (done.code, done.out) == (0, f"{here.folder}: nothing wrong, 4 entries checked\n")
    here.weights_file("fish/resnet8").write_bytes(b"x")
    assert ktg("zoo", "verify", "animals", folder=tmp_path).code == 0
    done = ktg("zoo", "verify", "--json", folder=tmp_path)
    found = json.loads(done.out)
    assert (done.code, len(found["checked"]), len(found["problems"])) == (1, 4, 1)


def test_what_comes_with_ktg_is_shown_like_the_rest_and_stays(here: Zoo, tmp_path: Path):
    found = json.loads(ktg("zoo", "list", "--model", "resnet20", "--json", folder=tmp_path).out)
    (entry,) = found["entries"]
    assert (entry["name"], entry["shipped"], entry["licence"]) == ("fractals", True, "Apache-2.0")
    assert Path(entry["file"]).is_file()
    for model in ((), ("--model", "resnet20")):
        assert json.loads(
            ktg("zoo", "show", "fractals", *model, "--json", folder=tmp_path).out
        ) == [entry]
    done = ktg("zoo", "show", "fractals", "--model", "resnet8", folder=tmp_path)
    assert (done.code, "has no fractals for resnet8" in done.err) == (2, True)
    done = ktg("zoo", "remove", "fractals", folder=tmp_path)
    said = "ktg: fractals comes with ktg and is only read; it cannot be removed\n"
    assert (done.code, done.out, done.err) == (2, "", said)
    done = ktg("zoo", "verify", "fractals", folder=tmp_path)
    assert (done.code, done.out) == (0, f"{here.folder}: nothing wrong, 1 entry checked\n")
    # An entry of the user's own takes its place.
    here.add(card("fractals", "resnet20"), weights(tmp_path / "a.safetensors"))
    (entry,) = json.loads(ktg("zoo", "show", "fractals", "--json", folder=tmp_path).out)
    assert ("shipped" in entry, entry["data"]) == (False, "animals")


def test_add_imports_a_checkpoint(checkpoint: Path, tmp_path: Path):
    (tmp_path / "names.txt").write_text("ant\nbee\ncow\n", encoding="utf-8")
    options = {
        "--data": "insects",
        "--mean": "0.1,0.2,0.3",
        "--std": "0.5",
        "--licence": "MIT",
        "--accuracy": "0.5",
    }
    words = [word for pair in options.items() for word in pair]
    done = ktg(
        *(
            "zoo",
            "add",
            "insects",
            checkpoint,
            "--model",
            "resnet8",
            "--classes",
            "names.txt",
            *words,
            "--zoo",
            "z",
        ),
        folder=tmp_path,
    )
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("MB, 3 classes; use it as `source: zoo/insects`\n")
    zoo = Zoo(tmp_path / "z")
    kept = zoo.get("insects", "resnet8")
    assert (kept.classes, kept.mean, kept.std, kept.input_size) == (
        ("ant", "bee", "cow"),
        (0.1, 0.2, 0.3),
        (0.5,),
        32,
    )
    assert (kept.data, kept.licence, kept.accuracy) == ("insects", "MIT", 0.5)
    assert kept.provenance["imported from"] == "net.pth"
    assert zoo.verify() == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["../x", "net.pth", "--model", "resnet8"], "NAME: '../x' cannot name an entry"),
        (["x.pth", "net.pth", "--model", "resnet8"], "NAME: 'x.pth' looks like a file"),
        (["x", "net.pth", "--model", "resnet9"], "--model: 'resnet9' is not a model"),
        (
            ["x", "net.pth", "--model", "resnet14"],
            "net.pth for resnet14: these weights belong to another network",
        ),
        (["x", "gone.pth", "--model", "resnet8"], "gone.pth: there is no such file"),
        (["x", "names.txt", "--model", "resnet8"], "names.txt: is not a weights file"),
        (
            ["x", "evil.pth", "--model", "resnet8"],
            "evil.pth: holds more than tensors, and its code was not run",
        ),
        (
            ["x", "net.pth", "--model", "resnet8", "--classes", "names.txt"],
            "names 2 classes, but the head in",
        ),
        (
            ["x", "net.pth", "--model", "resnet8", "--classes", "gaps.txt"],
            "--classes gaps.txt: line 2 is empty",
        ),
        (
            ["x", "net.pth", "--model", "resnet8", "--classes", "gone.txt"],
            "--classes gone.txt: cannot be read",
        ),
        (
            ["x", "net.pth", "--model", "resnet8", "--mean", "red"],
            "--mean: 'red' is not a number, or three",
        ),
        (
            ["x", "net.pth", "--model", "resnet8", "--std", "1,2"],
            "--std: expected one number, or three",
        ),
        (["x", "net.pth", "--model", "resnet8", "--std", "0"], "std[0]: must be greater than 0"),
        (
            ["x", "net.pth", "--model", "resnet8", "--mean", "nan"],
            "mean[0]: expected a finite number",
        ),
        (
            ["x", "net.pth", "--model", "resnet8", "--data", "a\nb"],
            "data: must be one line of printable",
        ),
        (
            ["x", "net.pth", "--model", "resnet8", "--model-arg", "a"],
            "--model-arg: 'a' is not NAME=VALUE",
        ),
        (
            ["x", "net.pth", "--model", "resnet8", "--model-arg", "a=[1]"],
            "--model-arg a: expected a single value",
        ),
        (
            ["x", "net.pth", "--model", "resnet8", "--model-arg", "a=1"],
            "resnet8.model_args: resnet8 does not take",
        ),
        (["x", "net.pth"], "Missing option '--model'"),
    ],
)
def test_what_cannot_be_added(checkpoint: Path, tmp_path: Path, words, message):
    (tmp_path / "net.pth").write_bytes(checkpoint.read_bytes())
    (tmp_path / "names.txt").write_text("ant\nbee\n")
    (tmp_path / "gaps.txt").write_text("ant\n\nbee\n")
    torch.save({"a": tmp_path}, tmp_path / "evil.pth")
    before = files(tmp_path)
    done = ktg("zoo", "add", *words, "--zoo", "z", folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert files(tmp_path) == before


def test_pull_from_a_folder_and_from_the_web(here: Zoo, tmp_path: Path):
    done = ktg("zoo", "pull", here.folder, "fish", "--zoo", "z", folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"fish/resnet8: 0.0 MB\n1 of 1 entry new in {tmp_path}/z\n"
    with served(here.folder) as url:
        pulled = json.loads(ktg("zoo", "pull", url, "--zoo", "z", "--json", folder=tmp_path).out)
        done = ktg("zoo", "pull", url, "fsh", "--zoo", "z", folder=tmp_path)
    assert [(entry["name"], entry["new"]) for entry in pulled] == [
        ("animals", True),
        ("animals", True),
        ("fish", False),
    ]
    assert (done.code, done.err) == (
        2,
        f"ktg: {url} has no entry 'fsh'; it has animals, fish. Did you mean 'fish'?\n",
    )


def test_the_folder_of_a_zoo_is_one(here: Zoo, tmp_path: Path):
    for words in (("list",), ("verify",), ("show", "x"), ("remove", "x"), ("pull", here.folder)):
        done = ktg("zoo", *words, "--zoo", tmp_path, folder=tmp_path)
        assert (done.code, done.out) == (2, "")
        assert (
            done.err
            == f"ktg: {tmp_path}: is not a zoo, because it holds other files and no index.yaml\n"
        )


def test_images_choose_the_input_of_an_entry(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch
):
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))
    torch.manual_seed(0)
    body = build_body(Node(model="mobilenetv2_035"), classes=2, size=64)
    torch.save(body.state_dict(), tmp_path / "net.pth")
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    for name, light in (("cat", 40), ("dog", 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(3):
            image = Image.new("RGB", (64, 64), (light + number,) * 3)
            image.save(tmp_path / "photos" / name / f"{number}.png")
    words = ["zoo", "add", "pets", "net.pth", "--model", "mobilenetv2_035", "--input-size", 64]
    words += ["--classes", "names.txt", "--images", "photos"]
    done = ktg(*words, "--json", folder=tmp_path)
    assert done.code == 0, done.err
    entry = json.loads(done.out)
    assert len(entry["tried"]) == 4
    best = entry["tried"][0]
    assert best["accuracy"] == max(trial["accuracy"] for trial in entry["tried"])
    assert best["images"] == 6
    for what in ("mean", "std"):
        assert entry[what] == best[what]
    assert entry.get("model_args", {}) == best["model_args"]
    said = ktg(*words, "--replace", "--mean", "0.5", "--std", "0.5", folder=tmp_path)
    assert said.out.count(" right with mean 0.5; std 0.5; ") == 2
    bare = ["zoo", "add", "bare", "net.pth", "--model", "mobilenetv2_035"]
    guessed = ktg(*bare, folder=tmp_path)
    assert guessed.code == 0
    assert "the normalisation (mean 0.485" in caplog.text and "the padding" in caplog.text
    assert "are guesses; say --mean, --std and --model-arg pad_type=same, or let" in caplog.text
    caplog.clear()
    stated = ["--mean", "0.5", "--std", "0.5", "--model-arg", "pad_type=same"]
    assert ktg(*bare, "--replace", *stated, folder=tmp_path).code == 0
    assert not caplog.text
    (tmp_path / "photos" / "dog").rename(tmp_path / "photos" / "cow")
    other = ktg(*words, "--replace", folder=tmp_path)
    assert other.code == 2
    assert "has classes that the model does not know: cow" in other.err
