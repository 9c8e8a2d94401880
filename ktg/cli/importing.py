"""What `ktg zoo add` asks for, as a card and its weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.errors import UserError, show

if TYPE_CHECKING:
    from ktg.exporting.metadata import About
    from ktg.zoo import Card, Zoo


def imported(
    zoo: "Zoo",
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
    replace: bool = False,
    **said: Any,
) -> "Card":
    """Add the weights in a file to the zoo, and return their card. `said` are further fields of the card.

    Raises UserError or one of its kinds, before anything is written, for whatever cannot be.
    """
    from ktg.graph import Node
    from ktg.models.build import own_statistics, usual_size
    from ktg.models.importing import import_weights, write_weights
    from ktg.models.names import check_model, shortest
    from ktg.version import __version__
    from ktg.zoo import Card
    from ktg.zoo.card import check_card, check_name
    from ktg.zoo.staging import hashed, staging

    check_name(name, "NAME")
    check_model(model, "--model")
    about = description(file)
    own = own_statistics(model)
    if (
        about is not None
    ):  # a model that ktg trained says itself what it is, where no option says otherwise
        own = about.input.mean, about.input.std
        input_size = input_size or about.input.size
        data = (
            data
            or f"{about.graph.data.name or Path(about.graph.data.path or '').name}, by a graph of ktg"
        )
    given = model_args(model_arg) or (about.node.model_args if about is not None else {})
    node = Node(model=model, model_args=given, input_size=input_size)
    listed = class_names(classes) if classes else about.classes if about is not None else None
    statistics = channels(mean, "--mean") or own[0], channels(std, "--std") or own[1]
    state, count = import_weights(file, node)
    card = Card(
        name=name,
        model=shortest(model),
        classes=named_classes(listed, count, classes),
        data=data or f"not stated; imported from {file.name}",
        mean=statistics[0],
        std=statistics[1],
        input_size=input_size or usual_size(model),
        model_args=node.model_args,
        provenance={"imported from": file.name, "its SHA-256": hashed(file), "ktg": __version__},
        **said,
    )
    check_card(card)
    with zoo.writing(), staging(zoo.folder) as place:
        write_weights(state, place / "converted.safetensors")
        return zoo.add(card, place / "converted.safetensors", replace=replace)


def description(file: Path) -> "About | None":
    """Return what a model file of ktg says of itself, or None where it is another file, or an ensemble."""
    from ktg.exporting.metadata import from_json
    from ktg.models.weights import self_description

    if file.suffix != ".safetensors" or not file.is_file():
        return None
    text = self_description(file)
    about = None if text is None else from_json(text, file)
    return None if about is None or about.members else about


def model_args(texts: tuple[str, ...]) -> dict[str, Any]:
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


def class_names(file: Path) -> tuple[str, ...]:
    """Return the names of classes in a text file, one on each line."""
    try:
        lines = file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
        raise UserError(f"--classes {file}: cannot be read ({reason})") from None
    names = tuple(line.strip() for line in lines)
    if "" in names:
        raise UserError(
            f"--classes {file}: line {names.index('') + 1} is empty; write a name on each line"
        )
    return names


def named_classes(listed: tuple[str, ...] | None, count: int, file: Path | None) -> tuple[str, ...]:
    """Return the names as listed, else the numbers of the classes. Raises UserError when the head has another count."""
    if listed is None:
        return tuple(map(str, range(count)))
    if len(listed) != count:
        head = (
            f"the head in the weights tells {count} classes apart"
            if count
            else "the weights have no head"
        )
        raise UserError(f"--classes {file}: names {len(listed)} classes, but {head}")
    return listed


def channels(text: str | None, option: str) -> tuple[float, ...]:
    """Return `0.5` or `0.485,0.456,0.406` as numbers; none for None."""
    if text is None:
        return ()
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(
            f"{option}: {show(text)} is not a number, or three with commas between them"
        ) from None
    if len(numbers) not in (1, 3):
        raise UserError(
            f"{option}: expected one number, or three (red, green, blue), got {len(numbers)}"
        )
    return numbers
