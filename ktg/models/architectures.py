"""Builds bare networks by name, without pretrained weights, in memory or on the meta device.

They come from ktg's own `cifar`, from timm and from torchvision. The last two are imported when the
first of their models is built, not before.
"""

import functools
import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ktg.errors import SpecError, show
from ktg.graph import Node
from ktg.local import keep_freed_memory
from ktg.models.cifar import CIFAR_MODELS
from ktg.models.names import check_model, locate_model
from ktg.models.stages import select_unfrozen

_DRAWS = frozenset({Tensor.normal_, Tensor.uniform_})
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
# torchvision's networks with an auxiliary classifier; their ImageNet weights expect [-1, 1].
_INCEPTIONS = ("googlenet", "inception_v3")
# Arguments that say which share of features or layers is dropped.
_SHARE = re.compile(r"(\w+_)?drop(_\w+)?_rate|(\w+_)?dropout|stochastic_depth_prob")
_SIZE_ARGS = frozenset({"img_size", "image_size", "input_size"})
_TORCHVISION_SIZE = 224
_CIFAR_SIZE = 32


@dataclass(frozen=True)
class MetaNetwork:
    """A network on torch's meta device: it has shapes, and no memory for its weights.

    `class_axes` has, for each parameter of the head, the axis that is as long as there are classes;
    all other parameters are the backbone. `size` is the side in pixels of the images it takes.
    `body` is shared: do not change it.
    """

    body: nn.Module
    class_axes: Mapping[str, int]
    size: int

    @property
    def head(self) -> frozenset[str]:
        """The names of the parameters that depend on the number of classes."""
        return frozenset(self.class_axes)

    def count_classes(self, state: Mapping[str, Tensor]) -> int:
        """Return how many classes the head in `state` tells apart, 0 where it has no whole one.

        For ResNet-8, {linear.weight: (7, 64), linear.bias: (7,)} -> 7.
        """
        if not self.head <= state.keys():
            return 0
        found = {state[name].shape[axis] for name, axis in self.class_axes.items()}
        return found.pop() if len(found) == 1 else 0


def build_on_meta(
    node: Node, *, classes: int, image_size: int, where: str = "node", checked: bool = True
) -> MetaNetwork:
    """Return the shapes of a node's network for images of `image_size` pixels.

    checked: whether one forward pass of shapes is to show that it works. Torch imports its compiler
    for that, which takes seconds, so it is False for networks that have been trained already.
    Raises SpecError, at the dotted place `where` of the node, for an unknown model, for arguments
    its constructor does not take, for a network that cannot take images of that size, and for a
    stage that it does not have.
    """
    check_model(node.model, f"{where}.model")
    try:
        size = _find_input_size(node, image_size)
        args = tuple(make_constructor_args(node, size).items())
        body, axes = _create_shapes(node.model, args, classes)
        if checked:
            _check_size(node.model, args, size)
        plan = MetaNetwork(body, axes, size)
        select_unfrozen(plan.body, plan.head, node.unfreeze_from)
    except SpecError as error:  # it names the field; the node is known only here
        raise SpecError(f"{where}.{error.path}", error.problem) from error.__cause__
    return plan


def build_body(node: Node, *, classes: int, size: int) -> nn.Module:
    """Return the node's network for images of `size` pixels, with fresh weights.

    They come from torch's global CPU generator. Takes what `build_on_meta` has accepted: mistakes
    of the user are found there.
    """
    keep_freed_memory()  # whoever builds a network computes with it
    return _create(node.model, make_constructor_args(node, size), classes)


def make_constructor_args(node: Node, size: int) -> dict[str, Any]:
    """Return the node's `model_args`, with the image size where the constructor needs it.

    A ViT for 224 pixels, built for 64 -> {"img_size": 64}. Raises SpecError for `RESERVED_ARGS`.
    """
    for name, value in node.model_args.items():
        if name in RESERVED_ARGS:
            problem = "cannot be given; ktg sets it from the other fields of the node"
            raise SpecError(f"model_args.{name}", problem)
        # Shapes do not show it: the first step of the training would fail.
        if _SHARE.fullmatch(name) and not _is_share(value):
            raise SpecError(f"model_args.{name}", f"{show(value)} is no share; allowed: 0 to 1")
    args: dict[str, Any] = dict(node.model_args)
    argument = _find_size_argument(node)
    if argument and argument not in args and size != find_usual_size(node.model):
        args[argument] = (size, size) if argument == "input_size" else size
    return args


def _is_share(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (is_number and 0 <= value <= 1)  # type: ignore[operator]


def find_statistics(model: str) -> Statistics:
    """Return (mean, std) per channel of the input, in [0, 1], that published weights expect."""
    library, name = _locate(model)
    if library == "timm":
        cfg = read_timm_config(name)
        return tuple(cfg.mean), tuple(cfg.std)
    return HALF if library == "torchvision" and name in _INCEPTIONS else IMAGENET


def find_usual_size(model: str) -> int:
    """Return the side in pixels of the images that the model's library intends it for."""
    library, name = _locate(model)
    if library == "timm":
        return int(read_timm_config(name).input_size[-1])
    return _TORCHVISION_SIZE if library == "torchvision" else _CIFAR_SIZE


@functools.cache
def read_timm_config(name: str) -> Any:
    """Return timm's PretrainedCfg of a model: where its weights are, and what they expect."""
    from timm.models import PretrainedCfg, get_pretrained_cfg

    try:
        return get_pretrained_cfg(name) or PretrainedCfg()
    except RuntimeError:  # a tag in timm's tables that it does not register
        return PretrainedCfg()


def _find_input_size(node: Node, image_size: int) -> int:
    """Return the node's `input_size`, else what its model demands, else the size of the data."""
    argument = _find_size_argument(node)
    built_for = node.model_args.get(argument) if argument else None
    if isinstance(built_for, int):
        if node.input_size not in (None, built_for):
            problem = f"{node.input_size} contradicts model_args.{argument}: {built_for}"
            raise SpecError("input_size", problem)
        return built_for
    return node.input_size or (find_usual_size(node.model) if argument else image_size)


def takes_any_size(node: Node) -> bool:
    """Return whether one network of a node takes images of different sizes."""
    return _find_size_argument(node) is None


def _find_size_argument(node: Node) -> str | None:
    """Return the constructor's argument for the image size, None where a network takes any size."""
    library, name = _locate(node.model)
    if library == "torchvision":
        if name.startswith("vit_"):
            return "image_size"
        return "input_size" if name.startswith("maxvit") else None
    if node.model_args.get("dynamic_img_size") or node.model_args.get("strict_img_size") is False:
        return None
    return "img_size" if library == "timm" and read_timm_config(name).fixed_input_size else None


# A search asks for the same few networks over and over, and on the meta device they weigh nothing.
@functools.lru_cache(maxsize=64)
def _create_shapes(
    model: str, args: tuple[tuple[str, Any], ...], classes: int
) -> tuple[nn.Module, Mapping[str, int]]:
    """Return a network and the axes of its classes, see `MetaNetwork`."""
    with torch.random.fork_rng(devices=[]):
        try:
            body = _create_on_meta(model, dict(args), classes)
            wider = _create_on_meta(model, dict(args), classes + 1)
        except Exception as error:  # constructors raise whatever they like for what they dislike
            raise _describe_refusal(model, dict(args), error) from error
    # No library says reliably which parameters are the head. Those that grow with one more class
    # are it, and the axis that grows is the one of the classes.
    shapes = {name: parameter.shape for name, parameter in wider.named_parameters()}
    axes = {
        name: next(i for i, side in enumerate(parameter.shape) if side != shapes[name][i])
        for name, parameter in body.named_parameters()
        if parameter.shape != shapes[name]
    }
    return body, axes


def _create_on_meta(model: str, args: Mapping[str, Any], classes: int) -> nn.Module:
    # First, or the constants that a library makes when it is imported would be on the meta device.
    importlib.import_module(_locate(model)[0])
    try:
        with torch.device("meta"), _Undrawn():
            return _create(model, args, classes)
    except NotImplementedError:  # torchvision's RegNets calculate with tensors in the constructor
        return _create(model, args, classes).to("meta")


class _Undrawn(TorchFunctionMode):
    """Leaves tensors as they are where they would be filled with random numbers.

    Torch imports its compiler to draw none on the meta device.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function of torch, or return its first argument where it draws into that."""
        return args[0] if func in _DRAWS else func(*args, **(kwargs or {}))


def _describe_refusal(model: str, args: Mapping[str, Any], error: Exception) -> SpecError:
    reason = _first_line(error)
    if not args:
        return SpecError("model", f"{model} cannot be built ({reason})")
    given = ", ".join(f"{key}: {value}" for key, value in args.items())
    place = "input_size" if args.keys() <= _SIZE_ARGS else "model_args"
    return SpecError(place, f"{model} does not take {given} ({reason})")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@functools.lru_cache(maxsize=256)
def _check_size(model: str, args: tuple[tuple[str, Any], ...], size: int) -> None:
    """Pass shapes through the network, to find out now whether it takes images of this size.

    How many classes there are does not matter for it.
    """
    classes = 2
    body, _ = _create_shapes(model, args, classes)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            logits = body.train()(torch.empty(2, 3, size, size))
    except Exception as error:  # whatever it is, the network stumbles over the size of the images
        problem = f"{model} cannot take images of {size}x{size} pixels ({_first_line(error)})"
        hint = f"give another input_size, for example {find_usual_size(model)}"
        raise SpecError("input_size", f"{problem}; {hint}") from error
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        problem = f"{model} does not return one logit per class, so it is not a classifier"
        raise SpecError("model", problem)


def _create(model: str, args: Mapping[str, Any], classes: int) -> nn.Module:
    library, name = _locate(model)
    if library == "ktg":
        return CIFAR_MODELS[name](num_classes=classes, **args)
    if library == "timm":
        import timm

        return timm.create_model(name, num_classes=classes, **args)  # type: ignore[no-any-return]
    import torchvision

    if name in _INCEPTIONS:  # the auxiliary classifier would make their output a tuple
        args = {"aux_logits": False, "init_weights": True, **args}
    network: nn.Module = torchvision.models.get_model(
        name, weights=None, num_classes=classes, **args
    )
    return network


def _locate(model: str) -> tuple[str, str]:
    located = locate_model(model)
    if located is None:  # callers that come from outside have been through check_model
        raise KeyError(model)
    return located
