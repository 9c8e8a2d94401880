"""Teachers: networks that nothing in the graph teaches, and that must know the task before it starts.

A teacher's weights are those of a solo run: the same model and source trained alone on the same
data with the same schedule. It is made once, kept under a name that depends on everything that went
into it, and shared by every trial.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ktg.data import Dataset
from ktg.graph import Graph
from ktg.graph.canonical import key, solo
from ktg.local import cache_folder, replacing
from ktg.models.network import Network
from ktg.models.source import content_hash
from ktg.version import __version__


def solo_key(graph: Graph, node: str, dataset: Dataset, *, final: bool) -> str:
    """Return the content hash of a solo run: graph, data, initial weights, split, and the version that trains it."""
    alone = solo(graph, node)
    weights = content_hash(graph.nodes[node], graph.sources_for(graph.nodes[node].model))
    return hashlib.sha256(
        f"{__version__} {key(alone)} {dataset.fingerprint} {weights} {final}".encode()
    ).hexdigest()


def solo_weights(
    graph: Graph,
    node: str,
    network: Network,
    dataset: Dataset,
    device: torch.device,
    *,
    final: bool = False,
    cache: Path | None = None,
) -> None:
    """Load the weights of the node's solo run into `network`, training it first where no one has.

    Other processes that want the same teacher wait for the one that trains it.
    """
    folder = (cache or cache_folder()) / "solo"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{solo_key(graph, node, dataset, final=final)}.safetensors"
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            state = load_file(path, device=str(device))
        else:
            state = train_alone(graph, node, dataset, device, final=final)
            with suppress(
                OSError, SafetensorError
            ):  # a full disk: the next one has to train it again
                _write(state, path)
    network.body.load_state_dict(state)


def train_alone(
    graph: Graph, node: str, dataset: Dataset, device: torch.device, *, final: bool
) -> dict[str, torch.Tensor]:
    """Return the weights of the node after training alone."""
    from ktg.training.loop import Training

    training = Training(solo(graph, node), dataset, device=device, final=final)
    for _ in training:
        pass
    return training.target.body.state_dict()


def _write(state: dict[str, torch.Tensor], path: Path) -> None:
    with replacing(path) as temporary:
        save_file({name: tensor.contiguous().cpu() for name, tensor in state.items()}, temporary)
