"""Writes a trained network as one safetensors file that describes itself, and reads it back."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from ktg.data.augment import to_float
from ktg.data.decode import Pixels
from ktg.errors import SpecError, WeightsError
from ktg.exporting.class_means import measure_closeness, unpack_means
from ktg.exporting.classifier import Classifier
from ktg.exporting.metadata import ModelInput, ModelMetadata, from_json, to_json
from ktg.local import atomic_write
from ktg.models.architectures import build_body, build_on_meta
from ktg.models.network import (
    Ensemble,
    Network,
    choose_device,
    find_head,
    flatten_features,
    record_head_inputs,
)
from ktg.models.state_dicts import METADATA_KEY, fit

SUFFIX = ".safetensors"


def write_model(path: Path, network: Network | Ensemble, metadata: ModelMetadata) -> None:
    """Write the weights of `network.body` under the names that its library gives them.

    Those of an ensemble's members stand in the same file, each after the name of its node:
    `n1.conv1.weight`.
    """
    bodies = {"": network.body} if isinstance(network, Network) else _bodies(network)
    named = [
        (prefix + name, tensor)
        for prefix, body in bodies.items()
        for name, tensor in body.state_dict().items()
    ]
    # Clones, because safetensors refuses tensors that share memory, as tied weights do.
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in named}
    content = save(state, metadata={"format": "pt", METADATA_KEY: to_json(metadata, path.parent)})
    # Not `save_file`, whose file nobody but its owner may read.
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def read_model(path: Path) -> tuple[Network | Ensemble, ModelMetadata]:
    """Return the network or ensemble, for evaluation on the CPU, and the file's description.

    Nothing in the file is run. Raises WeightsError in one sentence for a file that is not there,
    not of ktg, cut off or made to do harm.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such model file")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
            metadata = from_json(text, path)
            # `keys` is needed: an open file is no mapping.
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except WeightsError:
        raise
    # The reader has errors of its own, and Python's, for what is cut off or hostile.
    except Exception as error:
        raise WeightsError(
            f"{path}: is not a {SUFFIX} file, or is damaged; nothing in it was run"
        ) from error
    if not metadata.members:
        return _network(metadata, metadata.training.node, metadata.input, state, path), metadata
    return _ensemble(metadata, state, path), metadata


def load_safetensors(path: Path, device: str | None = None) -> Classifier:
    """Return the classifier in a file that `write_model` wrote. Raises what `read_model` does."""
    network, metadata = read_model(path)
    run = make_runner(network, device, metadata.temperature)
    means = _read_means(metadata, network, path)
    if means is None or isinstance(network, Ensemble):
        return Classifier(metadata, run)
    place = choose_device(device)
    return Classifier(
        metadata, run, look=partial(_look, network, place, metadata.temperature, means)
    )


def _read_means(
    metadata: ModelMetadata, network: Network | Ensemble, path: Path
) -> npt.NDArray[np.float64] | None:
    """Return the mean features of the classes, None where the file has none."""
    packed = metadata.calibration and metadata.calibration.class_means
    if not packed:
        return None
    try:
        means = unpack_means(packed, len(metadata.classes))
    except SpecError as error:
        raise WeightsError(f"{path}: its description is damaged: {error}") from error
    head = None if isinstance(network, Ensemble) else find_head(network)
    if getattr(head, "in_features", None) != means.shape[1]:
        place = "calibration.class_means"
        raise WeightsError(f"{path}: its description is damaged: {place}: is of another network")
    return means


def make_runner(
    network: Network | Ensemble, device: str | None = None, temperature: float = 1.0
) -> Callable[[Pixels], npt.NDArray[np.float32]]:
    """Return a function from pixels (B, H, W, C) uint8 to logits (B, classes) float32.

    device: where it runs; default: a GPU if there is one. The logits are divided by `temperature`.
    """
    place = choose_device(device)
    return partial(_logits, network.to(place), place, temperature)


@torch.inference_mode()
def _logits(
    network: Network | Ensemble, device: torch.device, temperature: float, pixels: Pixels
) -> npt.NDArray[np.float32]:
    planes = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)
    logits = network(to_float(planes).contiguous(memory_format=torch.channels_last))
    return (logits.float() / temperature).cpu().numpy()  # type: ignore[no-any-return]


@torch.inference_mode()
def _look(
    network: Network,
    device: torch.device,
    temperature: float,
    means: npt.NDArray[np.float64],
    pixels: Pixels,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Return logits (B, classes) and the closeness (B,) to the classes, in one pass."""
    with record_head_inputs(network) as inputs:
        logits = _logits(network, device, temperature, pixels)
    features = flatten_features(inputs[0]).float().cpu().numpy()
    return logits, measure_closeness(features, means)


def _bodies(ensemble: Ensemble) -> dict[str, nn.Module]:
    return {f"{name}.": network.body for name, network in ensemble.networks.items()}


def _ensemble(metadata: ModelMetadata, state: Mapping[str, Tensor], path: Path) -> Ensemble:
    parts: dict[str, dict[str, Tensor]] = {name: {} for name in metadata.members}
    for name, tensor in state.items():
        member, _, inner = name.partition(".")  # no name of a node has a dot
        if member not in parts:
            raise WeightsError(
                f"{path}: has {name}, which belongs to none of its networks; the file is damaged"
            )
        parts[member][inner] = tensor
    members = {
        name: _network(metadata, name, given, parts[name], path)
        for name, given in metadata.members.items()
    }
    return Ensemble(members, [metadata.times.get(name, 1) for name in members]).eval()


def _network(
    metadata: ModelMetadata, name: str, given: ModelInput, state: Mapping[str, Tensor], path: Path
) -> Network:
    node = metadata.graph.nodes[name]
    try:
        plan = build_on_meta(
            node, classes=len(metadata.classes), image_size=given.side, where=f"nodes.{name}"
        )
    except SpecError as error:
        raise WeightsError(f"{path}: {error}") from error
    if plan.size != given.size:
        raise WeightsError(
            f"{path}: input.size is {given.size}, but {node.model} is built for {plan.size} pixels"
        )
    used = fit(plan.body, state, plan.head, str(path))
    if not plan.head <= used.keys():
        raise WeightsError(
            f"{path}: the head does not fit {len(metadata.classes)} classes; the file is damaged"
        )
    with torch.random.fork_rng(devices=[]):
        body = build_body(node, classes=len(metadata.classes), size=plan.size)
    body.load_state_dict({**body.state_dict(), **used})
    network = Network(body, size=given.size, mean=given.mean, std=given.std, head=plan.head)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
