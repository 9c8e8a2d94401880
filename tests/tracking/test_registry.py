"""Zoos travel through the model registry of a real MLflow store."""

from collections.abc import Callable
from pathlib import Path

import pytest
from zoos import filled

from ktg.errors import UserError
from ktg.tracking.registry import parse_address, publish_version
from ktg.tracking.store import open_client
from ktg.zoo import Zoo, pull, push


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[], str]
) -> tuple[str, Zoo]:
    """A store with two versions of a model, and their zoo; the second has one entry less."""
    folder, uri = tmp_path_factory.mktemp("registry"), new_store()
    zoo = filled(
        folder, ("animals", "resnet8"), ("animals", "torchvision/resnet18"), ("fish", "resnet8")
    )
    assert push(zoo, "animals", "models:/animals", tracking_uri=uri) == "models:/animals/1"
    assert (
        push(zoo, "animals", "models:/animals", model="resnet8", tracking_uri=uri)
        == "models:/animals/2"
    )
    open_client(uri).set_registered_model_alias("animals", "small", "2")
    (folder / "plain").mkdir()
    (folder / "plain" / "notes.txt").write_text("no zoo")
    publish_version(folder / "plain", "models:/plain", uri, "other", {})
    return uri, zoo


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "models"),
    [
        ("models:/animals/1", ["resnet8", "torchvision/resnet18"]),
        ("models:/animals/latest", ["resnet8"]),
        ("models:/animals@small", ["resnet8"]),
    ],
)
def test_what_was_pushed_is_pulled(tmp_path: Path, store, address, models):
    uri, there = store
    here = Zoo(tmp_path / "here")
    pulled = pull(here, address, tracking_uri=uri)
    assert (
        [one.card for one in pulled]
        == here.list_cards()
        == [there.get("animals", model) for model in models]
    )
    assert here.verify() == []
    assert list((here.folder / ".incoming").iterdir()) == []
    assert not any(one.new for one in pull(here, address, tracking_uri=uri))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "models:/animals/7",
            r"^models:/animals/7: cannot be fetched from MLflow at sqlite.*version=7. not found",
        ),
        ("models:/animls/latest", r"there is no model 'animls'"),
        ("models:/animals@best", r"alias best not found"),
        (
            "models:/animals",
            r"^models:/animals: give a version, for example models:/animals/latest",
        ),
        (
            "models:/plain/1",
            r"^models:/plain/1: holds no entries of a zoo, because there is no index\.yaml",
        ),
        ("models:/a'b/1", r"is not? a? ?model of a registry"),
    ],
)
def test_what_cannot_be_pulled(tmp_path: Path, store, address, message):
    uri, _ = store
    with pytest.raises(UserError, match=message):
        pull(Zoo(tmp_path / "here"), address, tracking_uri=uri)
    assert Zoo(tmp_path / "here").list_keys() == []


def test_what_cannot_be_pushed(store):
    uri, zoo = store
    with pytest.raises(UserError, match="MLflow counts versions itself; give models:/animals"):
        push(zoo, "animals", "models:/animals/3", tracking_uri=uri)
    with pytest.raises(UserError, match=r"has no entry 'animls'; it has animals, fish"):
        push(zoo, "animls", "models:/animals", tracking_uri=uri)
    with pytest.raises(UserError, match="there is no folder"):
        push(zoo, "fish", "models:/fish", tracking_uri="sqlite:////nowhere/mlflow.db")


def test_addresses():
    assert parse_address("models:/a/1") == ("a", "1", None)
    assert parse_address("models:/a b@c") == ("a b", None, "c")
    assert parse_address("models:/a") == ("a", None, None)
