"""Errors that speak to the user: one sentence that names the place, what was found and what is allowed."""

import difflib
import reprlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


class KtgError(Exception):
    """Base of every error that ktg raises on purpose."""


class UserError(KtgError):
    """A mistake the user can mend. The command line prints it as one sentence and exits with 2."""


class SpecError(UserError):
    """A graph or search space that says something it may not.

    `path` is the dotted place in the data; `file` names the file (and line, for a mistake in the
    YAML itself) where it is known. All three are the exception's arguments, so that it survives
    pickling between processes.
    """

    def __init__(self, path: str, problem: str, file: str = "") -> None:
        super().__init__(path, problem, file)
        self.path = path
        self.problem = problem
        self.file = file

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.path, self.problem) if part)


class DataError(UserError):
    """A data set that cannot be read or split as asked."""


class WeightsError(UserError):
    """Pretrained weights that are missing, unreadable, or belong to another architecture."""


class MissingSourceError(SpecError, WeightsError):
    """A source that has no weights for a node's model, or none that can be had now. Another source may have some."""


class TrainingError(KtgError):
    """Training that cannot go on (a loss that is not finite); the command line exits with 1."""


def show(value: object) -> str:
    """Return `value` as it should appear in a message: quoted, and cut when it is long."""
    return _SHORT.repr(value)


def join_names(names: Sequence[str], most: int = 20) -> str:
    """Return the names with commas, at most `most` of them and then how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def did_you_mean(got: object, allowed: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" when one of `allowed` is close to `got`, else an empty string."""
    by_lower = {word.lower(): word for word in allowed}
    close = difflib.get_close_matches(str(got).lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""


def did_you_mean_path(path: Path, suffixes: Collection[str] = ()) -> str:
    """Return " Did you mean 'x'?" for a path that is not there: what lies beside the first part of it that is missing.

    Visible folders count, and files that end in one of `suffixes` (lower case, with the dot).
    """
    missing = next((part for part in reversed((path, *path.parents)) if not part.exists()), None)
    if missing is None or not missing.parent.is_dir():
        return ""
    beside = [entry for entry in missing.parent.iterdir() if not entry.name.startswith(".")]
    kept = [entry.name for entry in beside if entry.is_dir() or entry.suffix.lower() in suffixes]
    return did_you_mean(missing.name, sorted(kept))


def not_one_of(
    path: str, got: object, what: str, allowed: Iterable[str], most: int = 12
) -> SpecError:
    """Return the error for a value outside a closed list, with the list (at most `most` of it) and the nearest."""
    options = list(allowed)
    listed = ", ".join(options[:most]) + (
        f", ... ({len(options)} in all)" if len(options) > most else ""
    )
    return SpecError(
        path, f"{show(got)} is not {what}; allowed: {listed}.{did_you_mean(got, options)}"
    )
