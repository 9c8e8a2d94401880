"""From the user's description to the data set it names: known by name, a folder, or an .npz."""

from pathlib import Path

from ktg.data.class_subset import only
from ktg.data.folder import read_folder
from ktg.data.npz import read_npz
from ktg.data.set_names import check_name
from ktg.data.source import Source, check_classes
from ktg.data.torchvision_sets import read_known
from ktg.errors import DataError, SpecError, did_you_mean_path
from ktg.graph import FORMULAS, Data


def find(spec: Data, base: Path | None) -> Source:
    """Return the data set that `spec` describes, without the classes it leaves out, its structure checked.

    Raises SpecError for an unknown name, DataError for a path that does not exist or is laid out
    otherwise.
    """
    if spec.name is not None:
        check_name(spec.name)
        if spec.name in FORMULAS:
            raise SpecError(
                "data.name", f"{spec.name} is drawn and not found; ktg.data.open opens it"
            )
        source = read_known(spec.name)
    else:
        source = _at_path(spec, base)
    if spec.only is not None:
        source = only(source, spec.only)
    check_classes(source)
    return source


def _at_path(spec: Data, base: Path | None) -> Source:
    if spec.path is None:
        raise SpecError("data", "give either `name` (a known data set) or `path` (your own images)")
    path = (base or Path.cwd()) / Path(spec.path).expanduser()
    title = f"data.path: {spec.path}"
    if path.is_dir():
        return read_folder(path, title)
    if not path.exists():
        raise DataError(
            f"{title} does not exist (looked for {path.absolute()}).{did_you_mean_path(path, ('.npz',))}"
        )
    if path.suffix.lower() != ".npz":
        raise DataError(f"{title} is neither a folder nor an .npz file")
    return read_npz(path, title)
