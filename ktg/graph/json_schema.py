"""Builds JSON Schemas of graphs and search spaces, with which editors complete and check YAML.

`python -m ktg.graph.json_schema > search_spaces/ktg.schema.json` writes the one for the files in
that folder. Everything in it comes from the dataclasses of `ktg.graph`: types, bounds, defaults and
one sentence per field. Rules about two places at once, such as an edge to a node that does not
exist, are known to `parse` alone.
"""

import dataclasses
import json
import sys
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from ktg.graph.data_spec import Data
from ktg.graph.fields import default_of, is_required, type_hints
from ktg.graph.holes import DEFAULT_SCORE, KEEP, MEASURABLE
from ktg.graph.parse import FORMAT_VERSION, VERSIONS
from ktg.graph.space import Search
from ktg.graph.spec import Edge, Node, SourceFile, Train
from ktg.graph.vocabulary import LABEL_LOSSES, TargetName

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
_LOSSES: dict[str, Schema] = {
    "LabelEdge": {"enum": [*LABEL_LOSSES]},
    "NodeEdge": {"not": {"enum": [*LABEL_LOSSES]}},
}
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
    """Return the JSON Schema (draft 2020-12) of a graph, or of a space, which may have holes."""
    space = kind == "space"
    sections: Schema = {
        "version": {
            "description": "Of the format; 1 and 2 mean what older versions of ktg made of a file.",
            "enum": list(VERSIONS),
            "default": FORMAT_VERSION,
        },
        "data": _entry("Data", space),
        "train": _entry("Train", space),
        "target": {
            "description": "What is scored and exported: the first node, or the mean of all nodes' "
            "probabilities.",
            "enum": list(get_args(TargetName)),
            "default": "first",
        },
        "sources": {
            "type": "object",
            "patternProperties": {f"^{_NAME}$": _entry("SourceFile", space)},
        },
        "weights": {
            "type": "object",
            "description": "Files that stand for `source: imagenet`, by model: a path, or a "
            "mapping as in `sources`.",
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
    """Return the records by name: for a space with holes, and as an option of a hole without."""
    definitions = {name: _record(name, kind, holes=False) for name, kind in _RECORDS.items()}
    if space:
        for name, kind in _RECORDS.items():
            definitions[f"{name}WithHoles"] = _record(name, kind, holes=True)
        definitions["Search"] = _record("Search", Search, holes=False)
    return definitions


def _entry(name: str, space: bool) -> Schema:
    """Return the schema of a whole section, node or edge; an edge may be left empty."""
    plain: Schema = {"$ref": f"#/$defs/{name}"}
    if not space:
        return plain
    return {"anyOf": [{"$ref": f"#/$defs/{name}WithHoles"}, _choice(plain)]}


def _record(name: str, kind: type, holes: bool) -> Schema:
    hints, fields = type_hints(kind), dataclasses.fields(kind)
    properties = {field.name: _field(field, hints[field.name], holes) for field in fields}
    required = [field.name for field in fields if is_required(field)]
    if name in _LOSSES:
        properties["loss"] = {"allOf": [properties["loss"], _loss(name, holes)]}
        required = []  # `parse` sets the loss where it is left out
    if name == "Node" and holes:
        properties["source"]["anyOf"].append(_affinity())
    schema = _object((kind.__doc__ or "").partition("\n")[0], properties, required)
    if name in _LOSSES:
        schema["type"] = ["object", "null"]  # `label -> n0:` alone is an edge with its defaults
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
        open_keys = value.get("additionalProperties")  # False where the keys are known
        own = {**value, "additionalProperties": entries} if open_keys else value
        plain = value.get("anyOf", [value])[0]
        value = {"anyOf": [own, _choice(value), *_ranges(plain.get("type", ""))]}
    schema: Schema = {"description": field.metadata["doc"], **value}
    if not is_required(field):
        default = default_of(field)
        schema["default"] = list(default) if isinstance(default, tuple) else default
    return schema


def _value(hint: Any, bounds: Mapping[str, float]) -> Schema:
    origin = get_origin(hint)
    if origin is Literal:
        return {"type": "string", "enum": list(get_args(hint))}
    if origin in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        # JSON's numbers include the whole ones, so `int | float` is a number.
        inner = _value(float if float in kinds else kinds[0], bounds)
        literals = [kind for kind in kinds[1:] if get_origin(kind) is Literal]
        if words := [word for kind in literals for word in get_args(kind)]:
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
    limits = {_BOUNDS[name]: bound for name, bound in bounds.items()}
    return {"type": _PRIMITIVES[hint], **({"minLength": 1} if hint is str else {}), **limits}


def _choice(option: Schema) -> Schema:
    options = {"type": "array", "minItems": 1, "uniqueItems": True, "items": option}
    return _object("A hole: one of these options.", {"choice": options}, ["choice"])


def _affinity() -> Schema:
    name = {"type": "string", "minLength": 1}
    among = {"type": "array", "minItems": 1, "uniqueItems": True, "items": name}
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
            "enum": list(MEASURABLE),
            "default": DEFAULT_SCORE,
        },
        "prior": {
            "description": "Keep all, and draw the better ones more often, instead of `keep`.",
            "type": "boolean",
            "default": False,
        },
    }
    hole = _object("", properties, ["among"])
    del hole["description"]
    text = "A hole: one of the sources that suit the data best, measured before the search."
    return _object(text, {"affinity": hole}, ["affinity"])


def _ranges(kind: str | list[str]) -> list[Schema]:
    """Return the holes between two numbers that a value of this JSON type may be."""
    words = {"integer": ("int",), "number": ("log", "uniform", "int")}
    return [_range(word) for word in words.get(kind if isinstance(kind, str) else kind[0], ())]


def _range(word: str) -> Schema:
    number: Schema = {"type": "integer" if word == "int" else "number"}
    if word == "log":
        number["exclusiveMinimum"] = 0
    ends = {"type": "array", "minItems": 2, "maxItems": 2, "items": number}
    return _object("A hole: a number from lo to hi.", {word: ends}, [word])


def _object(description: str, properties: Schema, required: list[str]) -> Schema:
    """Return the schema of a mapping with these keys and no others."""
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def main() -> None:
    """Print the schema named on the command line, `space` by default."""
    kind: Literal["graph", "space"] = "graph" if sys.argv[1:] == ["graph"] else "space"
    sys.stdout.write(json.dumps(json_schema(kind), indent=1) + "\n")


if __name__ == "__main__":
    main()
