"""A bare network by name, without weights: how each library is asked for one, and what it demands of its input.

timm and torchvision are imported when the first of their models is built, not before.
"""

import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ktg.errors import SpecError
from ktg.graph import Node
from ktg.models.cifar import CIFAR_MODELS
from ktg.models.names import check_model, locate
from ktg.models.stages import unfrozen

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

# What the constructors also take but is not the user's to say: it follows from the node's other
# fields, changes what the network returns, or reads files.
RESERVED_ARGS = frozenset(
    {
        *("num_classes", "in_chans", "aux_logits", "transform_input", "init_weights"),
        *("features_only", "out_indices", "scriptable", "exportable", "no_jit", "device", "dtype"),
        *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_model_args"),
        *("checkpoint_path", "cache_dir", "weights", "progress"),
    }
)
# torchvision's networks with an auxiliary classifier, whose ImageNet weights expect pixels in [-1,
# 1].
_INCEPTIONS = ("googlenet", "inception_v3")
_SIZE_ARGS = frozenset({"img_size", "image_size", "input_size"})
_TORCHVISION_SIZE = 224
_CIFAR_SIZE = 32


@dataclass(frozen=True)
class Sketch:
    """A network without memory for its weights (on the meta device), to ask for shapes before anything is trained.

    `head` holds the names of the parameters that depend on the number of classes; all others are
    the backbone. `size` is the side in pixels of the images it takes. `body` is shared: do not
    change it.
    """

    body: nn.Module
    head: frozenset[str]
    size: int


def sketch(node: Node, *, classes: int, image_size: int, where: str = "node") -> Sketch:
    """Return the sketch of a node's network for images of `image_size` pixels, after one forward pass of shapes.

    Raises SpecError, at the dotted place `where` of the node, for an unknown model, for arguments
    its constructor does not take, for a network that cannot take images of that size, and for a
    stage that it does not have.
    """
    check_model(node.model, f"{where}.model")
    try:
        size = _input_size(node, image_size)
        sketched = _sketch(node.model, tuple(constructor_args(node, size).items()), classes, size)
        unfrozen(sketched.body, sketched.head, node.unfreeze_from)
    except (
        SpecError
    ) as error:  # the functions below name the field; only here is it known of which node
        raise SpecError(f"{where}.{error.path}", error.problem) from error.__cause__
    return sketched


def create(node: Node, *, classes: int, size: int) -> nn.Module:
    """Return the node's network for `size` pixels; its fresh weights come from torch's global CPU generator.

    Takes what `sketch` has accepted: mistakes of the user are found there.
    """
    return _create(node.model, constructor_args(node, size), classes)


def constructor_args(node: Node, size: int) -> dict[str, Any]:
    """Return the node's `model_args`, with the image size where the network is built for one other than its usual."""
    for name in node.model_args:
        if name in RESERVED_ARGS:
            raise SpecError(
                f"model_args.{name}",
                "cannot be given; ktg sets it from the other fields of the node",
            )
    args: dict[str, Any] = dict(node.model_args)
    argument = _size_argument(node)
    if argument and argument not in args and size != usual_size(node.model):
        args[argument] = (size, size) if argument == "input_size" else size
    return args


def own_statistics(model: str) -> Statistics:
    """Return (mean, std) per channel, for pixels in [0, 1], of the input that the model's published weights expect."""
    library, name = _located(model)
    if library == "timm":
        cfg = timm_cfg(name)
        return tuple(cfg.mean), tuple(cfg.std)
    return HALF if library == "torchvision" and name in _INCEPTIONS else IMAGENET


def usual_size(model: str) -> int:
    """Return the side in pixels of the images that the model's library intends it for."""
    library, name = _located(model)
    if library == "timm":
        return int(timm_cfg(name).input_size[-1])
    return _TORCHVISION_SIZE if library == "torchvision" else _CIFAR_SIZE


@functools.cache
def timm_cfg(name: str) -> Any:
    """Return timm's PretrainedCfg of a model: where its default weights are, and what they expect."""
    from timm.models import PretrainedCfg, get_pretrained_cfg

    return get_pretrained_cfg(name) or PretrainedCfg()


def _input_size(node: Node, image_size: int) -> int:
    """Return `input_size` of the node, else what its model demands, else the size of the images in the data."""
    argument = _size_argument(node)
    built_for = node.model_args.get(argument) if argument else None
    if isinstance(built_for, int):
        if node.input_size not in (None, built_for):
            raise SpecError(
                "input_size", f"{node.input_size} contradicts model_args.{argument}: {built_for}"
            )
        return built_for
    return node.input_size or (usual_size(node.model) if argument else image_size)


def _size_argument(node: Node) -> str | None:
    """Return the constructor's argument for the image size, where the network is built for one size only."""
    library, name = _located(node.model)
    if library == "torchvision":
        return (
            "image_size"
            if name.startswith("vit_")
            else "input_size"
            if name.startswith("maxvit")
            else None
        )
    if node.model_args.get("dynamic_img_size") or node.model_args.get("strict_img_size") is False:
        return None
    return "img_size" if library == "timm" and timm_cfg(name).fixed_input_size else None


# A search sketches the same few networks over and over. Networks on the meta device weigh next to
# nothing.
@functools.lru_cache(maxsize=64)
def _sketch(model: str, args: tuple[tuple[str, Any], ...], classes: int, size: int) -> Sketch:
    with torch.random.fork_rng(devices=[]):
        try:
            body, wider = (
                _without_memory(model, dict(args), number) for number in (classes, classes + 1)
            )
        except Exception as error:  # a constructor says in every way there is what it does not like
            raise _refused(model, dict(args), error) from error
        _probe(body, model, classes, size)
    shapes = {name: parameter.shape for name, parameter in wider.named_parameters()}
    head = frozenset(
        name for name, parameter in body.named_parameters() if shapes[name] != parameter.shape
    )
    return Sketch(body, head, size)


def _without_memory(model: str, args: Mapping[str, Any], classes: int) -> nn.Module:
    library, _ = _located(model)
    importlib.import_module(
        library
    )  # first, or the library's own constants would lie on the meta device too
    try:
        with torch.device("meta"):
            return _create(model, args, classes)
    except (
        NotImplementedError
    ):  # constructors that calculate with tensors: the RegNets of torchvision
        return _create(model, args, classes).to("meta")


def _refused(model: str, args: Mapping[str, Any], error: Exception) -> SpecError:
    reason = _first_line(error)
    if not args:
        return SpecError("model", f"{model} cannot be built ({reason})")
    given = ", ".join(f"{key}: {value}" for key, value in args.items())
    place = "input_size" if args.keys() <= _SIZE_ARGS else "model_args"
    return SpecError(place, f"{model} does not take {given} ({reason})")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _probe(body: nn.Module, model: str, classes: int, size: int) -> None:
    """Pass shapes through the network, to find out now whether it takes images of this size."""
    try:
        with torch.device("meta"):
            logits = body.train()(torch.empty(2, 3, size, size))
    except (
        Exception
    ) as error:  # whatever a network raises here, the size of the image is what it stumbles over
        problem = f"{model} cannot take images of {size}x{size} pixels ({_first_line(error)})"
        raise SpecError(
            "input_size", f"{problem}; give another input_size, for example {usual_size(model)}"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        raise SpecError(
            "model", f"{model} does not return one logit per class, so it is not a classifier"
        )


def _create(model: str, args: Mapping[str, Any], classes: int) -> nn.Module:
    library, name = _located(model)
    if library == "ktg":
        return CIFAR_MODELS[name](num_classes=classes, **args)
    network: nn.Module
    if library == "timm":
        import timm

        network = timm.create_model(name, num_classes=classes, **args)
    else:
        import torchvision

        if name in _INCEPTIONS:
            args = {"aux_logits": False, "init_weights": True, **args}
        network = torchvision.models.get_model(name, weights=None, num_classes=classes, **args)
    return network


def _located(model: str) -> tuple[str, str]:
    located = locate(model)
    if located is None:  # callers that come from outside have been through check_model
        raise KeyError(model)
    return located
