"""Options of several commands: what cannot be written, reached or found is said before any work."""

from pathlib import Path

import pytest

# /proc takes no new files from anyone, root included.
NOWHERE = Path("/proc")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("/proc/best.yaml", "cannot write into /proc"),
        ("tiny.npz/best.yaml", "there is no folder"),
        ("missing/best.yaml", "there is no folder"),
        (".", "is a folder; give the name of a file"),
    ],
)
def test_an_output_that_cannot_be_written(refused, output, said):
    for words in (["export", "quickstart"], ["graph", "show", "graph.yaml"]):
        sentence = refused(*words, "-o", output)
        assert said in sentence
        assert sentence.startswith(f"{output}: ")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("file:./mlruns", "MLflow no longer keeps runs in plain folders; allowed: sqlite:///FILE"),
        ("sqlit:///x.db", "MLflow has no store of this kind"),
        ("sqlite:///missing/x.db", "there is no folder"),
        ("sqlite://", "an SQLite store needs a file"),
        ("sqlite:////proc/x.db", "cannot write into /proc"),
    ],
)
@pytest.mark.parametrize("words", [("search", "space.yaml"), ("train", "graph.yaml")])
def test_a_store_that_cannot_be(refused, words, uri, said):
    assert said in refused(*words, "--tracking-uri", uri)


@pytest.mark.parametrize("device", ["cud", "cuda:99", "mps", "meta", "cpu:1", ""])
def test_a_device_that_is_none_or_not_here(refused, device):
    assert refused("train", "graph.yaml", "--device", device).startswith("--device: ")
