"""Trains the network of one node: optimizer, schedule, frozen parts and averaged weights."""

import copy
from collections.abc import Callable, Mapping, Set
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ktg.graph import Node, Train
from ktg.graph.vocabulary import OptimizerName
from ktg.models.network import Network
from ktg.models.stages import select_unfrozen, set_modes, split_stages
from ktg.training.schedule import Schedule

Groups = list[dict[str, Any]]


def sgd(groups: Groups, lr: float, train: Train) -> torch.optim.Optimizer:
    """Return SGD with (Nesterov) momentum."""
    nesterov = train.nesterov and train.momentum > 0
    return torch.optim.SGD(groups, lr=lr, momentum=train.momentum, nesterov=nesterov, fused=True)


def adamw(groups: Groups, lr: float, train: Train) -> torch.optim.Optimizer:
    """Return AdamW (Loshchilov & Hutter, "Decoupled Weight Decay Regularization", ICLR 2019)."""
    return torch.optim.AdamW(groups, lr=lr, betas=(train.momentum, 0.999), fused=True)


def adam(groups: Groups, lr: float, train: Train) -> torch.optim.Optimizer:
    """Return Adam (Kingma & Ba, ICLR 2015)."""
    return torch.optim.Adam(groups, lr=lr, betas=(train.momentum, 0.999), fused=True)


OPTIMIZERS: Mapping[OptimizerName, Callable[[Groups, float, Train], torch.optim.Optimizer]] = {
    "sgd": sgd,
    "adamw": adamw,
    "adam": adam,
}


def group_parameters(
    network: Network,
    learning: Set[str],
    node: Node,
    weight_decay: float,
    decay_norm_and_bias: bool,
) -> Groups:
    """Return the optimizer's groups of the parameters named in `learning`.

    Head and backbone are in different groups, each with and without decay; `lr_scale` is the factor
    of a group's learning rate. Norm layers' parameters and biases are those with fewer than two
    dimensions. Each stage has its own groups where `node.layer_decay` or `node.unfreeze_every` asks
    for it.
    """
    # Two parameters may share a group only if they begin to learn together: torch's fused SGD fails
    # on a group where only some parameters have had gradients, as after a frozen phase. What
    # never learns is in no group at all.
    depth = _depths(network) if node.layer_decay < 1 or node.unfreeze_every else {}
    groups: dict[tuple[bool, int, bool], list[nn.Parameter]] = {}
    for name, parameter in network.body.named_parameters():
        if name in learning:
            decays = decay_norm_and_bias or parameter.ndim > 1
            group = (name in network.head, depth.get(name, 0), decays)
            groups.setdefault(group, []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": weight_decay if decays else 0.0,
            "lr_scale": 1.0 if in_head else node.backbone_lr_scale * node.layer_decay**stages_below,
        }
        for (in_head, stages_below, decays), parameters in groups.items()
    ]


def group_adapter_parameters(adapters: nn.Module, weight_decay: float) -> Groups:
    """Return the groups of what edges learn: projections with decay, learned weights without."""
    # Decay pulls log_variance to 0, and with it the weight to 1.
    groups: dict[bool, list[nn.Parameter]] = {}
    for parameter in adapters.parameters():
        groups.setdefault(parameter.ndim > 0, []).append(parameter)
    return [
        {"params": parameters, "weight_decay": weight_decay if decays else 0.0, "lr_scale": 1.0}
        for decays, parameters in groups.items()
    ]


def _depths(network: Network) -> dict[str, int]:
    """Return how many stages below the head's each parameter lies."""
    depths = enumerate(reversed(split_stages(network.body)))
    return {name: depth for depth, names in depths for name in names}


class Learner:
    """Trains one network by the losses it is given.

    What is frozen keeps its weights and batch-norm statistics: no gradients, no optimizer state,
    evaluation mode. In the frozen phase (the first `node.frozen_epochs` epochs) that is the
    backbone; afterwards what lies before `node.unfreeze_from`. With `node.unfreeze_every` the
    stages thaw one after the other, from the head's side (Howard and Ruder, "Universal Language
    Model Fine-tuning for Text Classification", ACL 2018). When a stage thaws, what has learned
    before keeps its optimizer state. The schedule runs over all of training, frozen phase included;
    the backbone's rate is `node.backbone_lr_scale` of it, times `node.layer_decay` for each stage
    below the head's. With `node.frozen_norm` batch norm stays in evaluation mode for good; its
    scale and shift learn with their stage.

    `adapters`, by source, are the parts of incoming edges that learn with the network, at the
    head's rate.
    """

    def __init__(
        self,
        network: Network,
        node: Node,
        train: Train,
        adapters: Mapping[str, nn.Module] = MappingProxyType({}),
    ) -> None:
        self.network = network
        self.adapters = nn.ModuleDict(adapters)
        self.frozen_epochs, self.unfreeze_every = node.frozen_epochs, node.unfreeze_every
        self.frozen_norm = node.frozen_norm
        self.clip_norm = train.clip_norm if node.clip_norm is None else node.clip_norm
        self.peak_lr = node.lr or train.lr
        warmup = train.warmup_epochs if node.warmup_epochs is None else node.warmup_epochs
        epochs = max(train.epochs, 1)  # without epochs no step is taken, and no schedule asked
        self.schedule = Schedule(
            node.schedule or train.schedule,
            warmup=warmup / epochs,
            milestones=[epoch / epochs for epoch in train.milestones],
            step_factor=train.step_factor,
        )
        weight_decay = train.weight_decay if node.weight_decay is None else node.weight_decay
        self.unfrozen = select_unfrozen(network.body, network.head, node.unfreeze_from)
        groups = group_parameters(
            network, self.unfrozen, node, weight_decay, train.decay_norm_and_bias
        )
        groups += group_adapter_parameters(self.adapters, weight_decay)
        self.optimizer = OPTIMIZERS[node.optimizer or train.optimizer](groups, self.peak_lr, train)
        self.average = Average(network, train.ema_decay) if train.ema_decay else None
        self.forward: Callable[[Tensor], Tensor] = (
            torch.compile(network) if train.compile else network
        )

    @property
    def lr(self) -> float:
        """The head's learning rate in the last step; nothing learns at a higher one."""
        return float(max(group["lr"] for group in self.optimizer.param_groups))

    @property
    def evaluated(self) -> Network:
        """The network that counts: the averaged one where there is one."""
        return self.average.network if self.average else self.network

    def select_parameters(self, epoch: int) -> frozenset[str]:
        """Return the names, within the body, of the parameters that learn in an epoch (from 0)."""
        if epoch < self.frozen_epochs:
            return self.network.head
        if self.unfreeze_every is None:
            return self.unfrozen
        # Stages that learn now: the head's, the last of the backbone, and one more each time.
        thawed = 2 + (epoch - self.frozen_epochs) // self.unfreeze_every
        return self.unfrozen & self.network.head.union(*split_stages(self.network.body)[-thawed:])

    def begin_epoch(self, epoch: int) -> None:
        """Put the network into the mode of this epoch (counted from 0)."""
        learning = self.select_parameters(epoch)
        self.network.train()
        for name, parameter in self.network.body.named_parameters():
            parameter.requires_grad_(name in learning)
        set_modes(self.network.body, learning)
        for module in self.network.body.modules() if self.frozen_norm else ():
            if isinstance(module, _BatchNorm):
                module.eval()

    def step(self, where: float) -> None:
        """Update the weights from their gradients, at the learning rate of `where` in [0, 1)."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.peak_lr * self.schedule(where) * group["lr_scale"]
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(
                [*self.network.parameters(), *self.adapters.parameters()], self.clip_norm
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(self.network)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that training changes."""
        state = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {"adapters": self.adapters.state_dict()} if self.adapters else {}
        return state | ({"average": self.average.network.state_dict()} if self.average else {})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.adapters:
            self.adapters.load_state_dict(state["adapters"])
        if self.average:
            self.average.network.load_state_dict(state["average"])


class Average:
    """An exponential moving average of a network's weights; batch-norm statistics are copied."""

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._mix = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    def update(self, network: Network) -> None:
        """Move the average towards the network's present weights."""
        with torch.no_grad():
            self._mix(list(self.network.parameters()), list(network.parameters()), 0)
            for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
                mine.copy_(theirs)
