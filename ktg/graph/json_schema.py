"""JSON Schemas of graphs and search spaces, for editors that complete and check YAML while it is typed.

`python -m ktg.graph.json_schema > search_spaces/ktg.schema.json` writes the one for the files in
that folder. Everything in it comes from the dataclasses of `ktg.graph`: types, bounds, defaults and
one sentence per field. What needs a look at two places at once, such as an edge to a node that does
not exist, only `parse` knows.
"""

import dataclasses
import json
import sys
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from ktg.graph.fields import type_hints
from ktg.graph.holes import KEEP
from ktg.graph.parse import FORMAT_VERSION
from ktg.graph.space import Search
from ktg.graph.spec import (
    DEFAULT_SCORE,
    NEED_MORE,
    Data,
    Edge,
    Node,
    ScoreName,
    SourceFile,
    TargetName,
    Train,
)

Schema = dict[str, Any]

_NAME = "[A-Za-z_][A-Za-z0-9_-]*"
_TO_NODE = rf"\s*->\s*(?!label\s*$){_NAME}\s*$"
_LABEL_EDGE = rf"^\s*label{_TO_NODE}"
_NODE_EDGE = rf"^\s*(?!label\s*->){_NAME}{_TO_NODE}"
_PRIMITIVES = {str: "string", int: "integer", float: "number", bool: "boolean"}
_BOUNDS = {
    "above": "exclusiveMinimum",
    "at_least": "minimum",
    "below": "exclusiveMaximum",
    "at_most": "maximum",
}
_LOSSES: dict[str, Schema] = {"LabelEdge": {"enum": ["ce"]}, "NodeEdge": {"not": {"enum": ["ce"]}}}
_SCALARS: Schema = {"type": ["string", "number", "boolean"]}
_RECORDS: dict[str, type] = {
    "Data": Data,
    "Train": Train,
    "SourceFile": SourceFile,
    "Node": Node,
    "LabelEdge": Edge,
    "NodeEdge": Edge,
}


def json_schema(kind: Literal["graph", "space"]) -> Schema:
    """Return the JSON Schema (draft 2020-12) of a graph, or of a space, where any value may also be a hole."""
    space = kind == "space"
    sections: Schema = {
        "version": {"const": FORMAT_VERSION},
        "data": _entry("Data", space),
        "train": _entry("Train", space),
        "target": {
            "description": "What is scored and exported: the first node, or the mean of all nodes' probabilities.",
            "enum": list(get_args(TargetName)),
            "default": "first",
        },
        "sources": {
            "type": "object",
            "patternProperties": {f"^{_NAME}$": _entry("SourceFile", space)},
        },
        "weights": {
            "type": "object",
            "description": "Files that stand for `source: imagenet`, by model: a path, or a mapping as in `sources`.",
            "additionalProperties": {
                "anyOf": [{"type": "string", "minLength": 1}, {"$ref": "#/$defs/SourceFile"}]
            },
        },
        "nodes": {
            "type": "object",
            "minProperties": 1,
            "patternProperties": {f"^{_NAME}$": _entry("Node", space)},
        },
        "edges": {
            "type": "object",
            "patternProperties": {
                _LABEL_EDGE: _entry("LabelEdge", space),
                _NODE_EDGE: _entry("NodeEdge", space),
            },
        },
        "provenance": {"type": "object", "additionalProperties": _SCALARS},
    }
    for section in ("sources", "nodes", "edges"):
        sections[section]["additionalProperties"] = False
    sections["nodes"]["propertyNames"] = {"not": {"enum": ["label", "any"]}}
    sections["sources"]["propertyNames"] = {"not": {"enum": ["none"]}}
    if space:
        sections["name"] = {"type": "string", "minLength": 1, "description": "Name of the search."}
        sections["search"] = {"$ref": "#/$defs/Search"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"ktg {kind}",
        "type": "object",
        "properties": sections,
        "required": ["data", "nodes", "edges"],
        "additionalProperties": False,
        "$defs": _definitions(space),
    }


def _definitions(space: bool) -> Schema:
    """Return the records by name; a space has each twice, with holes and (as an option of a hole) without."""
    definitions = {name: _record(name, kind, holes=False) for name, kind in _RECORDS.items()}
    if space:
        definitions |= {
            f"{name}WithHoles": _record(name, kind, holes=True) for name, kind in _RECORDS.items()
        }
        definitions["Search"] = _record("Search", Search, holes=False)
    return definitions


def _entry(name: str, space: bool) -> Schema:
    """Return the schema of a whole section, node or edge; an edge may be left empty."""
    plain: Schema = {"$ref": f"#/$defs/{name}"}
    if not space:
        return plain
    return {"anyOf": [{"$ref": f"#/$defs/{name}WithHoles"}, _choice(plain)]}


def _record(name: str, kind: type, holes: bool) -> Schema:
    hints = type_hints(kind)
    properties = {
        field.name: _field(field, hints[field.name], holes) for field in dataclasses.fields(kind)
    }
    if name in _LOSSES:
        properties["loss"] = {"allOf": [properties["loss"], _loss(name, holes)]}
    if name == "Node" and holes:
        properties["source"]["anyOf"].append(_affinity())
    required = (
        []
        if name in _LOSSES
        else [field.name for field in dataclasses.fields(kind) if _has_no_default(field)]
    )
    schema: Schema = {
        "description": (kind.__doc__ or "").partition("\n")[0],
        "type": ["object", "null"] if name in _LOSSES else "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    if name == "Data":
        given = [
            {"required": [key], "properties": {key: {"not": {"type": "null"}}}}
            for key in ("name", "path")
        ]
        schema["anyOf" if holes else "oneOf"] = given
    return schema


def _loss(name: str, holes: bool) -> Schema:
    plain = _LOSSES[name]
    return {"anyOf": [{"allOf": [{"type": "string"}, plain]}, _choice(plain)]} if holes else plain


def _field(field: dataclasses.Field[Any], hint: Any, holes: bool) -> Schema:
    value = _value(hint, field.metadata["bounds"])
    if holes:
        entries = {"anyOf": [_SCALARS, _choice(_SCALARS), *_ranges("number")]}
        own = (
            {**value, "additionalProperties": entries}
            if value.get("additionalProperties")
            else value
        )
        plain = value.get("anyOf", [value])[0]
        value = {"anyOf": [own, _choice(value), *_ranges(plain.get("type", ""))]}
    schema: Schema = {"description": field.metadata["doc"], **value}
    if not _has_no_default(field):
        default = (
            field.default
            if field.default_factory is dataclasses.MISSING
            else field.default_factory()
        )
        schema["default"] = list(default) if isinstance(default, tuple) else default
    return schema


def _value(hint: Any, bounds: Mapping[str, float]) -> Schema:
    origin = get_origin(hint)
    if origin is Literal:
        return {"type": "string", "enum": list(get_args(hint))}
    if origin in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        inner = _value(
            float if float in kinds else kinds[0], bounds
        )  # JSON's numbers include the whole ones
        if words := [
            word for kind in kinds[1:] if get_origin(kind) is Literal for word in get_args(kind)
        ]:
            return {"anyOf": [inner, {"enum": words}]}
        if "anyOf" in inner:
            return {"anyOf": [*inner["anyOf"], {"type": "null"}]}
        enum = {"enum": [*inner["enum"], None]} if "enum" in inner else {}
        return {**inner, "type": [inner["type"], "null"], **enum}
    if origin is tuple:
        item = _value(get_args(hint)[0], bounds)
        return {"anyOf": [{"type": "array", "items": item}, item]}
    if dataclasses.is_dataclass(hint):
        return _record(hint.__name__, hint, holes=False)  # type: ignore[union-attr,arg-type]
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _SCALARS}
    text: Schema = {"minLength": 1} if hint is str else {}
    return {
        "type": _PRIMITIVES[hint],
        **text,
        **{_BOUNDS[name]: bound for name, bound in bounds.items()},
    }


def _choice(option: Schema) -> Schema:
    options = {"type": "array", "minItems": 1, "uniqueItems": True, "items": option}
    return {
        "description": "A hole: one of these options.",
        "type": "object",
        "properties": {"choice": options},
        "required": ["choice"],
        "additionalProperties": False,
    }


def _affinity() -> Schema:
    scores = [name for name in get_args(ScoreName) if name not in NEED_MORE]
    among = {
        "type": "array",
        "minItems": 1,
        "uniqueItems": True,
        "items": {"type": "string", "minLength": 1},
    }
    properties = {
        "among": {
            "description": "The sources to choose from; zoo/* stands for all of the zoo.",
            **among,
        },
        "keep": {
            "description": "How many are kept: the best.",
            "type": "integer",
            "minimum": 1,
            "default": KEEP,
        },
        "score": {
            "description": "The score that says which.",
            "enum": scores,
            "default": DEFAULT_SCORE,
        },
        "prior": {
            "description": "Keep all, and draw the better ones more often, instead of `keep`.",
            "type": "boolean",
            "default": False,
        },
    }
    return {
        "description": "A hole: one of the sources that suit the data best, measured before the search.",
        "type": "object",
        "properties": {
            "affinity": {
                "type": "object",
                "properties": properties,
                "required": ["among"],
                "additionalProperties": False,
            }
        },
        "required": ["affinity"],
        "additionalProperties": False,
    }


def _ranges(kind: str | list[str]) -> list[Schema]:
    """Return the holes between two numbers that a value of this JSON type may be."""
    words = {"integer": ("int",), "number": ("log", "uniform", "int")}
    return [_range(word) for word in words.get(kind if isinstance(kind, str) else kind[0], ())]


def _range(word: str) -> Schema:
    number: Schema = {"type": "integer" if word == "int" else "number"}
    if word == "log":
        number["exclusiveMinimum"] = 0
    return {
        "description": "A hole: a number from lo to hi.",
        "type": "object",
        "properties": {word: {"type": "array", "minItems": 2, "maxItems": 2, "items": number}},
        "required": [word],
        "additionalProperties": False,
    }


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def main() -> None:
    """Print the schema named on the command line, `space` by default."""
    kind: Literal["graph", "space"] = "graph" if sys.argv[1:] == ["graph"] else "space"
    sys.stdout.write(json.dumps(json_schema(kind), indent=1) + "\n")


if __name__ == "__main__":
    main()
