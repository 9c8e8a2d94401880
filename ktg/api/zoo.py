"""Lists, adds, removes, verifies and copies the entries of a zoo of pretrained networks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.api.inputs import STORE, shorten_known_model
from ktg.errors import DataError, UserError, show

if TYPE_CHECKING:
    from torch import Tensor

    from ktg.exporting.metadata import ModelMetadata
    from ktg.zoo import Card, Zoo

MOST_TRIED = 200  # images
Entry = dict[str, Any]
"""A card as plain data, with the path of its weights under `file`."""


@dataclass(frozen=True)
class ZooListing:
    """The folder of a zoo, its entries (of `model` if not None), and what is wrong with others."""

    folder: Path
    model: str | None
    entries: list[Entry]
    faults: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the listing as plain data."""
        return {"zoo": str(self.folder), "entries": self.entries, "faults": self.faults}


def open_zoo(folder: Path | None, *, reading: bool = False) -> "Zoo":
    """Return the zoo in a folder, by default the user's.

    Raises UserError when one is to be read that is not there.
    """
    from ktg.zoo import Zoo, default_zoo

    if folder is None:
        return default_zoo()
    if reading and not folder.exists():
        raise UserError(f"--zoo: there is no folder {folder}")
    return Zoo(folder.expanduser().absolute())


def read_cards(zoo: "Zoo") -> "tuple[list[Card], list[str]]":
    """Return the cards that can be read, and what is wrong with the others."""
    cards, faults = [], []
    for key in zoo.list_keys():
        try:
            cards.append(zoo.read_card(key))
        except UserError as error:
            faults.append(str(error))
    return cards, faults


def dump_entry(zoo: "Zoo", card: "Card") -> Entry:
    """Return a card as plain data, with the file of its weights."""
    from ktg.zoo import dump_card

    return dump_card(card) | {"file": str(zoo.weights_file(card.key))}


def entry_key(entry: Entry) -> str:
    """Return the name and model of an entry, as in the names of its files."""
    from ktg.zoo import card

    return card.entry_key(entry["name"], entry["model"])


def list_entries(*, model: str | None = None, zoo: Path | None = None) -> ZooListing:
    """Return the entries of the zoo and those that come with ktg, or those for one model."""
    place = open_zoo(zoo, reading=True)
    wanted = shorten_known_model(model) if model else None
    cards, faults = read_cards(place)
    entries = [dump_entry(place, card) for card in cards if wanted in (None, card.model)]
    shipped = [] if zoo else [each for each in read_shipped() if wanted in (None, each["model"])]
    return ZooListing(place.folder, wanted, entries + shipped, faults)


def read_shipped(name: str | None = None) -> list[Entry]:
    """Return the entries that come with ktg and that the user's zoo has none in place of."""
    from ktg.zoo import shipped_zoo

    zoo = shipped_zoo()
    return [dump_entry(zoo, card) | {"shipped": True} for card in read_shipped_cards(name)]


def read_shipped_cards(name: str | None = None) -> "list[Card]":
    """Return the cards that come with ktg and that the user's zoo has none in place of."""
    from ktg.zoo import default_zoo, shipped_zoo

    zoo, own = shipped_zoo(), default_zoo().list_keys(name)
    return [zoo.read_card(key) for key in zoo.list_keys(name) if key not in own]


def show_entries(name: str, *, model: str | None = None, zoo: Path | None = None) -> list[Entry]:
    """Return the entries of a name, or the one for a model."""
    place = open_zoo(zoo, reading=True)
    wanted = _find_wanted(place, name, model)
    shipped = [] if zoo else [e for e in read_shipped(name) if wanted in (None, e["model"])]
    if shipped and (wanted or not place.list_keys(name)):
        return shipped
    cards = [place.get(name, wanted)] if wanted else place.get_all(name)
    return [dump_entry(place, card) for card in cards] + shipped


def add_entry(
    name: str,
    file: Path,
    *,
    images: Path | None = None,
    replace: bool = False,
    zoo: Path | None = None,
    **fields: Any,
) -> Entry:
    """Add the weights in a file to the zoo and return the entry. fields: see `make_card`.

    images: a labelled data set, by which normalisation and padding are chosen where nothing says
    them: see `choose_input`. What was tried is then part of the entry that is returned.

    Raises UserError or one of its kinds, before anything is written, for whatever is wrong.
    """
    from ktg.models.state_dicts import write_weights
    from ktg.zoo.staging import open_staging

    place = open_zoo(zoo)
    card, state = make_card(name, file, **fields)
    tried: list[dict[str, Any]] = []
    if images is None:
        warn_of_card(card, file, fields)
    else:
        card, tried = choose_input(card, state, images, fields)
    with place.open_for_writing(), open_staging(place.folder) as folder:
        write_weights(state, folder / "converted.safetensors")
        added = place.add(card, folder / "converted.safetensors", replace=replace)
    return dump_entry(place, added) | ({"tried": tried} if tried else {})


def warn_of_card(card: "Card", file: Path, given: Mapping[str, Any]) -> None:
    """Warn of what a card says of a file that neither the user nor the file has said."""
    from ktg.graph import Node, SourceFile
    from ktg.models.build import warn_of_guesses
    from ktg.models.sources import WeightsFile

    if read_description(file) is not None:  # a model file of ktg says it all
        return
    said = {key: getattr(card, key) for key in ("mean", "std") if given.get(key)}
    node = Node(model=card.model, source=str(file), model_args=card.model_args)
    stated = SourceFile(path=str(file), **said)
    remedy = "say --mean, --std and --model-arg pad_type=same, or let --images find out"
    warn_of_guesses(WeightsFile(node, str(file), stated=stated), remedy)


def choose_input(
    card: "Card", state: "dict[str, Tensor]", images: Path, given: Mapping[str, Any]
) -> "tuple[Card, list[dict[str, Any]]]":
    """Return the card with the normalisation and padding that get most images right, and all tried.

    images: labelled ones of classes that the head knows. given: what the user says is not tried.
    Raises UserError for weights without a head, and for images of other classes or unreadable ones.
    """
    import dataclasses

    import numpy as np
    import torch

    from ktg.data.decode import Geometry
    from ktg.data.undecoded import explain_fault, name_faults
    from ktg.exporting.labelled_images import find_labelled
    from ktg.graph import Node
    from ktg.models.try_inputs import try_inputs

    if not card.classes:
        raise UserError("--images: the weights have no head by which an input could be judged")
    found = find_labelled(images, card.classes, None)
    rows = np.unique(np.linspace(0, len(found) - 1, MOST_TRIED).astype(int))
    geometry = Geometry(card.input_size, 3)
    pixels, faults = [], {}
    for row in rows.tolist():
        try:
            pixels.append(found.found.images.open(row, geometry)[1])
        except Exception as error:
            faults[found.name(row)] = explain_fault(error, found.name(row))
    if faults:
        problem = f"{len(faults)} of {len(rows)} images cannot be read: {name_faults(faults)}"
        raise DataError(f"--images: {problem}; mend or remove them")
    trials = try_inputs(
        Node(model=card.model, model_args=card.model_args, input_size=card.input_size),
        state,
        (card.mean, card.std),
        torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255,
        torch.from_numpy(found.labels[rows]),
        normalisations=not (given.get("mean") or given.get("std")),
    )
    best = trials[0]
    chosen = dataclasses.replace(card, mean=best.mean, std=best.std, model_args=best.model_args)
    return chosen, [{**vars(trial), "images": len(rows)} for trial in trials]


def make_card(
    name: str,
    file: Path,
    *,
    model: str,
    model_arg: tuple[str, ...] = (),
    classes: Path | None = None,
    data: str | None = None,
    mean: str | None = None,
    std: str | None = None,
    input_size: int | None = None,
    **fields: Any,
) -> "tuple[Card, dict[str, Tensor]]":
    """Return a card for the weights in a file, and these weights as the model names them.

    model_arg: `NAME=VALUE` texts. classes: a file with a name on each line. mean, std: one number,
    or three with commas between them. fields: further ones of the card. What a model file of ktg
    says of itself is the default.
    """
    from ktg.graph import Node
    from ktg.local import file_sha256
    from ktg.models.architectures import find_statistics, find_usual_size
    from ktg.models.build import import_weights
    from ktg.models.names import check_model, shorten_architecture
    from ktg.version import __version__
    from ktg.zoo import Card
    from ktg.zoo.card import check_card, check_name

    check_name(name, "NAME")
    check_model(model, "--model")
    about = read_description(file)
    own = find_statistics(model)
    if about is not None:
        own = about.input.mean, about.input.std
        input_size = input_size or about.input.size
        trained_on = about.graph.data.name or Path(about.graph.data.path or "").name
        data = data or f"{trained_on}, by a graph of ktg"
    given = read_model_args(model_arg) or (about.node.model_args if about is not None else {})
    node = Node(model=model, model_args=given, input_size=input_size)
    statistics = read_channels(mean, "--mean") or own[0], read_channels(std, "--std") or own[1]
    state, count = import_weights(file, node)
    digest = file_sha256(file)
    card = Card(
        name=name,
        model=shorten_architecture(model),
        classes=name_classes(classes, about, count),
        data=data or f"not stated; imported from {file.name}",
        mean=statistics[0],
        std=statistics[1],
        input_size=input_size or find_usual_size(model),
        model_args=node.model_args,
        provenance={"imported from": file.name, "its SHA-256": digest, "ktg": __version__},
        **fields,
    )
    return check_card(card), state


def remove_entries(
    name: str, *, model: str | None = None, every: bool = False, zoo: Path | None = None
) -> list[str]:
    """Remove a name's only entry, or that for a model, or every one; return what was removed."""
    place = open_zoo(zoo, reading=True)
    models = [key.partition("/")[2] for key in place.list_keys(name)]
    if len(models) > 1 and not model and not every:
        advice = "give --model, or --all to remove it for all"
        raise UserError(f"{name} is there for {', '.join(models)}; {advice}")
    return place.remove(name, _find_wanted(place, name, model))


def _find_wanted(place: "Zoo", name: str, model: str | None) -> str | None:
    """Return the model for which an entry is meant, None for any.

    An entry that is called just so is meant itself: an older ktg kept the tag of a model.
    """
    from ktg.zoo.card import entry_key

    if model is None or entry_key(name, model) in place.list_keys(name):
        return model
    return shorten_known_model(model)


def verify_entries(name: str | None = None, *, zoo: Path | None = None) -> dict[str, Any]:
    """Check every card, or those of a name, and the hash of every file of weights.

    Returns the folder (`zoo`), the entries that were checked, and the `problems` in sentences.
    """
    from ktg.zoo import shipped_zoo

    place, shipped = open_zoo(zoo, reading=True), shipped_zoo()
    checked, more = place.list_keys(name), [] if zoo else shipped.list_keys(name)
    problems = place.verify(name) if checked or not more else []
    if more:
        problems += shipped.verify(name)
    return {"zoo": str(place.folder), "checked": checked + more, "problems": problems}


def pull_entries(
    source: str,
    names: tuple[str, ...] = (),
    *,
    replace: bool = False,
    zoo: Path | None = None,
    tracking_uri: str = STORE,
    progress: Callable[[str, int, int], None] = lambda key, done, total: None,
) -> tuple[Path, list[Entry]]:
    """Copy entries of another zoo, all unless some are named; return the zoo's folder and them.

    source: a folder, an http(s) address, or a model in MLflow's registry. `new` in an entry says
    whether it was copied now. progress: called with its name, bytes so far and bytes in all.
    """
    from ktg.zoo import pull

    place = open_zoo(zoo)
    pulled = pull(
        place, source, names, replace=replace, tracking_uri=tracking_uri, progress=progress
    )
    return place.folder, [dump_entry(place, one.card) | {"new": one.new} for one in pulled]


def push_entries(
    name: str,
    target: str,
    *,
    model: str | None = None,
    zoo: Path | None = None,
    tracking_uri: str = STORE,
) -> str:
    """Store a name's entries as a new version of `target`, models:/NAME; return its address."""
    from ktg.zoo import push

    place = open_zoo(zoo, reading=True)
    wanted = _find_wanted(place, name, model)
    return push(place, name, target, model=wanted, tracking_uri=tracking_uri)


def read_description(file: Path) -> "ModelMetadata | None":
    """Return what a model file of ktg says of itself; None for another file or an ensemble."""
    from ktg.exporting.metadata import from_json
    from ktg.models.state_dicts import read_metadata

    if file.suffix != ".safetensors" or not file.is_file():
        return None
    text = read_metadata(file)
    about = None if text is None else from_json(text, file)
    return None if about is None or about.members else about


def read_model_args(texts: tuple[str, ...]) -> dict[str, Any]:
    """Return `NAME=VALUE` texts as a mapping; a value is read as in YAML."""
    from ktg.graph.yaml_files import loads

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"--model-arg: {show(text)} is not NAME=VALUE, such as drop_rate=0.1")
        found[name] = loads(f"value: {value}", f"--model-arg {name}")["value"]
        if not isinstance(found[name], str | int | float | bool):
            raise UserError(f"--model-arg {name}: expected a single value, got {show(value)}")
    return found


def name_classes(file: Path | None, about: "ModelMetadata | None", count: int) -> tuple[str, ...]:
    """Return the names of classes in a file, else of a model file of ktg, else their numbers.

    Raises UserError when the head of the weights has another count.
    """
    from ktg.models.class_names import read_class_names

    if file is None and about is None:
        return tuple(map(str, range(count)))
    try:
        names = read_class_names(file) if file is not None else about.classes if about else ()
    except DataError as error:
        raise UserError(f"--classes {error}") from None
    if len(names) != count:
        head = f"the head in the weights tells {count} classes apart"
        problem = head if count else "the weights have no head"
        raise UserError(f"--classes {file}: names {len(names)} classes, but {problem}")
    return names


def read_channels(text: str | None, option: str) -> tuple[float, ...]:
    """Return `0.5` or `0.485,0.456,0.406` as numbers; none for None."""
    if text is None:
        return ()
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        problem = "is not a number, or three with commas between them"
        raise UserError(f"{option}: {show(text)} {problem}") from None
    if len(numbers) not in (1, 3):
        expected = "one number, or three (red, green, blue)"
        raise UserError(f"{option}: expected {expected}, got {len(numbers)}")
    return numbers
