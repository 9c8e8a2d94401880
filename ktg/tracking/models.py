"""Logs trained networks as models of an MLflow store, and registers them under a name."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ktg.errors import UserError, show
from ktg.tracking.records import now_ms
from ktg.tracking.serving import save_pyfunc
from ktg.tracking.store import check_uri, explain, load_mlflow, open_client, redact
from ktg.tracking.writer import ensure_experiment

REGISTERED = "registered_model"
_NOT_IN_A_NAME = "/:@'\""
_URI = "MLFLOW_TRACKING_URI"


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A model file with the module that loads it (see `save_pyfunc`) and an example image.

    `runs` are MLflow's ids of the runs it comes from, the nearest first; ids that the store does
    not have are skipped. `metrics` are those of the model.
    """

    file: Path
    loader: str
    example: str
    description: str
    runs: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def check_model_name(name: str) -> None:
    """Raise UserError for what cannot be the name of a registered model."""
    if not name.strip() or any(sign in name for sign in _NOT_IN_A_NAME):
        raise UserError(
            f"{show(name)} cannot be the name of a model in MLflow: it is empty, "
            "or has one of / : @ ' \""
        )


def register_model(model: TrainedModel, name: str, uri: str) -> str:
    """Log a model, register it as a new version of `name`, and return `models:/NAME/VERSION`.

    Its runs get that address as the tag `registered_model`. Raises UserError when the store refuses
    it.
    """
    check_model_name(name)
    uri = check_uri(uri)
    client = open_client(uri)
    try:
        runs = [run for run in (_find_run(client, run) for run in model.runs) if run is not None]
        runs = runs or [_create_run(client, name, uri)]
        logged = _log_model(client, model, name, runs)
        try:
            with _default_store(uri):
                return _register_version(client, model, name, runs, logged)
        except BaseException:  # nothing half-done is left
            with suppress(Exception):
                client.delete_logged_model(logged.model_id)
            raise
    except Exception as error:
        raise UserError(
            f"model {name}: cannot be stored in MLflow at {redact(uri)}: {explain(error, uri)}"
        ) from error


@contextmanager
def _default_store(uri: str) -> Iterator[None]:
    """Make a store MLflow's default for a while.

    MLflow looks up a logged model in its default store, not in the one that it writes to.
    """
    from mlflow.tracking._tracking_service.utils import _use_tracking_uri

    before = os.environ.get(_URI)
    try:
        with _use_tracking_uri(uri):
            yield
    finally:
        os.environ.pop(_URI, None)
        os.environ.update({} if before is None else {_URI: before})


def _find_run(client: Any, run: str) -> Any:
    """Return the run with this id, None if the store has none."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run).info
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def _create_run(client: Any, name: str, uri: str) -> Any:
    run = client.create_run(
        ensure_experiment(client, name, uri), run_name=name, tags={"kind": "model"}
    ).info
    client.set_terminated(run.run_id)
    return run


def _log_model(client: Any, model: TrainedModel, name: str, runs: Sequence[Any]) -> Any:
    """Log the model as a model of the first run, and return it."""
    load_mlflow()
    from mlflow.models import Model

    first = runs[0]
    made = client.create_logged_model(
        first.experiment_id,
        name,
        source_run_id=first.run_id,
        tags=dict(model.tags),
        model_type="classifier",
    )
    try:
        described = Model(
            made.artifact_location, first.run_id, model_uuid=made.model_id, model_id=made.model_id
        )
        with TemporaryDirectory() as temporary:
            save_pyfunc(
                model.file, Path(temporary, "model"), model.loader, model.example, described
            )
            client.log_model_artifacts(made.model_id, str(Path(temporary, "model")))
        client.finalize_logged_model(made.model_id, "READY")
    except BaseException:
        with suppress(Exception):
            client.delete_logged_model(made.model_id)
        raise
    return made


def _register_version(
    client: Any, model: TrainedModel, name: str, runs: Sequence[Any], logged: Any
) -> str:
    """Link a logged model to its runs, metrics and name, and return its address."""
    from mlflow.entities import LoggedModelOutput, Metric

    first, model_id = runs[0].run_id, logged.model_id
    metrics = [
        Metric(metric, value, now_ms(), 0, model_id=model_id, run_id=first)
        for metric, value in model.metrics.items()
    ]
    if metrics:
        client.log_batch(first, metrics=metrics)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    place, text = f"models:/{model_id}", model.description
    made = client.create_model_version(
        name, place, first, tags=dict(model.tags), description=text, model_id=model_id
    )
    versions = json.dumps([{"name": name, "version": int(made.version)}])
    # MLflow's server sets this tag itself; a store without a server needs it from us.
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": versions})
    address = f"models:/{name}/{made.version}"
    for run in runs:
        client.log_outputs(run.run_id, [LoggedModelOutput(model_id, 0)])
        client.set_tag(run.run_id, REGISTERED, address)
    return address
