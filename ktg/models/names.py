"""What a node may name as its model and its source, checked without importing torch, timm or torchvision.

The names of timm's and torchvision's models are read from the text of the installed packages: a
function under `@register_model` is a model. That takes a tenth of a second, where importing the two
packages takes many.
"""

import fnmatch
import functools
import importlib.util
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, get_args

from ktg.errors import MissingSourceError, SpecError, did_you_mean, show
from ktg.graph import IMAGENET, SourceFile
from ktg.zoo import Card, default_zoo
from ktg.zoo.card import check_name
from ktg.zoo.folder import MissingEntryError

Library = Literal["ktg", "timm", "torchvision"]
CIFAR_RESNETS = ("resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110")
CIFAR_WIDE_RESNETS = (
    "wide_resnet16_1",
    "wide_resnet16_2",
    "wide_resnet28_2",
    "wide_resnet28_10",
    "wide_resnet40_1",
    "wide_resnet40_2",
)
BUILTIN_SOURCES = ("none", IMAGENET, "fractaldb")
ZOO = "zoo/"
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")

# Decorators and their arguments may stand between `@register_model` and the function it registers.
_REGISTERED = re.compile(r"^@register_model\b.*\n(?:(?!def ).*\n)*?def (\w+)\(", re.MULTILINE)


@functools.cache
def library_models(library: Library) -> frozenset[str]:
    """Return the names of the classification models that `library` offers (ktg: the CIFAR networks)."""
    if library == "ktg":
        return frozenset(CIFAR_RESNETS + CIFAR_WIDE_RESNETS)
    package = importlib.util.find_spec(library)
    folders = package.submodule_search_locations if package else None
    names: set[str] = set()
    for folder in folders or ():
        # Only the top folder: torchvision keeps detection, segmentation, video and quantized models
        # in others.
        for module in Path(folder, "models").glob("*.py"):
            names.update(_REGISTERED.findall(module.read_text(encoding="utf-8")))
    return frozenset(names)


@functools.cache
def known_models() -> Mapping[str, Library]:
    """Return every bare model name with the library that builds it: ktg comes before timm, timm before torchvision."""
    libraries: tuple[Library, ...] = get_args(Library)
    return {
        name: library for library in reversed(libraries) for name in sorted(library_models(library))
    }


def locate(model: str) -> tuple[Library, str] | None:
    """Return (library, name in that library) of `resnet50`, `timm/resnet50` or `torchvision/resnet50`, else None."""
    prefix, slash, name = model.rpartition("/")
    if not slash:
        return (known_models()[name], name) if name in known_models() else None
    library: Library
    for library in ("timm", "torchvision"):
        if prefix == library and name in library_models(library):
            return library, name
    return None


def shortest(model: str) -> str:
    """Return the shortest name of a model: without its library where the bare name means the same one."""
    bare = model.rpartition("/")[2]
    return bare if locate(bare) == locate(model) else model


def check_model(name: str, path: str) -> None:
    """Raise SpecError at the dotted place `path` unless `name` is a model that can be built."""
    if locate(name) is not None:
        return
    known: Collection[str] = known_models()
    if "/" in name:
        known = [
            f"{prefix}/{model}"
            for prefix in ("timm", "torchvision")
            for model in library_models(prefix)
        ]
    networks = ", ".join(CIFAR_RESNETS + CIFAR_WIDE_RESNETS)
    allowed = (
        f"a classification model of timm or torchvision (by its name, without a tag), {networks}"
    )
    raise SpecError(
        path, f"{show(name)} is not a model; allowed: {allowed}.{did_you_mean(name, known)}"
    )


def check_source(
    source: str,
    sources: Mapping[str, SourceFile],
    path: str,
    base: Path | None = None,
    model: str | None = None,
) -> None:
    """Raise SpecError at the dotted place `path` unless `source` names weights that can be looked for.

    `none`, `imagenet`, an entry of the zoo (`zoo/NAME` or `fractaldb`), a name of `sources`, or the
    path of an existing weights file, relative to the folder `base` (default: the working folder).
    With `model`, raises its subclass MissingSourceError when nobody publishes ImageNet weights for
    its library, and when the zoo has no such entry for this model.
    """
    file = locate_file(source, sources, path, base, model)
    located = locate(model) if model else None
    if source == IMAGENET and file is None and located and located[0] == "ktg":
        problem = (
            f"no ImageNet weights are published for {model!r}; allowed: none, or a file of weights"
        )
        raise MissingSourceError(path, problem)


def check_stand_ins(
    weights: Mapping[str, SourceFile], wanted: Collection[str], place: str = "weights."
) -> None:
    """Raise SpecError unless the files that stand for `imagenet` are there, for models that are `wanted` from it.

    A file for any other model would not be read, and what it was meant for be downloaded instead.
    Errors are at `place` and the model.
    """
    for model, file in weights.items():
        at = f"{place}{model}"
        check_model(model, at)
        _existing(file.path, at, None)
        if model not in wanted:
            allowed = ", ".join(sorted(wanted)) or "none, because no node starts from imagenet"
            hint = did_you_mean(model, wanted)
            raise SpecError(
                at, f"no node starts {model!r} from imagenet; models that do: {allowed}.{hint}"
            )


def locate_file(
    source: str,
    sources: Mapping[str, SourceFile],
    path: str,
    base: Path | None = None,
    model: str | None = None,
) -> Path | None:
    """Return the weights file that `source` stands for, or None for `none` and `imagenet`; raise as `check_source`.

    None also for an entry of the zoo when no `model` is given, because an entry is a file for each
    model.
    """
    if (
        source in sources
    ):  # first, so that a file named `imagenet` stands in where nothing can be downloaded
        return _existing(sources[source].path, f"sources.{source}.path", base)
    if entry_name(source, sources, path):
        card = zoo_card(source, sources, path, model) if model else None
        return default_zoo().weights_file(card.key) if card else None
    if source in BUILTIN_SOURCES:
        return None
    if "/" in source or source.endswith(WEIGHT_SUFFIXES):
        return _existing(source, path, base)
    allowed = [*BUILTIN_SOURCES, *sources]
    listed = f"{', '.join(allowed)}, {ZOO}NAME, or the path of a {'/'.join(WEIGHT_SUFFIXES)} file"
    raise SpecError(
        path, f"{show(source)} is not a source; allowed: {listed}.{did_you_mean(source, allowed)}"
    )


def entry_name(source: str, sources: Mapping[str, SourceFile], path: str = "source") -> str | None:
    """Return the name of the zoo's entry that `source` stands for, None if it stands for something else.

    `fractaldb` is short for `zoo/fractaldb`. The suffix of a weights file makes `zoo/x.pth` a path.
    """
    if source in sources or source.endswith(WEIGHT_SUFFIXES):
        return None
    if source == "fractaldb":
        return source
    return check_name(source.removeprefix(ZOO), path) if source.startswith(ZOO) else None


def zoo_sources(pattern: str, model: str) -> list[str]:
    """Return `zoo/NAME` of the zoo's entries for `model` that match a pattern such as `zoo/*`, in the zoo's order."""
    stem = shortest(model).replace("/", ".")
    keys = [key.split("/", 1) for key in default_zoo().listing()]
    names = [f"{ZOO}{name}" for name, of in keys if of == stem]
    return [name for name in names if fnmatch.fnmatchcase(name, pattern)]


def zoo_card(source: str, sources: Mapping[str, SourceFile], path: str, model: str) -> Card | None:
    """Return the card of the zoo's entry for `model` that `source` stands for, None if it stands for something else.

    Raises SpecError, at the dotted place `path`, where the zoo does not have it.
    """
    name = entry_name(source, sources, path)
    if name is None:
        return None
    try:
        return default_zoo().get(name, shortest(model))
    except MissingEntryError as error:
        bringing = "`ktg zoo build`, `add` or `pull`"
        if name == "fractaldb":
            bringing = (
                f"`ktg source pretrain fractaldb --model {model}`, or bring one with {bringing}"
            )
        problem = f"{error} Make it with {bringing}; `ktg zoo list` shows what there is"
        raise MissingSourceError(path, problem) from None


def _existing(name: str, path: str, base: Path | None) -> Path:
    file = (base or Path()) / Path(name).expanduser()
    if file.is_dir():
        raise SpecError(path, f"{name} is a folder; give the weights file in it")
    if not file.is_file():
        where = "" if Path(name).is_absolute() else f" in {(base or Path()).absolute()}"
        raise SpecError(path, f"there is no file {name}{where}")
    if file.suffix not in WEIGHT_SUFFIXES:
        raise SpecError(
            path, f"{name} is not a weights file; allowed: {', '.join(WEIGHT_SUFFIXES)}"
        )
    return file
