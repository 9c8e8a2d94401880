"""Names the words that a graph may use, and groups those that are treated alike."""

from typing import Literal, get_args

GateName = Literal[
    "through", "cutoff", "linear", "correct", "inverse", "small_loss", "agree", "disagree"
]
LossName = Literal[
    "ce",
    "gce",
    "sce",
    "bootstrap",
    "kl",
    "js",
    "dkd",
    "emd",
    "dist",
    "attention",
    "feature",
    "embedding",
]
OptimizerName = Literal["sgd", "adamw", "adam"]
ScheduleName = Literal["constant", "step", "cosine"]
ViewName = Literal["none", "basic", "crop", "randaugment", "augmix", "pspnet"]
AugmentName = Literal["none", "basic", "crop", "randaugment", "augmix", "pspnet", "cutmix_or_mixup"]
FormulaName = Literal["fractaldb", "ofdb", "onep", "svd"]
TargetName = Literal["first", "ensemble"]
HeadName = Literal["new", "probe"]
Scalar = str | int | float | bool

LABEL = "label"
ANY = "any"
IMAGENET = "imagenet"
LEARNED = "learned"
FEATURES = "features"
AUTO = "auto"
EMBEDDING: LossName = "embedding"
# Losses of edges from `label`; all others are of edges between nodes.
LABEL_LOSSES: tuple[LossName, ...] = ("ce", "gce", "sce", "bootstrap")
# Gates that let through some samples of a batch whole, and no others.
KEEPING_GATES: tuple[GateName, ...] = ("correct", "small_loss", "agree", "disagree")
# Of these, those that compare the predictions of two nodes.
PEER_GATES: tuple[GateName, ...] = ("agree", "disagree")
MAP_LOSSES: tuple[LossName, ...] = ("attention", "feature")
# Losses that never reach the head of the node that learns.
FEATURE_LOSSES: tuple[LossName, ...] = (*MAP_LOSSES, EMBEDDING)
GATES: tuple[str, ...] = get_args(GateName)
FORMULAS: tuple[str, ...] = get_args(FormulaName)
