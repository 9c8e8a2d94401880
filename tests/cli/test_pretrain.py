import json

import pytest
from command import ktg

from ktg.zoo import Zoo

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = (
    *(
        "fractaldb",
        "--preset",
        "tiny",
        "--model",
        "resnet8",
        "--classes",
        "3",
        "--per-class",
        "20",
        "--size",
        "16",
    ),
    *("--points", "300", "--epochs", "2", "--batch-size", "16", "--device", "cpu", "--zoo", "zoo"),
)


@pytest.mark.slow
def test_fractals_become_a_source(room):
    done = ktg("source", "pretrain", *TINY, folder=room)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert [line.partition(" epoch ")[0] for line in lines[:2]] == ["fractaldb/resnet8:"] * 2
    assert "epoch 2/2, train " in lines[1] and ", val " in lines[1]
    assert lines[2].startswith(
        "fractaldb/resnet8: fractaldb: 3 classes, 51 training images of 16 x 16 pixels, valid"
    )
    assert lines[3] == "Next: a node {model: resnet8, source: fractaldb} begins with these weights."
    assert (room / "mlflow.db").is_file()
    again = ktg("source", "pretrain", *TINY, "--json", folder=room)
    told = json.loads(again.out)
    assert (
        not told["new"] and told["sha256"] == Zoo(room / "zoo").get("fractaldb", "resnet8").sha256
    )


@pytest.mark.slow
def test_a_graph_file_is_pretrained_with_what_options_change(room):
    nodes = "nodes: {n0: {model: resnet8}}\nedges: {label -> n0: {}}\n"
    text = f"data: {{path: tiny.npz, batch_size: 16}}\n{nodes}"
    (room / "one.yaml").write_text(text)
    words = (
        "one.yaml",
        "--epochs",
        "1",
        "--model",
        "resnet14",
        "--zoo",
        "zoo",
        "--keep",
        "best",
        "--json",
    )
    done = ktg("source", "pretrain", *words, folder=room)
    assert done.code == 0, done.err
    card = Zoo(room / "zoo").get("one", "resnet14")
    assert (card.epochs, card.classes, card.provenance["keep"]) == (1, ("0", "1", "2", "3"), "best")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fractaldb"], "Missing option '--model'."),
        (["fractldb", "--model", "resnet8"], "Did you mean 'fractaldb'?"),
        (["fractaldb", "--model", "resnet8000"], "nodes.n0.model: 'resnet8000' is not a model"),
        (["fractaldb", "--model", "resnet8", "--preset", "tyni"], "'tyni' is not one of 'tiny'"),
        (
            ["fractaldb", "--model", "resnet8", "--classes", "1001"],
            "1,001 is more than the 1,000 categories",
        ),
        (["fractaldb", "--model", "resnet8", "--name", "a/b"], "'a/b' cannot name an entry"),
        (
            ["svd", "--model", "resnet8", "--scale", "0.1"],
            "data.formula.scale: is a setting of fractaldb and ofdb",
        ),
        (
            ["tiny.npz", "--model", "resnet8", "--points", "9"],
            "--points: is an option of pictures drawn by a formula",
        ),
        (["graph.yaml"], "nodes: pretraining trains one network, and this graph has 2 nodes"),
        (["graph.yaml", "--preset", "tiny"], "--preset: is for data"),
        (["fractaldb", "--model", "resnet8", "--zoo", "."], "is not a zoo"),
        (
            ["fractaldb", "--model", "resnet8", "--source", "imagenet"],
            "no ImageNet weights are published",
        ),
        (
            ["onep", "--model", "resnet8", "--preset", "tiny"],
            "data.batch_size: 64 is more than the 60 images",
        ),
    ],
)
def test_mistakes_are_one_sentence(refused, words, message):
    assert message in refused("source", "pretrain", *words)
