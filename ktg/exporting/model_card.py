"""Writes the model card, for a person who gets the weights and nothing else.

Source: Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from ktg.errors import MissingSourceError, make_printable
from ktg.exporting.graph_files import read_basis
from ktg.exporting.int8 import Measurements, QuantisationResult
from ktg.exporting.metadata import HELPED, POOLED, HeldOut, ModelMetadata
from ktg.graph import Graph, dump
from ktg.graph.canonical import live_nodes, open_edges
from ktg.graph.paths import make_paths_relative
from ktg.graph.yaml_files import dumps
from ktg.models.architectures import make_constructor_args, read_timm_config
from ktg.models.names import locate_model
from ktg.models.resolve import resolve_source
from ktg.models.sources import HubWeights, NoWeights, Published, WeightsFile, ZooEntry
from ktg.wording import format_percent

_SPLITS = {"val": "validation images", "test": "test images, which no choice has seen"}
_LISTED = 200  # classes, above which the rest are only counted
_CROSSED = 20  # classes, above which no table of all pairs is shown
_MARKUP = re.compile(r"[\\`*<>\[\]&|]")
UNKNOWN = "its licence is not known to ktg; ask whoever made the file"


def format_model_card(
    metadata: ModelMetadata,
    files: Mapping[str, Path],
    folder: Path,
    quantised: QuantisationResult | None = None,
) -> str:
    """Return the card as Markdown.

    files: those that go with it, by kind. folder: where the card will lie.
    """
    sections = [
        _head(metadata),
        _accuracy(metadata),
        *_calibration(metadata),
        _data(metadata),
        _classes(metadata),
        _use(metadata, files),
    ]
    if quantised is not None:
        sections.append(_quantised(quantised))
    sections += [_licences(metadata), _graph(metadata, folder)]
    return "\n\n".join(sections) + "\n"


def quote_code(text: str) -> str:
    """Return Markdown for a text of a stranger as code, between enough backticks: `` a`b ``."""
    text = make_printable(text).replace("\n", "\\n")
    fence = "`" * (_longest_run(text) + 1)
    space = " " * (text.startswith(("`", " ")) or text.endswith(("`", " ")))
    return f"{fence}{space}{text}{space}{fence}"


def quote_text(text: str) -> str:
    """Return Markdown that shows the text of a stranger: no tags, links, pictures or code in it."""
    text = " ".join(make_printable(text).split())
    return _MARKUP.sub(lambda found: f"\\{found[0]}", text)


def _block(language: str, code: str) -> str:
    """Return lines as a block of code that nothing in them ends."""
    code = make_printable(code)
    fence = "`" * max(3, _longest_run(code) + 1)
    return f"{fence}{language}\n{code.removesuffix(chr(10))}\n{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _head(metadata: ModelMetadata) -> str:
    given = metadata.input
    colour = "grey" if given.channels == 1 else "colour"
    mean = "weighted mean" if metadata.times else "mean"
    what = (
        f"An ensemble, which says the {mean} of what its networks say,"
        if metadata.members
        else f"A {quote_text(metadata.node.model)}"
    )
    return (
        f"# {quote_text(metadata.models)}, {len(metadata.classes)} classes\n"
        f"{what} that classifies {colour} images of {given.side} x {given.side} pixels, "
        f"trained by ktg {quote_text(metadata.training.ktg)} on "
        f"{quote_text(metadata.training.date)}."
    )


def _accuracy(metadata: ModelMetadata) -> str:
    lines = ["## Accuracy"]
    measured, origin = metadata.accuracy, metadata.graph.provenance
    searched = origin.get("val_accuracy")
    if measured is not None:
        lines.append(f"**{measured.format()}** of the {_SPLITS[measured.split]}.")
        if measured.n > 1:
            lines.append("The weights are those of the first seed, not of the best.")
        if measured.split == "val" and (searched is not None or POOLED in origin):
            lines.append("A search chose by these images, so expect a little less on new ones.")
    else:
        lines.append("Not measured: no labelled image was left out of this training.")
    if searched is not None and (measured is None or measured.split == "test"):
        basis = quote_text(read_basis(metadata.graph))
        lines.append(
            f"In the search: {format_percent(float(searched))} of the validation images ({basis}), "
            "by which it was chosen."
        )
    return "\n".join(lines)


def _data(metadata: ModelMetadata) -> str:
    data, training = metadata.graph.data, metadata.training
    source = data.name or Path(data.path or "").name
    splits = {"train": "training split", "train and val": "training and validation splits"}[
        training.splits
    ]
    fingerprint = f"(fingerprint {quote_code(training.fingerprint[:16])})"
    return f"## Data\n{quote_code(source)}: {training.images} images of the {splits} {fingerprint}."


def _calibration(metadata: ModelMetadata) -> list[str]:
    """Return how far the probabilities can be trusted, nothing where that was not measured."""
    found = metadata.calibration
    if found is None:
        return []
    of = {
        "this training": "of this network",
        "a training without the validation split": "of the same graph trained without them",
    }[found.by]
    rows = [
        f"| {100 * each.confidence:.0f} % | {100 * each.accuracy:.0f} % | {each.images} |"
        for each in found.bins
    ]
    table = "\n".join(["| sure, on average | right | images |", "|---|---|---|", *rows])
    return [
        "## Calibration\n"
        f"Logits are divided by a temperature of {found.temperature:.3f} (Guo et al., ICML 2017), "
        f"fitted to the answers {of} to {found.images:,} validation images. Expected calibration "
        f"error on these: {100 * found.error_before:.1f} % before, {100 * found.error:.1f} % "
        f"after.\n\n{table}"
    ]


def _classes(metadata: ModelMetadata) -> str:
    shown = ", ".join(quote_code(name) for name in metadata.classes[:_LISTED])
    more = f" and {len(metadata.classes) - _LISTED} more" if len(metadata.classes) > _LISTED else ""
    listed = f"## Classes\nIn the order of the outputs: {shown}{more}."
    found = metadata.held_out
    return listed if found is None else f"{listed}\n\n{_tabulate(metadata, found)}"


def _tabulate(metadata: ModelMetadata, found: HeldOut) -> str:
    """Return the table of the classes, and the confusions where there are few classes."""
    columns = (metadata.classes, found.support, found.precision, found.recall, found.f1)
    rows = [
        f"| {_quote_cell(name)} | {images} | " + " | ".join(map(_percent, shares)) + " |"
        for name, images, *shares in list(zip(*columns, strict=True))[:_LISTED]
    ]
    head = ["| class | images | precision | recall | F1 |", "|---|---|---|---|---|"]
    parts = [f"On the {_SPLITS[found.split]}:", "\n".join([*head, *rows])]
    if 0 < len(found.confusion) <= _CROSSED:
        names = " | ".join(map(_quote_cell, metadata.classes))
        lines = [
            f"| {_quote_cell(name)} | {' | '.join(map(str, row))} |"
            for name, row in zip(metadata.classes, found.confusion, strict=True)
        ]
        rule = "|---" * (len(metadata.classes) + 1) + "|"
        parts.append("What images of a class (row) were taken for (column):")
        parts.append("\n".join([f"| | {names} |", rule, *lines]))
    return "\n\n".join(parts)


def _quote_cell(name: str) -> str:
    """Return a name as code in a cell of a table, which a bar would end."""
    return quote_code(name).replace("|", "\\|")


def _percent(share: float | None) -> str:
    return "-" if share is None else format_percent(share)


def _use(metadata: ModelMetadata, files: Mapping[str, Path]) -> str:
    parts = ["## Use"]
    weights, onnx = files.get("weights"), files.get("onnx")
    model = weights or onnx
    if model is not None:
        parts.append(_block("bash", f"ktg predict {shlex.quote(model.name)} photo.jpg"))
        code = (
            f"import ktg\n\nmodel = ktg.load({json.dumps(model.name, ensure_ascii=False)})\n"
            'answer = model.predict(["photo.jpg"])[0]\n'
            "print(answer.label, answer.probability)"
        )
        parts.append(_block("python", code))
    if (
        weights is not None
        and not metadata.members
        and (locate_model(metadata.node.model) or ("ktg",))[0] != "ktg"
    ):
        parts.append(
            "Without ktg, in plain PyTorch:\n"
            + _block("python", write_plain_code(metadata, weights.name))
        )
    others = [path for kind, path in files.items() if kind in ("onnx", "int8", "torch_export")]
    if others:
        given = metadata.input
        square = "" if given.resize == "stretch" else "cut the centre square of an image and "
        parts.append(
            f"{', '.join(quote_code(path.name) for path in others)}: `images`, uint8 (batch, "
            f"{given.side}, {given.side}, {given.channels}), to `logits` (batch, "
            f"{len(metadata.classes)}); {square}resize it to "
            f"{given.side} x {given.side} pixels (bicubic, antialiased); normalising is inside."
        )
    return "\n\n".join(parts)


def write_plain_code(metadata: ModelMetadata, weights: str) -> str:
    """Return Python that classifies an image with the weights, without ktg.

    It needs timm or torchvision, numpy and Pillow.
    """
    library, name = locate_model(metadata.node.model) or ("", metadata.node.model)
    given = metadata.input
    args = "".join(
        f", {key}={value!r}"
        for key, value in make_constructor_args(metadata.node, given.size).items()
    )
    if library == "timm":
        create, imports = (
            f'timm.create_model("{name}", num_classes={len(metadata.classes)}{args})',
            "import timm",
        )
    else:
        if name in ("googlenet", "inception_v3"):
            args = f", aux_logits=False, init_weights=False{args}"
        create = (
            f'torchvision.models.get_model("{name}", num_classes={len(metadata.classes)}{args})'
        )
        imports = "import torchvision"
    mode = "L" if given.channels == 1 else "RGB"
    square = "image.resize(" if given.resize == "stretch" else "ImageOps.fit(image, "
    resize = (
        f"pixels = torch.nn.functional.interpolate(pixels, ({given.size}, {given.size}), "
        'mode="bilinear", antialias=True)\n'
        if given.size != given.side
        else ""
    )
    return (
        f"import numpy as np\n{imports}\nimport torch\nfrom PIL import Image, ImageOps\n"
        "from safetensors.torch import load_file\n\n"
        f"model = {create}\n"
        f"model.load_state_dict(load_file({json.dumps(weights, ensure_ascii=False)}))\n"
        "model.eval()\n\n"
        f'image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("{mode}")\n'
        f"image = {square}({given.side}, {given.side}), Image.Resampling.BICUBIC)\n"
        "pixels = torch.from_numpy(np.array(image))"
        ".reshape(1, *image.size, -1).permute(0, 3, 1, 2) / 255\n"
        f"{resize}"
        f"mean = {_tensor(given.mean)}\nstd = {_tensor(given.std)}\n"
        "with torch.inference_mode():\n"
        "    logits = model((pixels.expand(-1, 3, -1, -1) - mean) / std)\n"
        f"probabilities = (logits / {metadata.temperature:.6g}).softmax(dim=1)[0]\n"
        f"classes = {json.dumps(list(metadata.classes), ensure_ascii=False)}\n"
        "print(classes[int(probabilities.argmax())], float(probabilities.max()))\n"
    )


def _tensor(values: tuple[float, ...]) -> str:
    return f"torch.tensor({list(values)}).reshape(1, -1, 1, 1)"


def _quantised(quantised: QuantisationResult) -> str:
    def row(name: str, figures: Measurements) -> str:
        size = f"{figures.size_bytes / 1e6:.2f} MB"
        accuracy = format_percent(figures.accuracy)
        return f"| {name} | {accuracy} | {figures.latency_ms:.2f} ms | {size} |"

    seen = ", which it was trained on, so both figures flatter" if quantised.seen else ""
    return (
        "## 8-bit integers\n"
        "Quantised after training by onnxruntime (static, per channel), calibrated with training "
        f"images. Accuracy on the {quantised.images} validation images{seen}; latency is the "
        "median for one image on one core of the machine that wrote the file.\n\n"
        "| | accuracy | latency | size |\n|---|---|---|---|\n"
        f"{row('float32', quantised.before)}\n{row('int8', quantised.after)}"
    )


def _licences(metadata: ModelMetadata) -> str:
    graph = metadata.graph
    lines = [
        f"- {quote_code(name)} ({quote_text(graph.nodes[name].model)}): "
        f"{describe_origin(graph, name)}."
        for name in live_nodes(graph)
    ]
    first = "What the networks began with; the licence of that still holds for what became of it."
    if len(lines) > 1 and not metadata.members:
        first += f" The others taught {quote_code(graph.target)}, and are not in it."
    if HELPED in graph.provenance:
        helpers = quote_text(str(graph.provenance[HELPED]))
        first += f" In their trainings they had helpers, which are not in it: {helpers}."
    return "\n".join(["## Licence", first, "", *lines])


def describe_origin(graph: Graph, name: str) -> str:
    """Return in one clause of Markdown the weights that a node began with, and their licence."""
    node = graph.nodes[name]
    try:
        source = resolve_source(node, graph.sources_for(node.model), path=f"nodes.{name}.source")
    except MissingSourceError:  # the model file holds all that it needs, not where it came from
        return f"fine-tuned from {quote_code(node.source)}, which is not on this machine; {UNKNOWN}"
    match source:
        case NoWeights():
            return "trained from nothing: no weights of others are in it"
        case HubWeights():
            return f"fine-tuned from {quote_code(node.source)}, of the Hugging Face hub; {UNKNOWN}"
        case Published():
            return f"fine-tuned from ImageNet weights: {_describe_published(node.model)}"
        case ZooEntry(card=card):
            origin, licence = quote_text(card.origin or card.data), card.licence or "not stated"
            begun = quote_code(node.source)
            return f"fine-tuned from {begun}: {origin}; licence: {quote_text(licence)}"
        case WeightsFile(stated=stated):
            if stated is None:
                return f"fine-tuned from a file of weights; {UNKNOWN}"
            return (
                f"fine-tuned from {quote_code(node.source)}: {quote_text(stated.origin or UNKNOWN)}"
            )


def _describe_published(model: str) -> str:
    library, name = locate_model(model) or ("", model)
    if library != "timm":
        states = "torchvision's own; it states no licence for them"
        return f"{states}, and ImageNet's images are for research"
    cfg = read_timm_config(name)
    where = f"https://huggingface.co/{cfg.hf_hub_id}" if cfg.hf_hub_id else cfg.url
    tagged = f"{name.partition('.')[0]}.{cfg.tag}"
    return f"timm's `{tagged}` ({where}); licence: {cfg.license or 'not stated'}"


def _graph(metadata: ModelMetadata, folder: Path) -> str:
    graph = metadata.graph
    plain = make_paths_relative(dump(graph), folder.absolute())
    networks, edges = (
        len(live_nodes(graph)),
        sum(target in live_nodes(graph) for _, target in open_edges(graph)),
    )
    if POOLED in graph.provenance:
        said = "each as its own trial says, not by this graph, which names them alone"
        trials = quote_text(str(graph.provenance[POOLED]))
        return f"## How it was trained\n{trials}: {said}:\n{_block('yaml', dumps(plain))}"
    counted = f"{networks} network{'s' * (networks > 1)} and {edges} open edge{'s' * (edges > 1)}"
    return (
        f"## How it was trained\n{counted}. Saved as `graph.yaml`, `ktg train graph.yaml` "
        f"trains this again:\n{_block('yaml', dumps(plain))}"
    )
