"""Errors that speak to the user: one sentence that names the place, what was found and what is allowed."""

import difflib
import reprlib
from collections.abc import Iterable

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


class KtgError(Exception):
    """Base of every error that ktg raises on purpose."""


class UserError(KtgError):
    """A mistake the user can mend. The command line prints it as one sentence and exits with 2."""


class SpecError(UserError):
    """A graph or search space that says something it may not; `path` is the dotted place in the file."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}" if path else problem)


class DataError(UserError):
    """A data set that cannot be read or split as asked."""


class WeightsError(UserError):
    """Pretrained weights that are missing, unreadable, or belong to another architecture."""


class TrainingError(KtgError):
    """Training that cannot go on (a loss that is not finite); the command line exits with 1."""


def show(value: object) -> str:
    """Return `value` as it should appear in a message: quoted, and cut when it is long."""
    return _SHORT.repr(value)


def did_you_mean(got: object, allowed: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" when one of `allowed` is close to `got`, else an empty string."""
    close = difflib.get_close_matches(str(got).lower(), list(allowed), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def not_one_of(path: str, got: object, what: str, allowed: Iterable[str], most: int = 12) -> SpecError:
    """Return the error for a value outside a closed list, with the list (at most `most` of it) and the nearest."""
    options = list(allowed)
    listed = ", ".join(options[:most]) + (f", ... ({len(options)} in all)" if len(options) > most else "")
    return SpecError(path, f"{show(got)} is not {what}; allowed: {listed}.{did_you_mean(got, options)}")
