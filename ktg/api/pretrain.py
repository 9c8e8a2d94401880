"""Pretrains one network, or one for each group of classes, and adds it to the zoo."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.api import inputs
from ktg.api.listener import QUIET, Listener, ignore
from ktg.api.zoo import open_zoo
from ktg.errors import UserError
from ktg.graph import FORMULAS, Data, Graph
from ktg.graph.yaml_files import is_yaml
from ktg.pretraining.presets import NAMES as PRESETS

if TYPE_CHECKING:
    from ktg.pretraining.groups import Groups
    from ktg.pretraining.presets import PresetName
    from ktg.pretraining.pretrain import Pretrained as Pretrained
    from ktg.pretraining.resumable import Keep, OnEpoch

    OnModel = Callable[[str], OnEpoch]

__all__ = ["PRESETS", "build_zoo", "dump_pretrained", "pretrain"]
_OF_FORMULAS = ("classes", "points", "scale")


@dataclass(frozen=True)
class ClassGroups:
    """How the classes of a data set are grouped: see `build_zoo`.

    Raises UserError unless one way is given.
    """

    split: int | None
    groups: Path | None
    wordnet: Path | None
    ancestors: tuple[str, ...]

    def __post_init__(self) -> None:
        if sum(way is not None for way in (self.split, self.groups, self.wordnet)) != 1:
            raise UserError("give one of --split, --groups and --wordnet")
        if bool(self.ancestors) != bool(self.wordnet):
            raise UserError("--wordnet and --ancestor NAME=ID belong together")

    def group(self, images: Data, listener: Listener) -> "Groups":
        """Return groups of the classes of a data set, which is downloaded for that if need be."""
        from ktg.data.open import open_data, summarize
        from ktg.pretraining.groups import check_groups, read_groups, read_hierarchy, split_evenly

        known = (summarize(images) or open_data(images, progress=listener.decoding)).classes
        if self.split is not None:
            stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", images.name or Path(images.path or "").stem)
            found, where = split_evenly(known, self.split, stem), "--split"
        elif self.groups is not None:
            found, where = read_groups(self.groups), str(self.groups)
        else:
            file = self.wordnet or Path()
            found = read_hierarchy(file, read_ancestors(self.ancestors), known)
            where = str(file)
        check_groups(found, known, where)
        return found


def ignore_model(name: str) -> "OnEpoch":
    """Return a function that ignores the epochs of a training."""
    return ignore


def pretrain(
    data: str,
    *,
    model: str | None = None,
    name: str | None = None,
    preset: "PresetName | None" = None,
    replace: bool = False,
    device: str | None = None,
    tracking_uri: str | None = inputs.STORE,
    zoo: Path | None = None,
    keep: "Keep" = "last",
    anew: bool = False,
    listener: Listener = QUIET,
    on_model: "OnModel" = ignore_model,
    **options: Any,
) -> "Pretrained":
    """Pretrain a network and add it to the zoo, as `ktg source pretrain` does; return its card.

    data: a formula, a data set known by name, a folder, an .npz, or the file of a graph of one
    node. name: of the entry; default: that of the data. zoo: its folder, by default the user's.
    replace: take the place of an entry that was made otherwise. keep: the weights of the last epoch
    or of the best. anew: start again where a training was interrupted, instead of going on.
    on_model: called with the entry's name and number; returns a function to call with each epoch.
    options: size, per_class, epochs, batch_size, lr, seed, source; of a formula classes, points and
    scale.
    """
    graph = build_graph(data, model, preset, **options)
    own = None if is_yaml(data) else graph.data.name
    name = name or own or Path(data).stem
    inputs.check_device(device)
    inputs.check_store(tracking_uri)

    from ktg.pretraining import pretrain as module

    module.check(graph, name)
    place = open_zoo(zoo)
    place.check()
    with inputs.open_tracker("pretraining", tracking_uri, listener) as tracker:
        settings: dict[str, Any] = {
            "zoo": place,
            "keep": keep,
            "replace": replace,
            "anew": anew,
            "device": device,
            "on_epoch": on_model(f"{name}/{graph.nodes[graph.target].model}"),
            "decoding": listener.decoding,
        }
        try:
            return module.pretrain(graph, name, tracker, wait=False, **settings)
        except module.BusyError:
            listener.say(f"{name}: another process is training this; waiting for it")
            return module.pretrain(graph, name, tracker, **settings)


def build_zoo(
    data: str,
    *,
    model: str,
    split: int | None = None,
    groups: Path | None = None,
    wordnet: Path | None = None,
    ancestors: Iterable[str] = (),
    prefix: str = "",
    replace: bool = False,
    device: str | None = None,
    tracking_uri: str | None = inputs.STORE,
    zoo: Path | None = None,
    listener: Listener = QUIET,
    on_model: "OnModel" = ignore_model,
    on_entry: "Callable[[Pretrained], None]" = ignore,
    **options: Any,
) -> "list[Pretrained]":
    """Train a source model on each group of classes of a data set, and add them to the zoo.

    The groups are `split` blocks of the classes in their order, or in the file `groups`, or those
    below the `ancestors` (NAME=ID) in the file of a hierarchy `wordnet`. on_entry: called with each
    entry when it is there. The other arguments are those of `pretrain`.
    """
    images = inputs.find_data(data)
    inputs.check_device(device)
    inputs.check_store(tracking_uri)
    ways = ClassGroups(split, groups, wordnet, tuple(ancestors))

    from ktg.pretraining.build import build, graphs_of
    from ktg.pretraining.recipe import build_recipe

    place = open_zoo(zoo)
    place.check()
    found = ways.group(images, listener)
    named = {f"{prefix}{name}": members for name, members in found.items()}
    graphs = graphs_of(build_recipe(images, model, "zoo", **sort_options(images, options)), named)
    numbers = {name: number for number, name in enumerate(graphs, 1)}
    busy = "another process is training this; it comes last here"

    def start(name: str) -> "OnEpoch":
        return on_model(f"{name}/{model} ({numbers[name]} of {len(graphs)})")

    built = []
    with inputs.open_tracker("zoo", tracking_uri, listener) as tracker:
        for one in build(
            graphs,
            tracker,
            place,
            replace=replace,
            device=device,
            decoding=listener.decoding,
            on_model=start,
            on_busy=lambda name: listener.say(f"{name}: {busy}"),
        ):
            built.append(one)
            on_entry(one)
    return built


def dump_pretrained(done: "Pretrained") -> dict[str, Any]:
    """Return an entry of the zoo as plain data, with whether it is new."""
    from ktg.zoo import dump_card

    return dump_card(done.card) | {"new": done.new}


def build_graph(data: str, model: str | None, preset: "PresetName | None", **options: Any) -> Graph:
    """Return the graph of one node that data and options describe."""
    from ktg.pretraining.recipe import build_recipe, change_recipe

    if is_yaml(data):
        if preset is not None:
            raise UserError("--preset: is for data, and a graph says itself how it is trained")
        graph = inputs.load_graph_file(Path(data))
        return change_recipe(graph, model=model, **sort_options(graph.data, options))
    if model is None:
        raise UserError("Missing option '--model'.")
    images = inputs.find_data(data)
    return build_recipe(images, model, preset, **sort_options(images, options))


def sort_options(images: Data, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are not None, with those of a formula in a mapping of their own."""
    given = {option: value for option, value in options.items() if value is not None}
    formula = {option: given.pop(option) for option in _OF_FORMULAS if option in given}
    if images.name in FORMULAS and "per_class" in given:
        formula["instances"] = given.pop("per_class")
    return given | {"formula": formula}


def read_ancestors(texts: Iterable[str]) -> dict[str, str]:
    """Return ids by name from `NAME=ID` texts; raise UserError for others, and a name twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, sign, ancestor = text.partition("=")
        if not (name and sign and ancestor):
            problem = "is not of the form NAME=ID, for example dog=n02084071"
            raise UserError(f"--ancestor: {text!r} {problem}")
        if name in found:
            raise UserError(f"--ancestor: {name!r} is given twice")
        found[name] = ancestor
    return found
