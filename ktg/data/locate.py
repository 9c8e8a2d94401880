"""Finds the data set that a user describes: one known by name, a folder, or an .npz."""

from pathlib import Path

from ktg.data.array_table import relabel_npz
from ktg.data.class_subset import keep_classes
from ktg.data.folder import read_folder
from ktg.data.found_data import FoundData, check_classes
from ktg.data.group_table import add_groups, check_groups
from ktg.data.label_table import UNDERSTOOD, find_named, find_tables
from ktg.data.npz import read_npz
from ktg.data.set_names import check_name
from ktg.data.torchvision_sets import read_named
from ktg.errors import DataError, SpecError, did_you_mean_path, join_names
from ktg.graph import FORMULAS, Data


def find_data(spec: Data, base: Path | None) -> FoundData:
    """Return the data set that `spec` describes, without the classes it leaves out; it is checked.

    Raises SpecError for an unknown name, DataError for a path that does not exist and for a layout
    that is not understood.
    """
    if spec.name is not None:
        check_name(spec.name)
        if spec.name in FORMULAS:
            raise SpecError("data.name", f"{spec.name} is drawn and not found")
        data = read_named(spec.name)
    else:
        data = _read_path(spec, base)
    if spec.groups is not None:
        data = add_groups(data, spec.groups, base)
    if spec.only is not None:
        data = keep_classes(data, spec.only)
    if spec.groups is not None:
        check_groups(data, spec.groups)
    check_classes(data)
    return data


def list_tables(spec: Data, base: Path | None = None) -> list[Path]:
    """Return the tables that labels and groups of a data set are read from, as they are named.

    Raises DataError for a table that is named and is not there.
    """
    start = base or Path.cwd()
    found = [] if spec.groups is None else [start / Path(spec.groups).expanduser()]
    if spec.path is None:
        return found
    path = start / Path(spec.path).expanduser()
    if path.is_dir() and spec.labels is None:
        return [*found, *(table.place for table in find_tables(path))]
    if path.is_dir() and spec.labels is not None:
        return [*found, find_named(path, spec.labels, f"data.path: {spec.path}").place]
    return found if spec.labels is None else [*found, path.parent / Path(spec.labels).expanduser()]


def _read_path(spec: Data, base: Path | None) -> FoundData:
    if spec.path is None:
        raise SpecError("data", "give either `name` (a known data set) or `path` (your own images)")
    path = (base or Path.cwd()) / Path(spec.path).expanduser()
    title = f"data.path: {spec.path}"
    try:
        return _read(path, title, spec.labels)
    except OSError as error:  # such as a name that is too long, or no right to read
        raise DataError(f"{title} cannot be read ({error.strerror or error})") from error


def _read(path: Path, title: str, labels: str | None) -> FoundData:
    if path.is_dir():
        data = read_folder(path, title, labels)
        if len(data.classes) < 2:
            found = join_names(data.classes) or "none"
            problem = f"classes found: {found}; at least two are needed to tell apart"
            raise DataError(f"{title}: {problem}; {UNDERSTOOD}")
        return data
    if not path.exists():
        hint = did_you_mean_path(path, (".npz",))
        raise DataError(f"{title} does not exist (looked for {path.absolute()}).{hint}")
    if path.suffix.lower() != ".npz":
        raise DataError(f"{title} is neither a folder nor an .npz file")
    data = read_npz(path, title)
    return data if labels is None else relabel_npz(data, path, labels)
