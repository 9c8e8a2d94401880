"""Sources without weights are found before a search, which stops, or goes on without them."""

import pytest
import torch
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st

from ktg.errors import MissingSourceError, SpecError, WeightsError
from ktg.graph import Node, parse_space
from ktg.models.architectures import build_body
from ktg.searching.baselines import baselines
from ktg.searching.missing_weights import remove_unavailable
from ktg.searching.preflight import vary_each_hole
from ktg.searching.search_queue import SearchQueue

MODELS = ("resnet8", "resnet14", "resnet20")
RANDOM = {"trials": 500, "sampler": "random", "baselines": False}
RANDOM |= {"race_share": 0, "alone_share": 0}


@pytest.fixture(autouse=True)
def _offline(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of weights for each model, by the name of a source."""
    folder = tmp_path_factory.mktemp("weights")
    for model in MODELS:
        torch.save(
            build_body(Node(model=model), classes=10, size=32).state_dict(), folder / f"{model}.pth"
        )
    return {f"of_{model}": {"path": str(folder / f"{model}.pth")} for model in MODELS}


def space(n1, sources=None, **sections):
    return parse_space(
        {
            "data": {"name": "digits"},
            "sources": sources or {},
            "nodes": {"n0": {"model": "resnet8"}, "n1": n1},
            "edges": {"label -> any": {"gate": {"choice": ["through", "linear"]}}, "n1 -> n0": {}},
            **sections,
        }
    )


def test_a_space_that_lacks_nothing_stays_as_it_is(files):
    whole = space({"model": "resnet8", "source": {"choice": ["none", "of_resnet8"]}}, files)
    for missing in ("stop", "drop"):
        found = remove_unavailable(whole, missing)
        assert found.space is whole
        assert found.changes == {}


def test_a_search_stops_and_names_every_option_that_cannot_be_had():
    lacking = space({"model": "resnet8", "source": {"choice": ["zoo/animals", "none", "imagenet"]}})
    with pytest.raises(MissingSourceError) as caught:
        remove_unavailable(lacking)
    said = str(caught.value)
    assert said.startswith("nodes.n1.source.choice[0] (zoo/animals): the zoo ")
    assert "(also: nodes.n1.source.choice[2] (imagenet)); `--missing-sources drop`" in said


def test_options_without_weights_are_dropped_aloud_and_the_first_left_is_the_default(files):
    lacking = space(
        {
            "model": "resnet8",
            "source": {"choice": ["imagenet", "of_resnet14", "of_resnet8", "none"]},
        },
        files,
    )
    found = remove_unavailable(lacking, "drop")
    assert found.space.holes["nodes.n1.source"].options == ("of_resnet8", "none")
    assert list(found.lost) == [
        "nodes.n1.source.choice[0] (imagenet)",
        "nodes.n1.source.choice[1] (of_resnet14)",
    ]
    assert found.lost["nodes.n1.source.choice[0] (imagenet)"].startswith(
        "dropped: no ImageNet weights are published"
    )
    assert (
        "resnet14.pth for resnet8: these weights belong to another" in list(found.lost.values())[1]
    )
    assert found.defaults == {}
    assert found.space.template["nodes"]["n1"]["source"] == {"choice": ["of_resnet8", "none"]}
    assert remove_unavailable(found.space).changes == {}


def test_what_only_some_models_lack_is_never_tried_with_them(files):
    lacking = space(
        {
            "model": {"choice": ["resnet14", "resnet8"]},
            "source": {"choice": ["of_resnet8", "none"]},
        },
        files,
    )
    found = remove_unavailable(lacking, "drop")
    assert list(found.lost) == ["nodes.n1: resnet14 from of_resnet8"]
    assert found.defaults == {"nodes.n1.source": "its default is now none"}
    nodes = [graph.nodes["n1"] for graph in vary_each_hole(found.space)]
    assert {(node.model, node.source) for node in nodes} == {
        ("resnet14", "none"),
        ("resnet8", "none"),
        ("resnet8", "of_resnet8"),
    }
    refused = found.space.default() | {
        "nodes.n1.model": "resnet14",
        "nodes.n1.source": "of_resnet8",
    }
    with pytest.raises(
        MissingSourceError, match=r"^nodes\.n1\.source: of_resnet8 has no weights for resnet14$"
    ):
        found.space.bind(refused)


def test_the_sampler_asks_again_where_a_combination_cannot_be_had(files):
    free = {"model": {"choice": list(MODELS)}, "source": {"choice": [*files, "none"]}}
    lacking = space(free, files, search=RANDOM)
    queue = SearchQueue(remove_unavailable(lacking, "drop").space)
    pairs = set()
    while trial := queue.propose():
        pairs.add((trial.graph.nodes["n1"].model, trial.graph.nodes["n1"].source))
        queue.record_epoch(trial, 50, {"val_accuracy": 0.5, "val_loss": 1.0}, 1.0)
        queue.close(trial)
    assert pairs == {(model, source) for model in MODELS for source in ("none", f"of_{model}")}
    assert len(queue.sampler._study.trials) > len(queue.trials) + len(queue.duplicates)


def test_whole_nodes_are_dropped_too(files):
    options = [
        {"model": "resnet14", "source": "of_resnet8"},
        {"model": "resnet8", "source": "of_resnet8"},
    ]
    found = remove_unavailable(space({"choice": options}, files), "drop")
    assert found.space.holes["nodes.n1"].options == (options[1],)
    assert [place.partition(" ")[0] for place in found.lost] == ["nodes.n1.choice[0]"]


def test_a_model_for_which_nothing_is_left_is_dropped(files):
    free = {"model": {"choice": ["resnet14", "resnet8"]}, "source": "of_resnet8"}
    found = remove_unavailable(space(free, files), "drop")
    assert found.space.holes["nodes.n1.model"].options == ("resnet8",)
    assert list(found.lost) == ["nodes.n1.model.choice[0] (resnet14)"]


@pytest.mark.parametrize("missing", ["stop", "drop"])
@pytest.mark.parametrize(
    ("n1", "said"),
    [
        (
            {"model": "resnet8", "source": "imagenet"},
            "nodes.n1.source: no ImageNet weights are published for 'resnet8'",
        ),
        (
            {
                "model": {"choice": ["resnet8", "resnet14"]},
                "source": {"choice": ["imagenet", "zoo/a"]},
            },
            "there are weights for no option of nodes.n1.model and nodes.n1.source",
        ),
    ],
)
def test_where_nothing_is_left_every_search_stops(n1, said, missing):
    with pytest.raises(MissingSourceError) as caught:
        remove_unavailable(space(n1), missing)
    assert said in str(caught.value)
    assert "--missing-sources" not in str(caught.value)


def test_a_mistake_is_no_missing_source_and_always_stops(files, tmp_path):
    (tmp_path / "cut.pth").write_bytes(b"cut")
    for source, kind in ((str(tmp_path / "cut.pth"), WeightsError), ("./gone.pth", SpecError)):
        with pytest.raises(kind) as caught:
            remove_unavailable(
                space({"model": "resnet8", "source": {"choice": ["none", source]}}, files), "drop"
            )
        assert not isinstance(caught.value, MissingSourceError)


def test_weights_that_fit_with_some_arguments_of_the_model_only_stop_every_search(tmp_path):
    half = Node(model="mobilenet_v2", model_args={"width_mult": 0.5})
    torch.save(build_body(half, classes=2, size=32).state_dict(), tmp_path / "half.pth")
    source = {"choice": ["none", str(tmp_path / "half.pth")]}
    n1 = {
        "model": "mobilenet_v2",
        "source": source,
        "model_args": {"width_mult": {"choice": [0.5, 0.25]}},
    }
    with pytest.raises(MissingSourceError, match="another network"):
        remove_unavailable(space(n1), "drop")


@pytest.mark.slow
def test_imagenet_offline_is_dropped_for_the_models_without_a_file(tmp_path):
    free = {
        "model": {"choice": ["mobilenetv2_050", "mobilenetv2_100"]},
        "source": {"choice": ["imagenet", "none"]},
    }
    torch.save(
        build_body(Node(model="mobilenetv2_050"), classes=1000, size=32).state_dict(),
        tmp_path / "m.pth",
    )
    files = {"mobilenetv2_050": str(tmp_path / "m.pth")}
    found = remove_unavailable(space(free, weights=files), "drop")
    assert list(found.lost) == ["nodes.n1: mobilenetv2_100 from imagenet"]
    assert (
        "`--weights mobilenetv2_100=model.safetensors`"
        in found.lost["nodes.n1: mobilenetv2_100 from imagenet"]
    )


@pytest.mark.slow
@settings(max_examples=40)
@given(st.data())
def test_what_is_left_can_be_had_whatever_was_missing(files, data):
    models = data.draw(st.lists(st.sampled_from(MODELS), min_size=1, unique=True))
    sources = data.draw(
        st.lists(st.sampled_from([*files, "none", "imagenet"]), min_size=1, unique=True)
    )
    whole = space({"model": {"choice": models}, "source": {"choice": sources}}, files)
    possible = {(m, s) for m in models for s in sources if s in ("none", f"of_{m}")}
    if not possible:
        with pytest.raises(MissingSourceError):
            remove_unavailable(whole, "drop")
        return
    found = remove_unavailable(whole, "drop")
    left = {
        (graph.nodes["n1"].model, graph.nodes["n1"].source) for graph in vary_each_hole(found.space)
    }
    assert left == possible
    assert all(
        graph.nodes["n1"].source in ("none", *files) for graph in baselines(found.space).values()
    )
    stopped = possible != {(m, s) for m in models for s in sources}
    assert bool(found.lost) == stopped
