"""The model card: all that must stand in it, and its snippets run."""

import contextlib
import dataclasses
import io
import re
import shutil
from pathlib import Path

import pytest
import torch

from ktg.exporting.load_model import load_model
from ktg.exporting.metadata import Accuracy
from ktg.exporting.model_card import (
    describe_origin,
    format_model_card,
    quote_code,
    quote_text,
    write_plain_code,
)
from ktg.exporting.model_file import read_model, write_model
from ktg.graph import parse
from ktg.graph.yaml_files import loads
from ktg.models.build import build_network


def test_what_stands_in_it(everything, trained):
    card = (everything.folder / "README.md").read_text()
    about = everything.delivered.about
    for wanted in (
        "# resnet8, 2 classes",
        "`night`, `noon`",
        f"**{100 * about.accuracy.mean:.2f} %** of the validation images",
        "20 images of the training split",
        "trained from nothing",
        "ktg predict model.safetensors photo.jpg",
        "| int8 |",
        "`model.onnx`, `model.pt2`, `small.onnx`: `images`, uint8 (batch, 16, 16, 3)",
    ):
        assert wanted in card
    assert "timm" not in card  # a network of ktg's own cannot be had without ktg
    graph = parse(loads(re.search(r"```yaml\n(.*?)```", card, re.DOTALL)[1], "the card"))
    assert graph.nodes == trained.graph.nodes


def test_accuracy_over_seeds_is_told_with_its_deviation(everything):
    measured = Accuracy(split="test", mean=0.9, std=0.012, n=5)
    about = dataclasses.replace(everything.delivered.about, accuracy=measured)
    card = format_model_card(about, {}, everything.folder)
    assert "**90.00 +- 1.20 % (n = 5)** of the test images" in card
    assert "the first seed, not of the best" in card
    assert "Not measured" in format_model_card(
        dataclasses.replace(about, accuracy=None), {}, everything.folder
    )


def test_the_accuracy_of_the_search_says_of_how_many_trainings_it_is(everything):
    about = dataclasses.replace(everything.delivered.about, accuracy=None)

    def card(**origin):
        graph = dataclasses.replace(about.graph, provenance={"val_accuracy": 0.9, **origin})
        return format_model_card(dataclasses.replace(about, graph=graph), {}, everything.folder)

    said = "In the search: 90.00 % of the validation images (one training), by which it was chosen."
    assert said in card()
    by_seeds = "the mean of 3 trainings with new seeds"
    assert f"images ({by_seeds}), by which it was chosen." in card(val_accuracy_of=by_seeds)


@pytest.mark.parametrize("model", ["mobilenetv2_035", "torchvision/squeezenet1_1"])
def test_the_weights_work_in_plain_timm_and_torchvision_without_ktg(
    everything, photos, tmp_path, model
):
    about = everything.delivered.about
    node = dataclasses.replace(about.node, model=model, input_size=48)
    graph = dataclasses.replace(about.graph, nodes={"n0": node, "n1": about.graph.nodes["n1"]})
    given = dataclasses.replace(about.input, size=48, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    about = dataclasses.replace(about, graph=graph, input=given)
    network = build_network(
        node, {}, classes=2, image_size=16, mean=given.mean, std=given.std, seed=0
    )
    with torch.no_grad():
        list(network.body.parameters())[-1].copy_(torch.tensor([0.3, -0.2]))
    write_model(tmp_path / "m.safetensors", network, about)
    photo = next((photos / "val/noon").glob("*.png"))
    shutil.copy(photo, tmp_path / "photo.jpg")  # Pillow goes by the content
    code = write_plain_code(about, "m.safetensors")
    assert "ktg" not in code
    label, probability = run(code, tmp_path).split()
    answer = load_model(tmp_path / "m.safetensors", "cpu").predict([photo])[0]
    assert label == answer.label
    assert float(probability) == pytest.approx(answer.probability, abs=0.01)


def test_the_five_lines_of_python(trained, photos, tmp_path):
    _, about = read_model(trained.file)
    shutil.copy(trained.file, tmp_path)
    shutil.copy(next((photos / "val/noon").iterdir()), tmp_path / "photo.jpg")
    card = format_model_card(about, {"weights": trained.file}, tmp_path)
    code = re.search(r"```python\n(import ktg.*?)```", card, re.DOTALL)[1]
    assert run(code, tmp_path).split()[0] in about.classes


def run(code: str, folder: Path) -> str:
    """Run the code of a card in a folder, and return what it prints."""
    out = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out):
        exec(compile(code, "card", "exec"), {})
    return out.getvalue()


SOURCES = {
    "mine": {"path": "a.pth", "origin": "iNaturalist, Apache-2.0"},
    "other": {"path": "b.pth"},
}


@pytest.mark.parametrize(
    ("model", "source", "said"),
    [
        ("resnet8", "none", "trained from nothing"),
        ("mobilenetv2_100", "mine", "fine-tuned from `mine`: iNaturalist, Apache-2.0"),
        ("mobilenetv2_100", "other", "its licence is not known to ktg"),
        ("mobilenetv2_100", "weights/b.pth", "a file of weights; its licence is not known"),
        ("mobilenetv2_100", "imagenet", "timm's `mobilenetv2_100.ra_in1k` .*licence: apache-2.0"),
        (
            "resnet18.fb_ssl_yfcc100m_ft_in1k",
            "imagenet",
            "timm's `resnet18.fb_ssl_yfcc100m_ft_in1k`",
        ),
        (
            "resnet18",
            "hf-hub:me/birds",
            "from `hf-hub:me/birds`, of the .* hub; its licence is not",
        ),
        ("torchvision/resnet18", "imagenet", "torchvision's own; it states no licence"),
    ],
)
def test_origin(model, source, said):
    plain = {
        "data": {"name": "digits"},
        "nodes": {"n0": {"model": model, "source": source}},
        "sources": SOURCES,
    }
    assert re.search(said, describe_origin(parse(plain | {"edges": {"label -> n0": {}}}), "n0"))


def test_an_entry_that_is_not_on_this_machine_is_named_all_the_same(monkeypatch, tmp_path):
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "none"))
    node = {"model": "resnet8", "source": "zoo/animals"}
    graph = parse({"data": {"name": "digits"}, "nodes": {"n0": node}, "edges": {"label -> n0": {}}})
    assert describe_origin(graph, "n0").startswith(
        "fine-tuned from `zoo/animals`, which is not on this machine; its licence is not known"
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("cat", "`cat`"),
        ("a`b", "``a`b``"),
        ("`", "`` ` ``"),
        (" a``", "```  a`` ```"),
        ("x\n\n<script>", r"`x\n\n<script>`"),
        ("\x1b[2J", r"`\u001b[2J`"),
    ],
)
def test_code_of_strangers_stays_code(text, code):
    assert quote_code(text) == code


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("iNaturalist, Apache-2.0 (https://a.b/c_d)", "iNaturalist, Apache-2.0 (https://a.b/c_d)"),
        ("<script>x</script>", r"\<script\>x\</script\>"),
        ("[me](javascript:x)", r"\[me\](javascript:x)"),
        ("![](http://a/b)", r"!\[\](http://a/b)"),
        ("a\n# b &lt; `c` \x1b\u202e", r"a # b \&lt; \`c\` \\u001b\\u202e"),
    ],
)
def test_text_of_strangers_stays_text(text, shown):
    assert quote_text(text) == shown


def test_a_hostile_model_file_makes_a_harmless_card(everything):
    about = everything.delivered.about
    evil = "```\n<script>alert(1)</script>\n\x1b[2J\u202e"
    training = dataclasses.replace(about.training, ktg=evil, date=evil, fingerprint=evil)
    graph = dataclasses.replace(about.graph, provenance={"note": evil, "val_accuracy": 0.5})
    about = dataclasses.replace(about, classes=(evil, "b"), training=training, graph=graph)
    files = {"weights": Path(f"a`b {evil[:8]}.safetensors".replace("/", ""))}
    card = format_model_card(about, files, everything.folder)
    assert not set("\x1b\u202e") & set(card)
    inside = re.sub(r"^(`{3,})\w+\n.*?^\1$", "", card, flags=re.DOTALL | re.MULTILINE)
    inside = re.sub(r"(?<!\\)(`+)(?!`).+?(?<!`)\1(?!`)", "", inside)
    assert "<script>" not in inside.replace(r"\<script\>", "")
    code = re.search(r"^(`{3,})yaml\n(.*?)^\1$", card, re.DOTALL | re.MULTILINE)[2]
    assert parse(loads(code, "the card")).provenance["note"] == evil
    plain = write_plain_code(about, "weights.safetensors")
    assert compile(plain, "card", "exec")
