"""Finds and downloads the weights that timm and torchvision publish for their models.

They come from the cache of the Hugging Face hub or of `torch.hub` when they are there. Else the
host is asked for a connection, briefly, so that a machine without network says so in a second or
two instead of after many retries.
"""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor

from ktg.errors import MissingSourceError, WeightsError
from ktg.graph import Node
from ktg.local import is_reachable
from ktg.models.architectures import build_on_meta, make_constructor_args, read_timm_config
from ktg.models.checkpoints import check_finite
from ktg.models.names import HUB, locate_model
from ktg.models.state_dicts import fit, read_state

# timm's configuration still names the pickles of older repositories, beside which the hub has the
# same weights as safetensors; those are tried first, because a pickle may hold code.
_SAFE_NAMES = {
    "pytorch_model.bin": "model.safetensors",
    "open_clip_pytorch_model.bin": "open_clip_model.safetensors",
}


@dataclass(frozen=True)
class PublishedFile:
    """Where the published weights of a model are: on the Hugging Face hub, or at an address.

    `files` are the names to try in turn; `repository` is `owner/name[@revision]`, or empty when
    `url` is given. `is_hub`: a user has named it, as `hf-hub:OWNER/NAME`.
    """

    model: str
    repository: str
    files: tuple[str, ...]
    url: str
    is_hub: bool = False

    @property
    def name(self) -> str:
        """A name for the weights that is the same on every machine."""
        return self.repository + "/" + self.files[-1] if self.repository else self.url

    @property
    def missing(self) -> str:
        """The sentence for a file that cannot be downloaded, and what the user can do."""
        file = self.files[0]
        if self.is_hub:
            return (
                f"{HUB}{self.repository} is not in the local cache of the Hugging Face hub and "
                f"cannot be downloaded now; get {file} from {_hub_endpoint()}/{self.repository} "
                "and give its path as the source"
            )
        host = f"{_hub_endpoint()}/{self.repository}" if self.repository else self.url
        return (
            f"the ImageNet weights of {self.model!r} are not in the local cache and cannot be "
            f"downloaded now; get the file {file} from {host} and give it with `--weights "
            f"{self.model}={file}` (`ktg train`: `--imagenet`), or in the graph or space "
            f"as `weights: {{{self.model}: {file}}}`"
        )


def find_published(model: str, where: str = "source") -> PublishedFile:
    """Return where the weights of `model` are, or of a repository `hf-hub:OWNER/NAME`.

    Raises MissingSourceError at `where` when its library publishes none.
    """
    if model.startswith(HUB) and locate_model(model) is None:
        names = ("model.safetensors", "pytorch_model.bin")
        return PublishedFile(model, model.removeprefix(HUB), names, "", is_hub=True)
    library, name = locate_model(model) or ("", "")
    if library == "timm":
        cfg = read_timm_config(name)
        if cfg.hf_hub_id:
            wanted = cfg.hf_hub_filename or "pytorch_model.bin"
            safe = _SAFE_NAMES.get(wanted)
            return PublishedFile(model, cfg.hf_hub_id, (safe, wanted) if safe else (wanted,), "")
        url = cfg.url
    else:
        url = _torchvision_url(name) if library == "torchvision" else ""
    if not url:
        raise MissingSourceError(
            where, f"no ImageNet weights are published for {model!r}; allowed: none, or a file"
        )
    return PublishedFile(model, "", (urlsplit(url).path.rpartition("/")[2],), url)


def is_published_name(model: str, file: str) -> bool:
    """Return whether the published weights of a model are in a file of this name."""
    try:
        return file in find_published(model).files
    except MissingSourceError:
        return False


def find_cached(weights: PublishedFile) -> Path | None:
    """Return the file of the weights when it is on this machine."""
    if not weights.repository:
        file = Path(torch.hub.get_dir(), "checkpoints", weights.files[0])
        return file if file.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    repository, _, revision = weights.repository.partition("@")
    for name in weights.files:
        found = try_to_load_from_cache(repository, name, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    return None


def check_available(weights: PublishedFile, where: str) -> None:
    """Raise MissingSourceError at `where` unless the file is cached or its host answers."""
    if find_cached(weights) is None and not _is_online(weights):
        raise MissingSourceError(where, weights.missing)


def fetch(weights: PublishedFile, where: str) -> Path:
    """Return the file of the weights, downloaded into its library's cache when it is not there yet.

    Raises WeightsError, which begins with `where`, when that fails.
    """
    file = find_cached(weights)
    if file is not None:
        return file
    check_available(weights, where)
    try:
        return _download_from_hub(weights) if weights.repository else _download(weights)
    except Exception as error:  # network, disk and hub errors share no base class
        raise WeightsError(f"{where}: {weights.missing} ({type(error).__name__})") from error


def read_published(node: Node, size: int, where: str) -> dict[str, Tensor]:
    """Return the published weights of a model for `size` pixels, as its library names them.

    timm converts many files while it loads them (names, position embeddings), so its own loader
    reads its files.
    """
    own = node.source.startswith(HUB)
    weights = find_published(node.source if own else node.model, where)
    file = fetch(weights, where)
    if own:  # with whatever head
        return read_stand_in(node, file, None, size, where)
    if (locate_model(node.model) or ("", ""))[0] == "torchvision":
        return read_state(file)
    # The .npz files are Google's, of transformers and big-transfer ResNets.
    overlay = {"file": str(file), "custom_load": file.suffix == ".npz"}
    return _load_with_timm(node, size, overlay, f"{where}: {file}")


def read_stand_in(
    node: Node, file: Path, part: str | None, size: int, where: str
) -> dict[str, Tensor]:
    """Return the tensors of a file that the user has in place of the published one.

    Most files fit as they are, whichever library they come from. Where one does not, timm's own
    loader may know its old names, or how to resize its position embeddings.
    """
    state = read_state(file, part)
    plan = build_on_meta(node, classes=2, image_size=size)
    try:
        fit(plan.body, state, plan.head, where)
    except MissingSourceError:
        if (locate_model(node.model) or ("", ""))[0] == "timm":
            overlay = {"state_dict": state, "custom_load": False}
            with contextlib.suppress(WeightsError):  # the caller says better what does not fit
                return _load_with_timm(node, size, overlay, f"{where}: {file}")
    return state


def _load_with_timm(
    node: Node, size: int, overlay: dict[str, Any], where: str
) -> dict[str, Tensor]:
    """Return published weights as timm's own strict loader reads them.

    It loads them into a network with their own thousand classes, whose state dict is returned.
    """
    import timm

    name = (locate_model(node.model) or ("", ""))[1]
    try:
        with torch.random.fork_rng(devices=[]):
            args = make_constructor_args(node, size)
            donor = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **args)
    except Exception as error:  # a damaged file, or arguments that do not go with these weights
        problem = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{where} does not load into {node.model!r} ({problem})") from error
    state = dict(donor.state_dict())
    check_finite(state, Path(overlay.get("file", where)))
    return state


def read_hub_statistics(source: str) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return (mean, std) that the config.json of a repository says, None where it says nothing.

    It is read from the cache, where `fetch` puts it beside the weights.
    """
    found = _read_hub_config(source)
    try:
        said = found.get("pretrained_cfg", found)
        mean, std = (tuple(map(float, said[name])) for name in ("mean", "std"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return (mean, std) if len(mean) == len(std) == 3 else None


def read_hub_architecture(source: str) -> str | None:
    """Return the model that the cached config.json of a repository says it is of, None without."""
    said = _read_hub_config(source).get("architecture")
    return said if isinstance(said, str) and locate_model(said) else None


def _read_hub_config(source: str) -> dict[str, Any]:
    """Return the cached config.json of `hf-hub:OWNER/NAME`; nothing where there is none to read."""
    from huggingface_hub import try_to_load_from_cache

    repository, _, revision = source.removeprefix(HUB).partition("@")
    file = try_to_load_from_cache(repository, "config.json", revision=revision or None)
    try:
        found = json.loads(Path(str(file)).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_online(weights: PublishedFile) -> bool:
    if not weights.repository:
        return is_reachable(weights.url)
    from huggingface_hub import constants

    return not constants.HF_HUB_OFFLINE and is_reachable(_hub_endpoint())


def _hub_endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _download_from_hub(weights: PublishedFile) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    repository, _, revision = weights.repository.partition("@")
    if weights.is_hub:
        with contextlib.suppress(EntryNotFoundError):
            hf_hub_download(repository, "config.json", revision=revision or None)
    for name in weights.files[:-1]:
        with contextlib.suppress(EntryNotFoundError):
            return Path(hf_hub_download(repository, name, revision=revision or None))
    return Path(hf_hub_download(repository, weights.files[-1], revision=revision or None))


def _download(weights: PublishedFile) -> Path:
    file = Path(torch.hub.get_dir(), "checkpoints", weights.files[0])
    file.parent.mkdir(parents=True, exist_ok=True)
    digest = torch.hub.HASH_REGEX.search(file.name)
    torch.hub.download_url_to_file(
        weights.url, str(file), digest.group(1) if digest else None, progress=False
    )
    return file


def _torchvision_url(name: str) -> str:
    from torchvision.models import get_model_weights

    best = getattr(get_model_weights(name), "DEFAULT", None)
    return str(best.url) if best else ""
