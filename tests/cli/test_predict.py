"""`ktg predict`: lines, JSON and CSV, files that cannot be read, and models that are none."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from command import ktg

from ktg.calibration import Rejection
from ktg.exporting.held_out import calibrate
from ktg.exporting.load_model import load_model
from ktg.exporting.model_file import read_model, write_model


@pytest.fixture
def folder(trained, photos, tmp_path):
    """A folder with the model, three photographs and a text that is called a photograph."""
    shutil.copy(trained.file, tmp_path / "model.safetensors")
    (tmp_path / "some").mkdir()
    for name, photo in zip("abc", sorted((photos / "val/noon").iterdir()), strict=False):
        shutil.copy(photo, tmp_path / "some" / f"{name}{photo.suffix}")
    (tmp_path / "some/broken.jpg").write_text("no image")
    return tmp_path


def test_one_line_for_each_image_and_exit_code_1_for_a_broken_one(folder):
    done = ktg("predict", "model.safetensors", "some", "absent.png", folder=folder)
    lines = done.out.splitlines()
    assert [line.partition(":")[0] for line in lines] == sorted(
        f"some/{path.name}" for path in (folder / "some").iterdir() if path.stem != "broken"
    )
    assert all(" %, " in line for line in lines)
    assert done.err.splitlines() == [
        "ktg: some/broken.jpg: is not an image of a known format",
        "ktg: absent.png: there is no such file",
        "ktg: 2 of 5 could not be read; the others were labelled",
    ]
    assert done.code == 1


def test_json_lines_and_csv_say_the_same(folder):
    lines = [
        json.loads(line)
        for line in ktg("predict", "model.safetensors", "some", "--json", folder=folder).out.split(
            "\n"
        )
        if line
    ]
    assert {line["file"] for line in lines if "error" in line} == {"some/broken.jpg"}
    sound = [line for line in lines if "error" not in line]
    table = ktg("predict", "model.safetensors", "some", "--csv", "--top", "1", folder=folder).out
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [(row["file"], row["label"]) for row in rows] == [
        (line["file"], line["label"]) for line in sound
    ]
    model = load_model(folder / "model.safetensors")
    for line, row in zip(sound, rows, strict=True):
        (answer,) = model.predict([folder / line["file"]])
        assert line["label"] == answer.label
        assert line["probability"] == pytest.approx(answer.probability, abs=1e-6)
        assert sum(each["probability"] for each in line["top"]) == pytest.approx(1, abs=1e-5)
        assert float(row["probability"]) == pytest.approx(line["probability"], abs=1e-6)


@pytest.mark.slow
def test_a_list_on_standard_input_and_the_onnx_file(folder, everything, monkeypatch):
    names = sorted(str(path) for path in (folder / "some").glob("[abc].*"))
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(names) + "\n\n"))
    done = ktg("predict", everything.folder / "model.onnx", "-", "--batch-size", "2", folder=folder)
    assert (done.code, done.err) == (0, "")
    assert [line.split(": ")[0] for line in done.out.splitlines()] == names
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert "standard input was empty" in ktg("predict", "model.safetensors", "-", folder=folder).err


def test_a_list_may_name_files_whose_names_are_not_utf_8(folder, monkeypatch):
    photo = next((folder / "some").glob("a.*"))
    name = b"some/caf\xe9.png"
    shutil.copy(photo, folder / os.fsdecode(name))
    listed = io.TextIOWrapper(io.BytesIO(name + b"\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", listed)
    done = ktg("predict", "model.safetensors", "-", folder=folder)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("'some/caf\\udce9.png': ")


@pytest.mark.slow
def test_a_class_cannot_command_the_terminal(folder, everything):
    import safetensors.torch
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", framework="pt") as file:
        metadata = file.metadata()
    plain = json.loads(metadata["ktg"])
    plain["classes"] = ["\x1b[2Jgone", "x\nktg: done"]
    state = safetensors.torch.load_file(folder / "model.safetensors")
    safetensors.torch.save_file(state, folder / "evil.safetensors", {"ktg": json.dumps(plain)})
    name = next((folder / "some").glob("a.*")).name
    out = ktg("predict", "evil.safetensors", f"some/{name}", folder=folder).out
    assert "\x1b" not in out
    assert out.count("\n") == 1


def test_unknown_is_said_in_every_form_and_its_threshold_on_standard_error(folder):
    network, about = read_model(folder / "model.safetensors")
    photos = [path for path in sorted((folder / "some").iterdir()) if path.stem != "broken"]
    answers = load_model(folder / "model.safetensors").predict(photos)
    middle = sorted(each.probability for each in answers)[1]
    logits = np.array([[3.0, 0.0]] * 4, np.float32)
    found = calibrate(logits, np.array([0, 0, 0, 1]), same=True)
    rejection = Rejection(
        by="probability", thresholds=(0.5, middle - 1e-5), answered=(4, 2), right=(2, 2)
    )
    found = replace(found, temperature=1.0, rejections=(rejection,))
    write_model(folder / "model.safetensors", network, replace(about, calibration=found))
    words = ("predict", "model.safetensors", "some", "--unknown", "0.9")
    done = ktg(*words, folder=folder)
    said = [line for line in done.out.splitlines() if "unknown; perhaps" in line]
    assert len(said) == len(photos) - 2
    told = "2 of 4 held-out images would be answered, 2 of them rightly"
    assert f"unknown below a probability of {middle - 1e-5:.4g}: {told}" in done.err
    rows = list(csv.DictReader(io.StringIO(ktg(*words, "--csv", folder=folder).out)))
    lines = map(json.loads, ktg(*words, "--json", folder=folder).out.splitlines())
    declined = [line.get("unknown", False) for line in lines if "error" not in line]
    assert [row["label"] == "unknown" for row in rows] == declined
    likeliest = [row["label_2" if row["label"] == "unknown" else "label"] for row in rows]
    assert likeliest == [each.label for each in answers]
    assert declined == [not each.probability >= middle - 1e-5 for each in answers]
    none = ktg(*words, "--unknown-by", "energy", folder=folder)
    assert (none.code, none.out) == (2, "")
    assert "--unknown: this model file does not say what thresholds do" in none.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.safetensors", "a.png", "--unknown", "2"], "Invalid value for '--unknown'"),
        (
            ["best.yaml", "a.png"],
            "best.yaml: is not a model file; allowed: .safetensors and .onnx.",
        ),
        (["absent.safetensors", "a.png"], "absent.safetensors: there is no such model file"),
        (["tiny.npz", "a.png"], "tiny.npz: is not a model file"),
        (["model.safetensors"], "Missing argument 'IMAGES...'."),
        (
            ["model.safetensors", "a", "--device", "cuda:99"],
            "--device: cuda:99 is not on this machine",
        ),
    ],
)
def test_refusals(refused, words, said):
    assert said in refused("predict", *words)


@pytest.mark.slow
def test_a_reader_that_has_seen_enough(folder):
    code = "import sys; from ktg.cli import main; sys.argv[0] = 'ktg'; main()"
    some = [str(next((folder / "some").glob("a.*")))] * 2000
    command = [sys.executable, "-c", code, "predict", "model.safetensors", *some]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=-1, stderr=-1, text=True
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


def test_names_that_are_too_long_or_not_utf_8_are_told_in_a_line(folder):
    photo = next((folder / "some").glob("a.*"))
    for name in (b"caf\xe9.png", b"caf\xc3\xa9\x1b[2J.png"):
        shutil.copy(photo, folder / "some" / os.fsdecode(name))
    longest = "x" * 251 + ".png"
    shutil.copy(photo, folder / "some" / longest)
    words = ("predict", "model.safetensors", "some", "y" * 300 + ".png")
    for form in ((), ("--json",)):
        done = ktg(*words, *form, folder=folder)
        assert done.err.splitlines()[-2:] == [
            f"ktg: {'y' * 300}.png: file name too long",
            "ktg: 2 of 8 could not be read; the others were labelled",
        ]
        (done.out + done.err).encode()  # no half of a character is left
        assert "\x1b" not in done.out + done.err
        assert longest in done.out
    files = [json.loads(line)["file"] for line in done.out.splitlines()]
    assert os.fsdecode(b"some/caf\xe9.png") in files
    refused = ktg("predict", "z" * 300 + ".safetensors", "some", folder=folder)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "the name of this file has 312 bytes; at most 255 are allowed" in refused.err


@pytest.mark.slow
def test_csv_in_a_file_has_the_bytes_of_every_name(folder):
    photo = next((folder / "some").glob("a.*"))
    shutil.copy(photo, folder / "some" / os.fsdecode(b"caf\xe9.png"))
    code = "import sys; from ktg.cli import main; sys.argv[0] = 'ktg'; main()"
    command = [sys.executable, "-c", code, "predict", "model.safetensors", "some", "--csv"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert b"\nsome/caf\xe9.png," in done.stdout
    assert b"Traceback" not in done.stderr


def test_an_answer_that_is_not_finite_is_an_error_and_valid_json(folder):
    import safetensors.torch
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", framework="pt") as file:
        metadata = file.metadata()
    state = safetensors.torch.load_file(folder / "model.safetensors")
    broken = {name: tensor * float("nan") for name, tensor in state.items()}
    safetensors.torch.save_file(broken, folder / "nan.safetensors", metadata)
    done = ktg("predict", "nan.safetensors", "some", "--json", folder=folder)
    lines = [json.loads(line, parse_constant=pytest.fail) for line in done.out.splitlines()]
    said = "the network's answer is not finite; its weights may be damaged"
    assert [line["error"] for line in lines].count(said) == 3
    assert done.code == 1
