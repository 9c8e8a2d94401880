"""`ktg evaluate`: a table, JSON and CSV, images that cannot be read, and what is refused."""

import csv
import io
import json
import shutil

import pytest
from command import ktg

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def folder(trained, photos, tmp_path):
    """A folder with the model and labelled photographs, in splits."""
    shutil.copy(trained.file, tmp_path / "model.safetensors")
    shutil.copytree(photos, tmp_path / "photos")
    return tmp_path


def test_json_csv_and_predict_agree(folder):
    done = ktg("evaluate", "model.safetensors", "photos", "--split", "val", "--json", folder=folder)
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert {"accuracy", "balanced_accuracy", "macro_f1", "loss", "auroc"} <= found.keys()
    assert (found["place"], found["images"]) == ("photos/val", 8)
    assert found["classes"]["noon"].keys() == {"precision", "recall", "f1", "support"}
    words = ("evaluate", "model.safetensors", "photos/val", "--csv")
    rows = list(csv.DictReader(io.StringIO(ktg(*words, folder=folder).out)))
    assert len(rows) == 8
    table = ktg("predict", "model.safetensors", "photos/val", "--csv", folder=folder).out
    answers = {row["file"]: row for row in csv.DictReader(io.StringIO(table))}
    right = 0
    for row in rows:
        answer = answers[row["file"]]
        assert (row["predicted"], row["probability"]) == (answer["label"], answer["probability"])
        assert row["label"] == row["file"].split("/")[2]
        right += row["label"] == answer["label"]
    assert found["accuracy"] == right / 8
    assert sum(map(sum, found["confusion"])) == 8
    supports = [scores["support"] for scores in found["classes"].values()]
    assert (supports, {type(number) for number in supports}) == ([4, 4], {int})
    wrong = {row["file"] for row in rows if row["label"] != row["predicted"]}
    assert {each["file"] for each in found["wrong"]} == wrong


def test_a_table_of_the_classes_and_what_is_wrong(folder):
    # Photographs of the night under the label of noon: all that the model knows as night is wrong.
    (folder / "mixed").mkdir()
    shutil.copytree(folder / "photos/val/night", folder / "mixed/noon")
    done = ktg("evaluate", "model.safetensors", "mixed", folder=folder)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "mixed: 4 images"
    assert lines[1].startswith("accuracy ") and "AUROC" not in lines[1]
    (row,) = [line for line in lines if line.strip().startswith("noon")]
    plain = ktg("evaluate", "model.safetensors", "mixed", "--json", folder=folder).out
    wrong = json.loads(plain)["wrong"]
    assert wrong
    assert row.split()[1] == "4" and row.rstrip().endswith(f"night {len(wrong)}")
    assert "no images of: night" in lines
    said = [line for line in lines if ": is noon, said night " in line]
    assert [line.split(":")[0] for line in said] == [each["file"] for each in wrong]


def test_an_image_that_cannot_be_read_is_named_and_the_exit_code_is_1(folder):
    broken = folder / "photos/test/noon/broken.jpg"
    broken.write_text("no image")
    for words in ((), ("--json",), ("--csv",)):
        done = ktg("evaluate", "model.safetensors", "photos", *words, folder=folder)
        assert done.code == 1
        assert done.err.splitlines() == [
            "ktg: photos/test/noon/broken.jpg: is not an image of a known format",
            "ktg: 1 of 9 could not be read; the figures are of the others",
        ]
    done = ktg("evaluate", "model.safetensors", "photos", "--json", folder=folder)
    found = json.loads(done.out)
    assert found["images"] == 8
    assert [each["file"] for each in found["unreadable"]] == ["photos/test/noon/broken.jpg"]


def test_a_table_of_labels_may_be_named(folder):
    files = sorted((folder / "photos/test").glob("*/*"))
    lines = [f"{file.name},{file.parent.name}" for file in files]
    (folder / "mine.csv").write_text("\n".join(["file,label", *lines]))
    words = ("evaluate", "model.safetensors", "photos/test", "--json")
    by_folders, by_table = (
        json.loads(ktg(*words, *more, folder=folder).out)
        for more in ((), ("--labels", str(folder / "mine.csv")))
    )
    assert by_table == by_folders


@pytest.mark.slow
def test_the_onnx_file_has_the_same_figures(folder, everything):
    def measure(model):
        return json.loads(ktg("evaluate", model, "photos", "--json", folder=folder).out)

    ours, onnx = measure("model.safetensors"), measure(everything.folder / "model.onnx")
    assert onnx["loss"] == pytest.approx(ours["loss"], abs=1e-4)
    assert onnx["confusion"] == ours["confusion"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.safetensors", "photos/noon"], "photos/noon: does not exist."),
        (["model.safetensors", "other"], "other: has classes that the model does not know: dusk"),
        (["model.safetensors", "photos", "--split", "tset"], "'tset' is not one of"),
        (["photos", "photos"], "photos: is not a model file"),
        (["model.safetensors"], "Missing argument 'FOLDER'."),
        (["model.safetensors", "photos", "--batch-size", "0"], "--batch-size"),
        (["model.safetensors", "photos", "--device", "cuda:99"], "cuda:99 is not on this machine"),
    ],
)
def test_refusals(folder, words, said):
    (folder / "other").mkdir()
    shutil.copytree(folder / "photos/val/noon", folder / "other/dusk")
    done = ktg("evaluate", *words, folder=folder)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert said in done.err
