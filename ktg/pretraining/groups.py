"""Splits classes into groups; a source model of the zoo is trained on each.

Ueno and Kondo split a large data set simply, by the order of its classes, or into super-classes
with a common ancestor.
"""

import csv
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from ktg.errors import SpecError, UserError, did_you_mean, show
from ktg.graph.yaml_files import load
from ktg.zoo.card import check_name

Groups = Mapping[str, tuple[str, ...]]


def split_evenly(classes: Sequence[str], count: int, stem: str) -> Groups:
    """Return the classes in `count` blocks named `stem`-01, -02, ... of nearly equal size.

    Raises UserError where a block would have fewer than two classes.
    """
    most = len(classes) // 2
    if not 1 <= count <= most:
        problem = f"{count} blocks of {len(classes)} classes, but every block needs two"
        raise UserError(f"--split: {problem}; allowed: 1 to {most}")
    size, rest = divmod(len(classes), count)
    ends = [number * size + min(number, rest) for number in range(count + 1)]
    digits = max(2, len(str(count)))
    return {
        f"{stem}-{number:0{digits}d}": tuple(classes[start:end])
        for number, (start, end) in enumerate(itertools.pairwise(ends), 1)
    }


def read_groups(path: Path) -> Groups:
    """Return the groups in YAML (`bear: [n02132136]`) or CSV with the columns group and class.

    Raises SpecError or UserError, with the file, for anything else.
    """
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    groups = {}
    for name, members in load(path).items():
        if not isinstance(members, list) or not all(
            isinstance(member, str | int) for member in members
        ):
            raise SpecError(
                str(name), f"expected a list of classes, got {show(members)}", str(path)
            )
        groups[str(name)] = tuple(str(member) for member in members)
    return groups


def read_hierarchy(path: Path, ancestors: Mapping[str, str], classes: Sequence[str]) -> Groups:
    """Return for each name the classes that are its ancestor or descend from it.

    path: lines `child parent` of ids, such as those of WordNet, which name ImageNet's folders of
    classes. A child may have several parents.
    ancestors: id by name of the group: {"dog": "n02084071"}. Raises UserError for one that is not
    there or above none.
    """
    parents, known = _read_links(path, classes)
    groups = {}
    for name, ancestor in ancestors.items():
        if ancestor not in known:
            raise UserError(
                f"{path}: there is no {show(ancestor)}, the ancestor of {name!r}."
                f"{did_you_mean(ancestor, known)}"
            )
        groups[name] = tuple(one for one in classes if ancestor in _find_ancestry(one, parents))
        if not groups[name]:
            raise UserError(
                f"{path}: no class of the data descends from {ancestor}, the ancestor of {name!r}"
            )
    return groups


def check_groups(groups: Groups, classes: Sequence[str], where: str) -> None:
    """Raise UserError unless each group has two or more known classes, in no other group."""
    if not groups:
        raise UserError(f"{where}: holds no groups")
    known, owner = set(classes), dict[str, str]()
    for name, members in groups.items():
        check_name(name, f"{where}: {name}")
        if len(members) < 2:
            found = ", ".join(members) or "none"
            raise UserError(
                f"{where}: {name}: a group needs at least two classes to tell apart, got {found}"
            )
        for member in members:
            if member not in known:
                raise UserError(
                    f"{where}: {name}: the data have no class {show(member)}."
                    f"{did_you_mean(member, known)}"
                )
            if member in owner:
                again = "twice" if owner[member] == name else f"in {owner[member]} and in {name}"
                raise UserError(
                    f"{where}: the class {show(member)} is {again}; groups must not overlap"
                )
            owner[member] = name


def _read_csv(path: Path) -> Groups:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if rows.fieldnames is None or not {"group", "class"} <= set(rows.fieldnames):
                found = ", ".join(rows.fieldnames or ()) or "none"
                raise UserError(
                    f"{path}: needs the columns group and class in its first line, found: {found}"
                )
            groups: dict[str, tuple[str, ...]] = {}
            for row in rows:
                group, member = row["group"], row["class"]
                if not group or not member:
                    raise UserError(
                        f"{path}:{rows.line_num}: a group and a class are needed on every line"
                    )
                groups[group] = (*groups.get(group, ()), member)
            return groups
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is not a CSV file in UTF-8 ({error})") from error


def _read_links(path: Path, classes: Sequence[str]) -> tuple[Mapping[str, set[str]], set[str]]:
    """Return the parents of each child, and all ids of the file."""
    try:
        lines = [
            line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
        ]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not text in UTF-8; give lines `child parent`") from error
    for number, line in enumerate(lines, 1):
        if len(line) != 2:
            raise UserError(f"{path}: line {number} has {len(line)} words; expected `child parent`")
    parents: dict[str, set[str]] = {}
    for child, parent in lines:
        parents.setdefault(child, set()).add(parent)
    known = {word for line in lines for word in line}
    if not any(one in parents for one in classes):
        turned = (
            ": its lines seem to be `parent child`; turn them"
            if any(one in known for one in classes)
            else ""
        )
        raise UserError(f"{path}: no class of the data is a child in it{turned}")
    return parents, known


def _find_ancestry(start: str, parents: Mapping[str, set[str]]) -> set[str]:
    """Return the id and everything above it."""
    found, waiting = {start}, [start]
    while waiting:
        above = parents.get(waiting.pop(), set()) - found
        found |= above
        waiting += above
    return found
