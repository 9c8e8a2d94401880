"""Stores folders of files as versions in the model registry of an MLflow store."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktg.errors import UserError, show
from ktg.tracking.store import check_uri, explain, open_client, redact
from ktg.tracking.writer import ensure_experiment

_ADDRESS = re.compile(r"models:/{1,2}([^/@]+)(?:/([^/@]+)|@([^/@]+))?")


def fetch_version(address: str, uri: str, into: Path) -> Path:
    """Copy the files of a registered model into the folder `into`; return the folder that has them.

    address: `models:/NAME/VERSION`, `models:/NAME/latest` or `models:/NAME@ALIAS`.
    Raises UserError for another form, a model or version that is not there, and a store that does
    not answer.
    """
    name, version, alias = parse_address(address)
    if version is None and alias is None:
        raise UserError(
            f"{address}: give a version, for example models:/{name}/latest or models:/{name}/1"
        )
    uri = check_uri(uri)
    client = open_client(uri)
    from mlflow.artifacts import download_artifacts

    try:
        if alias is not None:
            version = client.get_model_version_by_alias(name, alias).version
        elif version == "latest":
            version = _latest(client, name)
        place = client.get_model_version_download_uri(name, version)
        return Path(download_artifacts(artifact_uri=place, dst_path=str(into), tracking_uri=uri))
    except Exception as error:
        raise UserError(
            f"{address}: cannot be fetched from MLflow at {redact(uri)}: {explain(error, uri)}"
        ) from error


def publish_version(
    folder: Path, address: str, uri: str, experiment: str, tags: Mapping[str, str]
) -> str:
    """Store a folder as a new version of `models:/NAME`, and return `models:/NAME/VERSION`.

    Its files become artifacts of a run in `experiment`. Raises UserError like `fetch_version`.
    """
    name, version, alias = parse_address(address)
    if version or alias:
        raise UserError(f"{address}: MLflow counts versions itself; give models:/{name}")
    uri = check_uri(uri)
    client = open_client(uri)
    try:
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        run = client.create_run(
            ensure_experiment(client, experiment, uri), tags=dict(tags), run_name=name
        ).info
        client.log_artifacts(run.run_id, str(folder))
        client.set_terminated(run.run_id)
        made = client.create_model_version(name, run.artifact_uri, run.run_id, tags=dict(tags))
    except Exception as error:
        raise UserError(
            f"{address}: cannot be stored in MLflow at {redact(uri)}: {explain(error, uri)}"
        ) from error
    return f"models:/{name}/{made.version}"


def parse_address(address: str) -> tuple[str, str | None, str | None]:
    """Return (name, version, alias) of an address in a model registry."""
    match = _ADDRESS.fullmatch(address)
    if match is None or "'" in address:
        raise UserError(
            f"{show(address)} is not a model of a registry; "
            "write models:/NAME/VERSION or models:/NAME@ALIAS"
        )
    return match.group(1), match.group(2), match.group(3)


def _latest(client: Any, name: str) -> str:
    versions = [int(found.version) for found in client.search_model_versions(f"name = '{name}'")]
    if not versions:
        raise UserError(f"there is no model {show(name)}")
    return str(max(versions))
