import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator
from strategies import graphs

from ktg.errors import SpecError
from ktg.graph import dump, parse, parse_space
from ktg.graph.json_schema import json_schema
from ktg.graph.yaml_files import loads

GRAPH_SCHEMA = Draft202012Validator(json_schema("graph"))
SPACE_SCHEMA = Draft202012Validator(json_schema("space"))
COMMITTED = Path(__file__).parents[2] / "search_spaces/ktg.schema.json"
GRAPH = """
data:  {name: cifar100, val_fraction: 0.2, batch_size: 64, augment: basic}
train: {epochs: 200, optimizer: sgd, lr: 0.1, seed: 0, milestones: [60, 120]}
sources:
  mine: {path: a.pth, mean: [0.5, 0.5, 0.5], origin: my own}
weights: {resnet18: r.pth, timm/resnet34: {path: s.safetensors, mean: 0.5}}
nodes:
  n0: {model: resnet32, source: none, model_args: {width: 2}}
  n1: {model: wide_resnet28_2, source: imagenet, frozen_epochs: 5, unfreeze_from: 0.65,
       backbone_lr_scale: 0.1}
edges:
  label -> n0: {loss: ce, gate: through}
  label -> any: {gate: linear}
  label->n1:
  n1 -> n0:    {loss: kl, gate: correct, temperature: 1.0}
"""
SPACE = """
name: a study
data: {path: images, batch_size: {choice: [32, 64]}}
train: {epochs: 20, lr: {log: [1e-3, 0.3]}, warmup_epochs: {int: [0, 5]},
        milestones: {choice: [[5], [5, 10]]}}
sources:
  a: {path: {choice: [x.pth, y.pth]}}
nodes:
  n0: {model: resnet32, source: none}
  n1: &free
    model: {choice: [resnet32, resnet110, wide_resnet28_2]}
    source: {choice: [none, a]}
    lr: {choice: [null, 0.1]}
    unfreeze_from: {choice: [null, 3, 0.5]}
    model_args: {width: {int: [1, 4]}}
  n2: *free
  n3: {choice: [{model: resnet8}, {model: resnet20, frozen_epochs: 2}]}
edges:
  label -> any: {loss: ce, gate: {choice: [through, cutoff, linear]}}
  any -> any: {loss: {choice: [kl, js]}, gate: {choice: [through, cutoff]},
               weight: {uniform: [0.5, 2]}}
  label -> n0: {choice: [{gate: through}, {gate: linear}]}
search: {trials: 1500, sampler: tpe, grace_epochs: 1, reduction_factor: 2, gpus_per_trial: 0.25}
"""
MISTAKES = {
    "a section misspelt": lambda raw: raw.update(trian={}),
    "a section missing": lambda raw: raw.pop("edges"),
    "a field misspelt": lambda raw: raw["nodes"]["n0"].update(modle="a"),
    "no model": lambda raw: raw["nodes"]["n0"].pop("model"),
    "no node": lambda raw: raw["nodes"].clear(),
    "a reserved name": lambda raw: raw["nodes"].update(label={"model": "a"}),
    "a name with a space": lambda raw: raw["nodes"].update({"a b": {"model": "a"}}),
    "text for a number": lambda raw: raw["train"].update(lr="0.1"),
    "true for a number": lambda raw: raw["train"].update(epochs=True),
    "out of bounds": lambda raw: raw["train"].update(lr=0),
    "above its bound": lambda raw: raw["train"].update(momentum=1),
    "half an epoch": lambda raw: raw["train"].update(epochs=1.5),
    "text for a stage": lambda raw: raw["nodes"]["n0"].update(unfreeze_from="3"),
    "true for a stage": lambda raw: raw["nodes"]["n0"].update(unfreeze_from=True),
    "a stage before the first": lambda raw: raw["nodes"]["n0"].update(unfreeze_from=-1),
    "an unknown gate": lambda raw: raw["edges"].update({"label -> n0": {"gate": "open"}}),
    "an edge to the label": lambda raw: raw["edges"].update({"n0 -> label": {}}),
    "no edge": lambda raw: raw["edges"].update({"n0": {}}),
    "kl from the label": lambda raw: raw["edges"].update({"label -> n1": {"loss": "kl"}}),
    "ce between nodes": lambda raw: raw["edges"].update({"n1 -> n0": {"loss": "ce"}}),
    "no data": lambda raw: raw.update(data={}),
    "an unknown version": lambda raw: raw.update(version=4),
    "a source without a file": lambda raw: raw.update(sources={"a": {}}),
    "weights without a file": lambda raw: raw.update(weights={"resnet18": {"mean": 0.5}}),
    "an empty choice": lambda raw: raw["train"].update(lr={"choice": []}),
    "a hole with a bad option": lambda raw: raw["train"].update(lr={"choice": [0.1, "a"]}),
    "an unknown hole": lambda raw: raw["train"].update(lr={"range": [0.1, 0.2]}),
    "two holes at once": lambda raw: raw["train"].update(lr={"choice": [0.1], "log": [0.1, 0.2]}),
    "three ends": lambda raw: raw["train"].update(lr={"log": [0.1, 0.2, 0.3]}),
    "a log from zero": lambda raw: raw["train"].update(lr={"log": [0, 0.3]}),
    "a log of a whole number": lambda raw: raw["train"].update(epochs={"log": [1, 3]}),
    "a hole in search": lambda raw: raw.update(search={"trials": {"choice": [1, 2]}}),
}


def test_schemas_are_schemas():
    for kind in ("graph", "space"):
        Draft202012Validator.check_schema(json_schema(kind))


def test_documented_files_are_valid():
    parse(loads(GRAPH, "x"))
    parse_space(loads(SPACE, "x"))
    GRAPH_SCHEMA.validate(loads(GRAPH, "x"))
    SPACE_SCHEMA.validate(loads(GRAPH, "x"))
    SPACE_SCHEMA.validate(loads(SPACE, "x"))
    assert not GRAPH_SCHEMA.is_valid(loads(SPACE, "x"))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_found_by_schema_and_parser(mistake):
    for text, schema, read in ((GRAPH, GRAPH_SCHEMA, parse), (SPACE, SPACE_SCHEMA, parse_space)):
        raw = copy.deepcopy(loads(text, "x"))
        MISTAKES[mistake](raw)
        assert not schema.is_valid(raw)
        with pytest.raises(SpecError):
            read(raw)


def test_data_is_either_known_or_your_own():
    raw = loads(GRAPH, "x")
    raw["data"]["path"] = "images"
    assert not GRAPH_SCHEMA.is_valid(raw)
    raw["data"]["name"] = None
    GRAPH_SCHEMA.validate(raw)


@pytest.mark.slow
@given(graphs())
def test_every_graph_is_valid(graph):
    plain = json.loads(json.dumps(dump(graph)))
    GRAPH_SCHEMA.validate(plain)
    SPACE_SCHEMA.validate(plain)


def test_fields_are_explained():
    lr = json_schema("graph")["$defs"]["Train"]["properties"]["lr"]
    assert lr == {
        "description": "Peak learning rate; see `optimizer`.",
        "type": "number",
        "exclusiveMinimum": 0,
        "default": 0.1,
    }


@pytest.mark.parametrize(
    ("words", "kind"), [([], "space"), (["space"], "space"), (["graph"], "graph")]
)
def test_the_module_prints_the_schema(words, kind):
    done = subprocess.run(
        [sys.executable, "-m", "ktg.graph.json_schema", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == json_schema(kind)


def test_the_committed_schema_is_the_generated_one():
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == json_schema("space"), (
        "run `python -m ktg.graph.json_schema > search_spaces/ktg.schema.json`"
    )
