"""Says how much each label of the training images counts: by its own weight, and by its class."""

import numpy as np
import torch
from torch import Tensor

from ktg.data import Images


def scale_label_weights(images: Images, *, by_class: bool = False) -> Tensor | None:
    """Return the weights (N,) of the labels, float32 and 1 in the mean; None where all are alike.

    Only proportions count, so that weights change neither the rate of learning nor the balance with
    edges between nodes. by_class: 1 in the mean of each class, so that classes which come in equal
    shares keep these. Weights 1, 1 and 4 become 0.5, 0.5 and 2.
    """
    if images.weights is None:
        return None
    groups = images.labels if by_class else np.zeros_like(images.labels)
    sums = np.bincount(groups, weights=images.weights)
    means = sums / np.maximum(np.bincount(groups), 1)
    # Where all weights are 0 there is nothing to scale.
    scaled = images.weights / np.where(means > 0, means, 1.0)[groups]
    return torch.from_numpy(scaled.astype(np.float32))


def count_class_weights(labels: Tensor, classes: int, weights: Tensor | None = None) -> Tensor:
    """Return a weight for each class, float (C,), inverse to its number of labels int64 (N,).

    The mean over all labels is 1; without a label the weight is 0. It is what scikit-learn calls
    balanced. weights (N,), 1 in the mean: a label of weight 2 counts as two.

    >>> count_class_weights(torch.tensor([0, 0, 0, 1]), 2).tolist()
    [0.6666666865348816, 2.0]
    """
    counts = labels.bincount(weights, minlength=classes).float()
    return torch.where(counts > 0, len(labels) / (counts * (counts > 0).sum()), 0.0)


def weigh_by_class(class_weights: Tensor, labels: Tensor) -> Tensor:
    """Return the weight (B,) of labels (B,), or of mixed ones (B, C)."""
    if labels.ndim == 1:
        return class_weights[labels]
    return labels.to(class_weights.dtype) @ class_weights


def shift_to_weights(class_weights: Tensor, labels: Tensor) -> Tensor:
    """Return mixed labels (B, C) in which each class counts by its weight; hard ones as they are.

    So that the loss of such a label times `weigh_by_class` is the sum of the losses of its classes,
    each in its share and by the weight of its own class.

    >>> shift_to_weights(torch.tensor([1.0, 3.0]), torch.tensor([[0.5, 0.5]]))
    tensor([[0.2500, 0.7500]])
    """
    if labels.ndim == 1:
        return labels
    counted = labels * class_weights.to(labels.dtype)
    return counted / counted.sum(dim=1, keepdim=True).clamp(min=torch.finfo(counted.dtype).tiny)
