"""Reads a dataclass from plain data, and writes it back.

Types and bounds come from the dataclass's own fields (see `rule`), so a new field
needs no code here, and every mistake is reported at its dotted path.
"""

import dataclasses
import functools
import math
import types
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ktg.errors import SpecError, did_you_mean, not_one_of, show
from ktg.graph.vocabulary import Scalar

T = TypeVar("T")
_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_OPERATORS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "above": ("greater than", lambda value, bound: value > bound),
    "at_least": ("at least", lambda value, bound: value >= bound),
    "below": ("less than", lambda value, bound: value < bound),
    "at_most": ("at most", lambda value, bound: value <= bound),
}


def rule(doc: str, default: Any = ..., **bounds: float) -> Any:
    """Return a dataclass field with its documentation and its bounds.

    A bound is one of `above`, `at_least`, `below` and `at_most`. Without a default the field is
    required.
    """
    metadata = {"doc": doc, "bounds": bounds}
    if default is ...:
        return dataclasses.field(metadata=metadata)
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@functools.cache
def type_hints(kind: Hashable) -> dict[str, Any]:
    """Return the resolved annotations of a dataclass."""
    return get_type_hints(kind)


def from_plain(kind: type[T], raw: object, path: str) -> T:
    """Return `raw` (a mapping) as the dataclass `kind`, or raise a SpecError that names the place.

    >>> from ktg.graph.spec import Train
    >>> from_plain(Train, {"lr": 1}, "train").lr
    1.0
    """
    raw = check_mapping(raw, path)
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    check_keys(raw, fields, path)
    hints = type_hints(kind)  # type: ignore[arg-type]
    values = {}
    for name, spec in fields.items():
        place = join_path(path, name)
        if name in raw:
            values[name] = _read_value(
                hints[name], raw[name], place, spec.metadata.get("bounds", {})
            )
        elif is_required(spec):
            doc = spec.metadata["doc"]
            raise SpecError(place, f"is missing; {doc[0].lower()}{doc[1:]}")
    return kind(**values)


def to_plain(record: object, *, full: bool = False) -> dict[str, Any]:
    """Return a dataclass as plain data; unless `full`, without fields that have their default."""
    plain = {}
    for spec in dataclasses.fields(record):  # type: ignore[arg-type]
        value = getattr(record, spec.name)
        if full or is_required(spec) or value != default_of(spec):
            plain[spec.name] = _value_to_plain(value)
    return plain


def is_required(spec: dataclasses.Field[Any]) -> bool:
    """Return whether a field has no default."""
    return spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING


def default_of(spec: dataclasses.Field[Any]) -> Any:
    """Return the default of a field that has one."""
    return spec.default if spec.default_factory is dataclasses.MISSING else spec.default_factory()


def read_scalars(raw: object, path: str) -> dict[str, Scalar]:
    """Return a mapping of single values unchanged, or raise SpecError."""
    return {
        key: _read_union(get_args(Scalar), value, join_path(path, key), {})
        for key, value in check_mapping(raw, path).items()
    }


def join_path(path: str, key: str) -> str:
    """Return the dotted path of `key` inside `path`."""
    return f"{path}.{key}" if path else key


def check_mapping(raw: object, path: str) -> Mapping[str, Any]:
    """Return `raw` if it maps strings to values, else raise SpecError."""
    if not isinstance(raw, Mapping):
        raise SpecError(path, f"expected a mapping (key: value), got {show(raw)}")
    for key in raw:
        if not isinstance(key, str):
            raise SpecError(path, f"the key {show(key)} is not a string; put it in quotes")
    return raw


def check_keys(raw: Mapping[str, Any], allowed: Mapping[str, Any], path: str) -> None:
    """Raise SpecError for the first key of `raw` that is not among `allowed`."""
    for key in raw:
        if key not in allowed:
            problem = (
                f"unknown key; allowed here: {', '.join(allowed)}.{did_you_mean(key, allowed)}"
            )
            raise SpecError(join_path(path, key), problem)


def _read_value(hint: Any, raw: object, path: str, bounds: Mapping[str, float]) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _read_union(get_args(hint), raw, path, bounds)
    if origin is Literal:
        if not isinstance(raw, str) or raw not in get_args(hint):
            raise not_one_of(path, raw, f"a value of `{path.rsplit('.', 1)[-1]}`", get_args(hint))
        return raw
    if origin is tuple:
        items = raw if isinstance(raw, list | tuple) else [raw]
        kind = get_args(hint)[0]
        return tuple(_read_value(kind, v, f"{path}[{i}]", bounds) for i, v in enumerate(items))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_plain(hint, raw, path)
    if origin is not None and issubclass(origin, Mapping):
        kind, raw = get_args(hint)[1], check_mapping(raw, path)
        return {key: _read_value(kind, v, join_path(path, key), bounds) for key, v in raw.items()}
    return _read_scalar(hint, raw, path, bounds)


def _read_union(hints: tuple[Any, ...], raw: object, path: str, bounds: Mapping[str, float]) -> Any:
    """Read an optional value, a number that may or may not be whole, or a scalar of any kind."""
    if raw is None and type(None) in hints:
        return None
    kinds = [hint for hint in hints if hint is not type(None)]
    if len(kinds) == 1:
        return _read_value(kinds[0], raw, path, bounds)
    words = [kind for kind in kinds if get_origin(kind) is Literal]
    if len(words) == 1:  # a number, or a word in its place
        allowed = get_args(words[0])
        if raw in allowed:
            return raw
        if isinstance(raw, str):
            field = path.rsplit(".", 1)[-1]
            raise not_one_of(path, raw, f"a value of `{field}`", ("a number", *allowed))
        return _read_union(tuple(kind for kind in kinds if kind not in words), raw, path, bounds)
    if set(kinds) == {int, float}:
        return _read_scalar(int if type(raw) is int else float, raw, path, bounds)
    if isinstance(raw, str | int | float):
        return _check_finite(raw, path)
    raise SpecError(path, f"expected a single value, got {show(raw)}")


def _read_scalar(kind: type, raw: object, path: str, bounds: Mapping[str, float]) -> Any:
    # In Python `True` is an int, but `lr: true` is a mistake, so a boolean is not a number.
    if kind is float and isinstance(raw, int) and not isinstance(raw, bool):
        raw = float(raw) if abs(raw) < 2**1023 else math.inf
    if not isinstance(raw, kind) or (isinstance(raw, bool) and kind is not bool):
        several = "; to search over several values, write {choice: [...]}"
        hint = several if isinstance(raw, list) else ""
        raise SpecError(path, f"expected {_KINDS[kind]}, got {show(raw)}{hint}")
    _check_finite(raw, path)
    for name, bound in bounds.items():
        words, holds = _OPERATORS[name]
        if not holds(raw, bound):  # type: ignore[arg-type]
            raise SpecError(path, f"must be {words} {bound:g}, got {show(raw)}")
    if raw == "":
        raise SpecError(path, "must not be empty")
    if isinstance(raw, str) and "\0" in raw:
        raise SpecError(path, f"must not hold a NUL character, got {show(raw)}")
    return raw


def _check_finite(raw: Any, path: str) -> Any:
    if isinstance(raw, float) and not math.isfinite(raw):
        raise SpecError(path, f"expected a finite number, got {raw}")
    return raw


def _value_to_plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_value_to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    return to_plain(value) if dataclasses.is_dataclass(value) else value
