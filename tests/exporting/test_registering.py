"""A searched network in MLflow's model registry, loaded in a process of its own."""

import base64
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from command import ktg

from ktg.data.decode import Geometry
from ktg.errors import UserError
from ktg.exporting.export import export
from ktg.exporting.load_model import load_model
from ktg.exporting.metadata import ModelInput
from ktg.exporting.pixels import to_pixels
from ktg.exporting.registering import make_example_image, temporary_file
from ktg.tracking import find_experiment
from ktg.tracking.models import TrainedModel, check_model_name, register_model
from ktg.tracking.store import open_client

LOAD = """
import json, sys, mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
answer = model.predict(model.input_example)
print(json.dumps([model.input_example["image"][0], model.metadata.signature.to_dict(), answer]))
"""


@pytest.mark.slow
def test_the_best_graph_is_trained_registered_loaded_elsewhere_and_linked_to_its_search(
    searched, one_thread, tmp_path
):
    words = [
        "export",
        "a search",
        "-o",
        "best.yaml",
        "--weights",
        "model.safetensors",
        "--register",
        "tiny net",
    ]
    done = ktg(*words, "--tracking-uri", searched.uri, "--json", "--device", "cpu", folder=tmp_path)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["registered"] == "models:/tiny net/1"
    environment = {
        "MLFLOW_TRACKING_URI": searched.uri,
        "KTG_SERVE_DEVICE": "cpu",
        "PATH": "/usr/bin:/bin",
    }
    command = [sys.executable, "-W", "ignore", "-c", LOAD, told["registered"]]
    other = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    picture, signature, (answer,) = json.loads(other.stdout)
    (expected,) = load_model(tmp_path / "model.safetensors", "cpu").predict(
        [base64.b64decode(picture)]
    )
    assert answer["label"] == expected.label
    assert list(answer["probabilities"]) == list(expected.classes)
    assert list(answer["probabilities"].values()) == pytest.approx(
        expected.probabilities.tolist(), abs=1e-6
    )
    assert [column["name"] for column in json.loads(signature["inputs"])] == ["image"]
    assert {"label", "probability"} <= {
        column["name"] for column in json.loads(signature["outputs"])
    }

    client, experiment = open_client(searched.uri), find_experiment("a search", searched.uri)
    search = experiment.searches()[0]
    trial = next(run for run in experiment.trials(search) if run.id == told["trial_run"])
    version = client.get_model_version("tiny net", "1")
    logged = client.get_logged_model(version.source.removeprefix("models:/"))
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "tiny net", "version": 1}]
    assert version.run_id == logged.source_run_id == trial.id
    for run in (search, trial):
        assert run.tags["registered_model"] == told["registered"]
        assert [output.model_id for output in client.get_run(run.id).outputs.model_outputs] == [
            logged.model_id
        ]
    assert trial.metrics["model.val_accuracy"] == pytest.approx(told["accuracy"]["mean"])
    assert {metric.key for metric in logged.metrics} == {"model.val_accuracy"}
    assert version.tags["data.fingerprint"] == told["data_fingerprint"]
    assert f"{100 * told['accuracy']['mean']:.2f} % (val split)" in version.description


def test_what_cannot_be_registered_costs_no_training_and_no_trained_network(trained):
    with pytest.raises(UserError, match=r"^'a/b' cannot be the name of a model in MLflow"):
        export("absent", "sqlite:///mlflow.db", name="a/b")
    check_model_name("any other name-1.0")
    away = "http://127.0.0.1:9"  # the command to try again must name it
    again = rf"`ktg export .*model.safetensors --register net --tracking-uri {away}`$"
    kept = rf"; the trained network is kept, to try again: {again}"
    with pytest.raises(
        UserError, match=r"^model net: cannot be stored in MLflow at http://127.0.0.1:9: .*" + kept
    ):
        export(str(trained.file), away, name="net")
    assert temporary_file("my net/../x").parent == temporary_file("net").parent


@pytest.mark.slow
def test_a_version_that_fails_half_way_leaves_nothing(trained, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    model = TrainedModel(
        file=trained.file, loader="ktg.exporting.pyfunc", example="", description="a network"
    )
    for fault in (
        replace(model, file=tmp_path / "absent"),
        replace(model, metrics={"not -> a name": 0.5}),
    ):
        with pytest.raises(UserError, match="cannot be stored in MLflow"):
            register_model(fault, "net", uri)
    client = open_client(uri)
    experiment = client.get_experiment_by_name("net")
    assert client.search_logged_models([experiment.experiment_id]) == []
    assert list(client.search_registered_models()) == []


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (16, 3)])
def test_the_example_is_an_image_that_the_model_takes(trained, side, channels):
    given = ModelInput(
        side=side, channels=channels, interpolation="bicubic", size=side, mean=(0.5,), std=(0.5,)
    )
    pixels = to_pixels(base64.b64decode(make_example_image(given)), Geometry(side, channels))
    assert pixels.shape == (side, side, channels)
