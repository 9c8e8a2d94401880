"""Recipes of pretraining as data: fields of a graph, to which an option of the user comes last."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

PresetName = Literal["tiny", "fractaldb60", "fractaldb1k", "zoo"]
Fields = Mapping[str, Mapping[str, Any]]

# Where a preset leaves the size to the network: that of the CIFAR networks, and that of all others.
SMALL_SIZE = 32
USUAL_SIZE: Mapping[str, int] = {"tiny": 64, "zoo": 224}

_PUBLISHED = {
    "epochs": 90,
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 1e-4,
    "schedule": "step",
    "milestones": [30, 60],
}


def _published(classes: int) -> Fields:
    """Return the recipe of Kataoka et al., ACCV 2020 / IJCV 2022, for `classes` of 1,000 pictures.

    Theirs trains on all pictures; here three in a hundred are held out, to see how it goes.
    """
    data = {
        "size": 224,
        "batch_size": 256,
        "augment": "crop",
        "val_fraction": 0.02,
        "test_fraction": 0.01,
    }
    return {"data": data | {"formula": {"classes": classes}}, "train": _PUBLISHED}


PRESETS: Mapping[PresetName, Fields] = {
    # Minutes on two cores.
    "tiny": {
        "data": {
            "batch_size": 64,
            "augment": "basic",
            "val_fraction": 0.1,
            "test_fraction": 0.05,
            "formula": {"classes": 60, "instances": 100, "points": 20_000},
        },
        "train": {
            "epochs": 30,
            "optimizer": "sgd",
            "lr": 0.1,
            "momentum": 0.9,
            "weight_decay": 1e-4,
        },
    },
    "fractaldb60": _published(60),
    "fractaldb1k": _published(1000),
    # Ueno and Kondo's source models; momentum, weight decay and batch size are not in the paper.
    "zoo": {
        "data": {"batch_size": 64, "augment": "basic"},
        "train": {
            "epochs": 30,
            "optimizer": "sgd",
            "lr": 0.01,
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "schedule": "step",
            "milestones": [7, 14, 21, 28],
        },
    },
}
NAMES: tuple[PresetName, ...] = get_args(PresetName)
