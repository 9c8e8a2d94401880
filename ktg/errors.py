"""Defines the errors of ktg: one sentence with the place, what was got and what is allowed."""

import difflib
import re
import reprlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
# What a terminal obeys instead of showing: control characters but tab and line feed, the marks that
# turn the direction of a text, and halves of characters, which nothing can encode.
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def make_printable(text: str) -> str:
    r"""Return `text` with escapes for all that a terminal would obey: ESC becomes \u001b.

    Names of files and tensors, answers of servers and texts in the files of others pass through
    here before anyone sees them. JSON, Python and YAML read the escapes back.
    """
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class KtgError(Exception):
    """Base of every error that ktg raises on purpose. Its text is one line and printable."""

    def __str__(self) -> str:
        return _one_line(super().__str__())


class UserError(KtgError):
    """A mistake that the user can mend. The command line prints one sentence and exits with 2."""


class SpecError(UserError):
    """A graph or search space breaks a rule of the format.

    `path` is the dotted place in the data, such as `edges.n1.n0.gate`. `file` is the name of the
    file where it is known, with the line for a mistake in the YAML itself.
    """

    def __init__(self, path: str, problem: str, file: str = "") -> None:
        # Ray and multiprocessing pickle an exception by its `args`, so all three must be there.
        super().__init__(path, problem, file)
        self.path = path
        self.problem = problem
        self.file = file

    def __str__(self) -> str:
        return _one_line(
            ": ".join(str(part) for part in (self.file, self.path, self.problem) if part)
        )


class DataError(UserError):
    """A data set cannot be read, or not be split as the user asks."""


class WeightsError(UserError):
    """Pretrained weights are missing, unreadable, or belong to another architecture."""


class MissingSourceError(SpecError, WeightsError):
    """A source has no weights for a node's model, or they cannot be downloaded now.

    Another source may have some, so a search leaves out the option and goes on.
    """


class TrainingError(KtgError):
    """Training cannot go on, for example after a loss that is not finite. The exit code is 1."""


def _one_line(text: str) -> str:
    return make_printable(text).replace("\n", "\\n")


def show(value: object) -> str:
    """Return `value` as a message shows it: like `repr`, but at most 60 characters of a text."""
    return _SHORT.repr(value)


def join_names(names: Sequence[str], most: int = 20) -> str:
    """Return the names with commas, at most `most` of them and then how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def describe_system_error(error: OSError) -> str:
    """Return what the system refused: of which file, where it says that, and why.

    >>> describe_system_error(OSError(28, "No space left on device"))
    'no space left on device'
    """
    reason = error.strerror.lower() if error.strerror else str(error)
    return reason if error.filename is None else f"{error.filename}: {reason}"


def did_you_mean(got: object, allowed: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" when one of `allowed` is close to `got`, else an empty string.

    >>> did_you_mean("trough", ["through", "cutoff"])
    " Did you mean 'through'?"
    """
    # Compared in lower case: `ResNet18` should find `resnet18`, but is no close match as it stands.
    by_lower = {word.lower(): word for word in allowed}
    close = difflib.get_close_matches(str(got).lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""


def did_you_mean_path(path: Path, suffixes: Collection[str] = ()) -> str:
    """Return " Did you mean 'x'?" for a path that does not exist.

    `x` lies beside the first part of the path that is missing: a visible folder, or a file that
    ends in one of `suffixes` (lower case, with the dot).
    """
    missing = next((part for part in reversed((path, *path.parents)) if not part.exists()), None)
    if missing is None or not missing.parent.is_dir():
        return ""
    visible = [entry for entry in missing.parent.iterdir() if not entry.name.startswith(".")]
    names = [entry.name for entry in visible if entry.is_dir() or entry.suffix.lower() in suffixes]
    return did_you_mean(missing.name, sorted(names))


def not_one_of(
    path: str, got: object, what: str, allowed: Iterable[str], most: int = 12
) -> SpecError:
    """Return the error for a value outside a closed list.

    It shows at most `most` of the list, and the entry that is nearest to the value.
    """
    options = list(allowed)
    rest = f", ... ({len(options)} in all)" if len(options) > most else ""
    listed = ", ".join(options[:most]) + rest
    hint = did_you_mean(got, options)
    return SpecError(path, f"{show(got)} is not {what}; allowed: {listed}.{hint}")
