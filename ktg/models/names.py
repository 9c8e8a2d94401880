"""Finds models by name, without importing torch, timm or torchvision.

The names of timm's and torchvision's models are read from the text of the installed packages: a
function under `@register_model` is a model. That takes a tenth of a second, where importing the two
packages takes many.
"""

import functools
import importlib.util
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, get_args

from ktg.errors import SpecError, did_you_mean, show

# How timm itself writes a model of the Hugging Face hub.
HUB = "hf-hub:"
Library = Literal["ktg", "timm", "torchvision"]
CIFAR_RESNETS = ("resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110")
CIFAR_WIDE_RESNETS = (
    *("wide_resnet16_1", "wide_resnet16_2", "wide_resnet28_2"),
    *("wide_resnet28_10", "wide_resnet40_1", "wide_resnet40_2"),
)

# Decorators and their arguments may stand between `@register_model` and the function it registers.
_REGISTERED = re.compile(r"^@register_model\b.*\n(?:(?!def ).*\n)*?def (\w+)\(", re.MULTILINE)
# A key of a table of timm's that says where weights are: 'resnet18.a1_in1k': _cfg(...).
_TAGGED = re.compile(r"""["']([a-z]\w*)\.([\w-]+)["']\s*:""")


@functools.cache
def list_library_models(library: Library) -> frozenset[str]:
    """Return the names of a library's classification models; ktg's are the CIFAR networks."""
    if library == "ktg":
        return frozenset(CIFAR_RESNETS + CIFAR_WIDE_RESNETS)
    package = importlib.util.find_spec(library)
    folders = package.submodule_search_locations if package else None
    names: set[str] = set()
    for folder in folders or ():
        # Only the top folder: torchvision keeps detection, segmentation, video and quantized models
        # in folders of their own.
        for module in Path(folder, "models").glob("*.py"):
            names.update(_REGISTERED.findall(module.read_text(encoding="utf-8")))
    return frozenset(names)


@functools.cache
def list_tagged() -> Mapping[str, tuple[str, ...]]:
    """Return the tags of timm's published weights by architecture: resnet18 -> (a1_in1k, ...)."""
    package = importlib.util.find_spec("timm")
    found: dict[str, set[str]] = {}
    for folder in (package.submodule_search_locations or ()) if package else ():
        for module in Path(folder, "models").glob("*.py"):
            for name, tag in _TAGGED.findall(module.read_text(encoding="utf-8")):
                found.setdefault(name, set()).add(tag)
    return {name: tuple(sorted(tags)) for name, tags in found.items()}


def list_tags(architecture: str) -> tuple[str, ...]:
    """Return the tags of an architecture; none where it is not timm's."""
    if architecture not in list_library_models("timm"):
        return ()
    tagged = list_tagged()
    # timm makes the tables of these from those of the networks without it.
    return tagged.get(architecture) or tagged.get(architecture.replace("_quickgelu", ""), ())


@functools.cache
def list_models() -> Mapping[str, Library]:
    """Return every bare model name with the library that builds it.

    Where several have the name, ktg comes before timm and timm before torchvision.
    """
    libraries: tuple[Library, ...] = get_args(Library)
    # In reverse, because a later key of a dict replaces an earlier one.
    each = ((library, sorted(list_library_models(library))) for library in reversed(libraries))
    return {name: library for library, names in each for name in names}


def locate_model(model: str) -> tuple[Library, str] | None:
    """Return (library, name in that library) of a model, None for an unknown one.

    `resnet50` -> (timm, resnet50); `torchvision/resnet50` -> (torchvision, resnet50);
    `resnet50.a1_in1k`, with the tag of published weights, and `hf-hub:timm/resnet50.a1_in1k` ->
    (timm, resnet50.a1_in1k).
    """
    prefix, slash, name = model.removeprefix(HUB).rpartition("/")
    architecture, dot, tag = name.partition(".")
    if dot:
        own = prefix == "timm" or (not slash and list_models().get(architecture) == "timm")
        return ("timm", name) if own and tag in list_tags(architecture) else None
    if model.startswith(HUB):
        return None
    if not slash:
        return (list_models()[name], name) if name in list_models() else None
    library: Library
    for library in ("timm", "torchvision"):
        if prefix == library and name in list_library_models(library):
            return library, name
    return None


def shorten_model(model: str) -> str:
    """Return the shortest name that means the same model: `timm/resnet18` -> `resnet18`.

    `torchvision/resnet18` stays, because the bare name is timm's.
    """
    bare = model.rpartition("/")[2]
    return bare if locate_model(bare) == locate_model(model) else model


def shorten_architecture(model: str) -> str:
    """Return the shortest name of the network alone: `timm/resnet18.a1_in1k` -> `resnet18`."""
    located = locate_model(model)
    tagged = located is not None and located[0] == "timm" and "." in located[1]
    return shorten_model(f"timm/{located[1].partition('.')[0]}" if located and tagged else model)


def check_model(name: str, path: str) -> None:
    """Raise SpecError at the dotted place `path` unless `name` is a model that can be built."""
    if locate_model(name) is not None:
        return
    plain = name.removeprefix(HUB).removeprefix("timm/")
    architecture, dot, tag = plain.partition(".")
    tags = list_tags(architecture) if dot else ()
    if tags:
        problem = f"timm publishes no weights {show(tag)} of {architecture}"
        raise SpecError(path, f"{problem}; allowed: {', '.join(tags)}.{did_you_mean(tag, tags)}")
    if name.startswith(HUB):
        problem = f"{show(name)} does not say which network it is"
        allowed = f"name it, as in `model: resnet18, source: {show(name)[1:-1]}`"
        raise SpecError(path, f"{problem}; {allowed}; allowed here: {HUB}timm/NAME.TAG")
    known: Collection[str] = list_models()
    if "/" in name:
        libraries: tuple[Library, ...] = ("timm", "torchvision")
        known = [f"{each}/{model}" for each in libraries for model in list_library_models(each)]
    allowed = "a classification model of timm or torchvision by its name (timm's also with a tag)"
    networks = ", ".join(CIFAR_RESNETS + CIFAR_WIDE_RESNETS)
    hint = did_you_mean(name, known)
    raise SpecError(path, f"{show(name)} is not a model; allowed: {allowed}, {networks}.{hint}")
