"""Opens MLflow stores: quietly, without telemetry, and without long retries."""

import importlib.metadata
import logging
import os
import re
import shlex
import unicodedata
import uuid
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ktg.errors import UserError, did_you_mean, show
from ktg.tracking.access import hide_login, refusal

DEFAULT_URI = "sqlite:///mlflow.db"
_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks")
_ALLOWED = "allowed: sqlite:///FILE, postgresql://, mysql://, mssql://, http(s)://, databricks"
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # By default MLflow retries seven times with back-off, which blocks one call for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # which is for results: `--json`
}
_NAME_BYTES = 255
_LINE_CHARACTERS = 200
_OTHER_SCHEMA = re.compile(r"database schema \(found version (\S+), but expected (\S+)\)")
# SQLAlchemy puts this line before what the database says.
_EMPTY_WORDS = "(raised as a result of Query-invoked autoflush"
_LOUD = {
    "mlflow": logging.CRITICAL,
    "alembic": logging.WARNING,
    "urllib3.connectionpool": logging.ERROR,
}


def check_uri(uri: str) -> str:
    """Return the URI of a store with an absolute path, or raise UserError. Creates nothing."""
    scheme = uri.partition(":")[0].partition("+")[0].lower()
    if scheme == "file" or ("://" not in uri and scheme != "databricks"):
        raise UserError(
            f"tracking URI {redact(uri)!r}: MLflow no longer keeps runs in plain folders; "
            f"{_ALLOWED}"
        )
    if scheme not in _SCHEMES:
        guess = did_you_mean(scheme, _SCHEMES)
        raise UserError(
            f"tracking URI {redact(uri)!r}: MLflow has no store of this kind; {_ALLOWED}.{guess}"
        )
    file = sqlite_file(uri)
    if file is None:
        return uri
    if not file.parent.is_dir():
        raise UserError(f"tracking URI {uri!r}: there is no folder {file.parent}; create it first")
    query = uri.partition("?")[2]
    return f"{uri.partition(':')[0]}:///{file}" + (f"?{query}" if query else "")


def check_experiment_name(name: str, uri: str = DEFAULT_URI) -> None:
    """Raise UserError for a name of an experiment that a store refuses, or keeps in another place.

    MLflow's own limit is 500 characters, but the name is a column of 256 in its tables and, with
    SQLite, a folder in `mlruns`: `..` would be the folder beside it.
    """
    size = len(name.encode(errors="surrogatepass"))
    # Databricks keeps experiments in folders, and their names begin with a slash.
    ends = name if uri.startswith("databricks") else name.strip("/")
    if not name.strip():
        rule = "it must not be empty"
    elif size > _NAME_BYTES:
        rule = f"it has {size} bytes, and {_NAME_BYTES} are allowed"
    elif any(unicodedata.category(each) in ("Cc", "Cs") for each in name):
        rule = "it must not contain control characters or bytes that are not UTF-8"
    elif {".", ".."} & set(name.split("/")) or ends != name:
        rule = "it must not have . or .. as a part, nor a slash at an end"
    else:
        return
    raise UserError(f"{show(name)} cannot name an experiment; {rule}")


def sqlite_file(uri: str) -> Path | None:
    """Return the absolute path of an SQLite store, or None when the store is another kind."""
    scheme, _, rest = uri.partition("://")
    if scheme.partition("+")[0] != "sqlite":
        return None
    name = rest.partition("?")[0].removeprefix("/")
    if not name or name == ":memory:":
        raise UserError(
            f"tracking URI {uri!r}: an SQLite store needs a file, for example {DEFAULT_URI}"
        )
    return Path(name).absolute()


def redact(uri: str) -> str:
    """Return the URI for messages and logs, with its password, if any, replaced by ***."""
    head, at, tail = uri.rpartition("@")
    scheme, slashes, login = head.partition("://")
    user, colon, _ = login.partition(":")
    if at and not colon and scheme in ("http", "https"):  # a name alone may be a token
        return f"{scheme}://***@{tail}"
    return f"{scheme}{slashes}{user}:***@{tail}" if at and colon else uri


def name_store(uri: str | None) -> list[str]:
    """Return the option with which a command comes to a store from here, without its login.

    There is none for this folder's own, unless MLFLOW_TRACKING_URI names another, and for the one
    that this names with a login, which would be lacking. Where it names one without, the option is
    there all the same: the command may be read where the variable is not set.
    """
    if uri is None:
        return []
    said, shown = os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI, redact(uri)
    is_known = uri == said and (uri == DEFAULT_URI or shown != uri)
    return [] if is_known else ["--tracking-uri", shown]


def name_places(uri: str | None, **given: object) -> list[str]:
    """Return the options with which another command finds the store of one, and what else it had.

    given: by the options' names; None is left out.

    >>> name_places(None, out="birds", address=None, missing_sources="drop")
    ['--out', 'birds', '--missing-sources', 'drop']
    """
    options = ((f"--{name.replace('_', '-')}", value) for name, value in given.items())
    said = [(option, str(value)) for option, value in options if value is not None]
    return [word for pair in said for word in pair] + name_store(uri)


def explain(error: BaseException, uri: str) -> str:
    """Return the first meaningful line of an error, cut and without the password of `uri`."""
    refused = refusal(error, uri)
    if refused is not None:
        return refused
    text = hide_login(str(error)).replace(uri, redact(uri))
    password = _password(uri)
    for secret in {password, unquote(password)} - {""}:
        text = text.replace(secret, "***")
    found = _OTHER_SCHEMA.search(text)
    if found is not None:
        return _explain_schema(found[1], found[2], uri)
    lines = [line for line in text.strip().splitlines() if not line.startswith(_EMPTY_WORDS)]
    return _shorten((lines or [type(error).__name__])[0])


def check_schema(uri: str) -> None:
    """Raise UserError for a database whose tables are those of another version of MLflow.

    One that is not there yet, or does not answer, is no error here.
    """
    file = sqlite_file(uri)
    if uri.startswith(("http:", "https:", "databricks")) or (file and not file.is_file()):
        return
    try:
        from mlflow.store.db import utils

        engine = utils.create_sqlalchemy_engine(uri)
        try:
            if utils._all_tables_exist(engine):
                utils._verify_schema(engine)
        finally:
            engine.dispose()
    except Exception as error:
        if _OTHER_SCHEMA.search(str(error)):
            what = f"MLflow at {redact(uri)} cannot be used: {explain(error, uri)}"
            raise UserError(what) from None


def _explain_schema(found: str, expected: str, uri: str) -> str:
    """Return what to do about tables of another version of MLflow."""
    version = importlib.metadata.version("mlflow")
    return (
        f"its tables have the schema {found}, and MLflow {version} needs {expected}; if they are "
        f"older, keep a copy and run `mlflow db upgrade {shlex.quote(redact(uri))}`, else install "
        "the MLflow that made them"
    )


def _shorten(line: str) -> str:
    """Return a line of at most 200 characters, cut between words where it has any."""
    if len(line) <= _LINE_CHARACTERS:
        return line
    cut = line[:_LINE_CHARACTERS]
    return f"{cut.rpartition(' ')[0]} ..." if " " in cut else cut


def load_mlflow() -> Any:
    """Import mlflow (seconds) and return its client class.

    Sets what it reads from the environment unless the user has set it, and turns its logging down,
    because the errors that it logs are also raised. Deprecations between it and its own libraries
    are nothing a user can mend.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings(
        "ignore", category=DeprecationWarning, module=r"(mlflow|sqlalchemy|alembic)\b"
    )
    from mlflow.tracking import MlflowClient

    for name, level in _LOUD.items():
        logging.getLogger(name).setLevel(level)
    return MlflowClient


def open_client(uri: str) -> Any:
    """Return an `MlflowClient` for a checked URI. An SQLite store that is not there yet is made."""
    client = load_mlflow()
    if uri.partition(":")[0] not in ("http", "https", "databricks"):
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = 3  # MLflow's default retries for 100 s before it reports an error
    file = sqlite_file(uri)
    if file is not None and not file.exists():
        _create_sqlite(client, file)
    return client(uri)


def _create_sqlite(client: Any, file: Path) -> None:
    """Make an SQLite store, whole or not at all.

    MLflow makes its tables one after the other; of a store at which it was killed, or found the
    disk full, it can make nothing any more.
    """
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        store = client(f"sqlite:///{temporary}")
        store.search_experiments(max_results=1)
        store._tracking_client.store.engine.dispose()
        try:
            file.hardlink_to(temporary)  # unlike a renaming, never replaces
        except FileExistsError:  # another process was faster
            pass
        except OSError:  # a file system without links
            temporary.replace(file)
    finally:
        for left in file.parent.glob(f"{temporary.name}*"):
            left.unlink()


def _password(uri: str) -> str:
    try:
        return urlsplit(uri).password or ""
    except ValueError:
        return ""
