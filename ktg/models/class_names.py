"""Reads the names of classes in the order of a head's outputs."""

from pathlib import Path

from ktg.errors import DataError


def read_class_names(file: Path) -> tuple[str, ...]:
    """Return the names in a text file, one a line; blank lines at its end do not count.

    Raises DataError where the file cannot be read or a line before the last name is empty.
    """
    if file.exists() and not file.is_file():  # a pipe or a device may never end
        raise DataError(f"{file}: is no regular file; give a text file with the names of classes")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(f"{file}: cannot be read as names of classes ({reason})") from None
    names = tuple(line.strip() for line in text.rstrip().splitlines()) or ("",)
    if "" in names:
        number = names.index("") + 1
        raise DataError(f"{file}: line {number} is empty; write the name of a class on each line")
    return names
