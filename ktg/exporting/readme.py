"""The model card: what a person must know who gets the weights and nothing else (Mitchell et al., FAT* 2019)."""

import json
from collections.abc import Mapping
from pathlib import Path

from ktg.exporting.int8 import Figures, Quantised
from ktg.exporting.licence import origin_of
from ktg.exporting.metadata import About
from ktg.graph import dump
from ktg.graph.canonical import live_nodes, open_edges
from ktg.graph.paths import make_paths_relative
from ktg.graph.yaml_files import dumps
from ktg.models.architectures import make_constructor_args
from ktg.models.names import locate_model

_SPLITS = {"val": "validation images", "test": "test images, which no choice has seen"}
_LISTED = 200


def model_card(
    about: About, files: Mapping[str, Path], folder: Path, quantised: Quantised | None = None
) -> str:
    """Return the card as Markdown. `files` are those that go with it, by kind; `folder` is where the card will lie."""
    sections = [_head(about), _accuracy(about), _data(about), _classes(about), _use(about, files)]
    if quantised is not None:
        sections.append(_quantised(quantised))
    sections += [_origin(about), _graph(about, folder)]
    return "\n\n".join(sections) + "\n"


def _head(about: About) -> str:
    given = about.input
    colour = "grey" if given.channels == 1 else "colour"
    what = (
        "An ensemble, which says the mean of what its networks say,"
        if about.members
        else f"A {about.node.model}"
    )
    return (
        f"# {about.models}, {len(about.classes)} classes\n"
        f"{what} that classifies {colour} images of {given.side} x {given.side} pixels, "
        f"trained by ktg {about.training.ktg} on {about.training.date}."
    )


def _accuracy(about: About) -> str:
    lines = ["## Accuracy"]
    measured, searched = about.accuracy, about.graph.provenance.get("val_accuracy")
    if measured is not None:
        lines.append(f"**{measured.text()}** of the {_SPLITS[measured.split]}.")
        if measured.n > 1:
            lines.append("The weights are those of the first seed, not of the best.")
        if measured.split == "val" and searched is not None:
            lines.append("A search chose by these images, so expect a little less on new ones.")
    else:
        lines.append("Not measured: no labelled image was left out of this training.")
    if searched is not None and (measured is None or measured.split == "test"):
        lines.append(
            f"In the search: {100 * float(searched):.2f} % of the validation images, by which it was chosen."
        )
    return "\n".join(lines)


def _data(about: About) -> str:
    data, training = about.graph.data, about.training
    source = data.name or Path(data.path or "").name
    splits = {"train": "training split", "train and val": "training and validation splits"}[
        training.splits
    ]
    return f"## Data\n`{source}`: {training.images} images of the {splits} (fingerprint `{training.fingerprint[:16]}`)."


def _classes(about: About) -> str:
    shown = ", ".join(f"`{name}`" for name in about.classes[:_LISTED])
    more = f" and {len(about.classes) - _LISTED} more" if len(about.classes) > _LISTED else ""
    return f"## Classes\nIn the order of the outputs: {shown}{more}."


def _use(about: About, files: Mapping[str, Path]) -> str:
    parts = ["## Use"]
    weights, onnx = files.get("weights"), files.get("onnx")
    model = weights or onnx
    if model is not None:
        parts.append(f"```bash\nktg predict {model.name} photo.jpg\n```")
        parts.append(
            f'```python\nimport ktg\n\nmodel = ktg.load("{model.name}")\nanswer = model.predict(["photo.jpg"])[0]\n'
            "print(answer.label, answer.probability)\n```"
        )
    if (
        weights is not None
        and not about.members
        and (locate_model(about.node.model) or ("ktg",))[0] != "ktg"
    ):
        parts.append(
            f"Without ktg, in plain PyTorch:\n```python\n{plain_code(about, weights.name)}```"
        )
    others = [path for kind, path in files.items() if kind in ("onnx", "int8", "torch_export")]
    if others:
        given = about.input
        parts.append(
            f"{', '.join(f'`{path.name}`' for path in others)}: `images`, uint8 (batch, {given.side}, {given.side}, "
            f"{given.channels}), to `logits` (batch, {len(about.classes)}); cut the centre square of an image and "
            f"resize it to {given.side} pixels (bicubic, antialiased); normalising is inside."
        )
    return "\n\n".join(parts)


def plain_code(about: About, weights: str) -> str:
    """Return Python that classifies one image with the weights and no ktg: timm or torchvision, numpy and Pillow."""
    library, name = locate_model(about.node.model) or ("", about.node.model)
    given = about.input
    args = "".join(
        f", {key}={value!r}" for key, value in make_constructor_args(about.node, given.size).items()
    )
    if library == "timm":
        create, imports = (
            f'timm.create_model("{name}", num_classes={len(about.classes)}{args})',
            "import timm",
        )
    else:
        if name in ("googlenet", "inception_v3"):
            args = f", aux_logits=False, init_weights=False{args}"
        create = f'torchvision.models.get_model("{name}", num_classes={len(about.classes)}{args})'
        imports = "import torchvision"
    mode = "L" if given.channels == 1 else "RGB"
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
        f'model.load_state_dict(load_file("{weights}"))\nmodel.eval()\n\n'
        f'image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("{mode}")\n'
        f"image = ImageOps.fit(image, ({given.side}, {given.side}), Image.Resampling.BICUBIC)\n"
        "pixels = torch.from_numpy(np.array(image)).reshape(1, *image.size, -1).permute(0, 3, 1, 2) / 255\n"
        f"{resize}"
        f"mean = {_tensor(given.mean)}\nstd = {_tensor(given.std)}\n"
        "with torch.inference_mode():\n"
        "    probabilities = model((pixels.expand(-1, 3, -1, -1) - mean) / std).softmax(dim=1)[0]\n"
        f"classes = {json.dumps(list(about.classes), ensure_ascii=False)}\n"
        "print(classes[int(probabilities.argmax())], float(probabilities.max()))\n"
    )


def _tensor(values: tuple[float, ...]) -> str:
    return f"torch.tensor({list(values)}).reshape(1, -1, 1, 1)"


def _quantised(quantised: Quantised) -> str:
    def row(name: str, figures: Figures) -> str:
        size = f"{figures.size_bytes / 1e6:.2f} MB"
        return f"| {name} | {100 * figures.accuracy:.2f} % | {figures.latency_ms:.2f} ms | {size} |"

    seen = ", which it was trained on, so both figures flatter" if quantised.seen else ""
    return (
        "## 8-bit integers\n"
        "Quantised after training by onnxruntime (static, per channel), calibrated with training images. "
        f"Accuracy on the {quantised.images} validation images{seen}; latency is the median for one image on one core "
        "of the machine that wrote the file.\n\n"
        "| | accuracy | latency | size |\n|---|---|---|---|\n"
        f"{row('float32', quantised.before)}\n{row('int8', quantised.after)}"
    )


def _origin(about: About) -> str:
    graph = about.graph
    lines = [
        f"- `{name}` ({graph.nodes[name].model}): {origin_of(graph, name)}." for name in live_nodes(graph)
    ]
    first = "What the networks began with; the licence of that still holds for what became of it."
    if len(lines) > 1 and not about.members:
        first += f" The others taught `{graph.target}`, and are not in it."
    return "\n".join(["## Licence", first, "", *lines])


def _graph(about: About, folder: Path) -> str:
    graph = about.graph
    plain = make_paths_relative(dump(graph), folder.absolute())
    networks, edges = (
        len(live_nodes(graph)),
        sum(target in live_nodes(graph) for _, target in open_edges(graph)),
    )
    counted = f"{networks} network{'s' * (networks > 1)} and {edges} open edge{'s' * (edges > 1)}"
    return (
        f"## How it was trained\n{counted}. Saved as `graph.yaml`, `ktg train graph.yaml` trains this again:\n"
        f"```yaml\n{dumps(plain)}```"
    )
