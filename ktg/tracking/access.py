"""Checks that an MLflow server accepts this user, before a search spends any time."""

import os
from typing import Any

from ktg.errors import UserError
from ktg.tracking.views import experiment_tags

USER, PASSWORD, TOKEN = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
)
_REFUSALS = ("UNAUTHENTICATED", "PERMISSION_DENIED")


def refusal(error: BaseException, uri: str) -> str | None:
    """Return why the server at `uri` refuses this user and what to do; None for any other error."""
    code = getattr(error, "error_code", None)
    if code not in _REFUSALS:
        return None
    given = (
        ["its address"]
        if "@" in uri
        else [name for name in (USER, PASSWORD, TOKEN) if os.environ.get(name)]
    )
    if code == "PERMISSION_DENIED":
        return "the server does not let this user do that; ask who runs it for the permission"
    if not given:
        return f"the server wants a login; set {USER} and {PASSWORD}, or {TOKEN}"
    return f"the server refuses the login in {' and '.join(given)}"


def hide_login(text: str) -> str:
    """Return a text in which the password and the token of the environment are replaced by ***."""
    for name in (PASSWORD, TOKEN):
        if os.environ.get(name):
            text = text.replace(os.environ[name], "***")
    return text


def check_access(client: Any, experiment: str, uri: str, shown: str) -> None:
    """Raise UserError when the server refuses this user, or refuses to let them write.

    A server that is down is no error here: records wait until it is back. `shown` is its address
    without a password.
    """
    try:
        found = client.get_experiment_by_name(experiment)
        # Writing a tag that is already there changes nothing, and shows whether writing is allowed.
        if found is not None and found.lifecycle_stage == "active":
            kind, usual = next(iter(experiment_tags().items()))
            client.set_experiment_tag(found.experiment_id, kind, found.tags.get(kind, usual))
    except Exception as error:
        reason = refusal(error, uri)
        if reason is not None:
            raise UserError(
                f"cannot write into experiment {experiment!r} of MLflow at {shown}: {reason}"
            ) from error
