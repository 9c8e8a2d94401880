"""Splits a network into stages from its input to its head, and chooses which of them learn."""

from collections.abc import Callable, Iterator, Set
from typing import Any

from torch import nn

from ktg.errors import SpecError, show

# Children that hold a network's whole trunk, as torchvision and timm call them; their own children
# are the stages.
TRUNKS = frozenset(
    {
        "features",
        "encoder",
        "layers",
        "blocks",
        "stages",
        "dense_stages",
        "transformers",
        "trunk_output",
    }
)


def split_stages(body: nn.Module) -> list[frozenset[str]]:
    """Return the names of the parameters of each stage.

    Stage 0 is the stem, the last holds the head. Every parameter is in exactly one stage. timm says
    itself what belongs together in its networks (its `group_matcher`). In all others, and in the
    few of timm that do not say, each child of the body that holds weight matrices is a stage, in
    the order of registration; a child that holds the trunk (`TRUNKS`) is opened first. What has no
    matrices, a norm layer for instance, and the body's own tensors, such as a class token, belong
    to the stage before them, or to the stem.

    The trap: the last stage holds the head, and sometimes more, such as the norm layer before it.
    """
    return _by_library(body) or _by_children(body)


def split_layers(body: nn.Module) -> list[frozenset[str]]:
    """Return the names of the parameters of each layer, by stage and then in order.

    A layer is a module with parameters of its own.
    """
    found: dict[tuple[int, str], set[str]] = {}
    stage_of = {name: stage for stage, names in enumerate(split_stages(body)) for name in names}
    for name, _ in body.named_parameters():
        found.setdefault((stage_of[name], name.rpartition(".")[0]), set()).add(name)
    return [frozenset(names) for _, names in sorted(found.items(), key=lambda item: item[0][0])]


def select_unfrozen(body: nn.Module, head: Set[str], unfreeze_from: float | None) -> frozenset[str]:
    """Return the names of the parameters that learn after the frozen phase.

    Those of the head always do. A whole number is the first stage to learn; a fraction is the share
    of the layers, from the input and rounded down, that never learn: 0.5 of 15 layers freezes 7.
    None and 0 unfreeze everything.

    Raises SpecError for a stage that the network does not have, and for a fraction of 1 or more.
    """
    if unfreeze_from is None:
        return frozenset(name for name, _ in body.named_parameters())
    if isinstance(unfreeze_from, int):
        parts, first = split_stages(body), unfreeze_from
    else:
        parts = split_layers(body)
        first = int(unfreeze_from * len(parts))
    if first >= len(parts):
        last = len(split_stages(body)) - 1
        raise SpecError(
            "unfreeze_from",
            f"{show(unfreeze_from)} leaves nothing to learn; this network has {last + 1} stages; "
            f"allowed: a stage from 0 (the stem) to {last} (the head), or a fraction below 1",
        )
    return frozenset(head).union(*parts[first:])


def set_modes(body: nn.Module, learning: Set[str]) -> None:
    """Put what holds a learning parameter into training mode and all else into evaluation mode.

    So the batch-norm statistics of what is frozen do not drift, and nothing in it is dropped at
    random. A module without parameters, such as a dropout, is in the mode of the layer before it.
    """
    before = next(iter(body.named_parameters()))[0] in learning
    for path, module in body.named_modules():
        names = [f"{path}.{name}" if path else name for name, _ in module.named_parameters()]
        module.training = any(name in learning for name in names) if names else before
        if list(module.parameters(recurse=False)):
            before = module.training


def _by_library(body: nn.Module) -> list[frozenset[str]]:
    """Return timm's own stages, none where it has not defined any."""
    matcher: Callable[..., Any] | None = getattr(body, "group_matcher", None)
    if matcher is None:
        return []
    from timm.models import group_parameters

    try:
        groups = group_parameters(body, matcher(coarse=True))
    except AssertionError:  # how timm says that a network has no coarse groups
        return []
    return [frozenset(groups[stage]) for stage in sorted(groups)]


def _by_children(body: nn.Module) -> list[frozenset[str]]:
    found: list[set[str]] = [set()]
    started = False
    # A shared parameter has one name here, and two among the children.
    once = {name for name, _ in body.named_parameters()}
    for names, begins in _units(body):
        if begins and started:
            found.append(set())
        started |= begins
        found[-1] |= names & once
    return [frozenset(names) for names in found if names]


def _units(module: nn.Module, prefix: str = "") -> Iterator[tuple[set[str], bool]]:
    """Yield the parameters that stay together, and whether a stage begins with them."""
    yield {f"{prefix}{name}" for name, _ in module.named_parameters(recurse=False)}, False
    for name, child in module.named_children():
        path = f"{prefix}{name}."
        if name in TRUNKS:
            yield from _units(child, path)
        else:
            begins = any(parameter.ndim > 1 for parameter in child.parameters())
            yield {f"{path}{inner}" for inner, _ in child.named_parameters()}, begins
