"""Says how close an image is to what a network has learned: by the mean features of its classes.

Features are what the head is given, of unit length; closeness is their cosine to the nearest mean,
as Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial
Attacks" (NeurIPS 2018) do with Mahalanobis distances. Means need fewer images than covariances.
"""

import base64
import binascii
from typing import Any

import numpy as np
import numpy.typing as npt

from ktg.data import Images
from ktg.errors import SpecError
from ktg.models.network import Ensemble, Network, find_head, flatten_features
from ktg.training import Training
from ktg.training.scoring import compute_head_inputs

Floats = npt.NDArray[Any]
MOST_IMAGES, MOST_OF_A_CLASS = 600, 30  # that means are of: seconds
MOST_NUMBERS = 400_000  # of all means together, which take 1 MB in a model file


def has_means(network: Network | Ensemble, classes: int) -> bool:
    """Return whether a network has features by class that a model file has room for."""
    head = None if isinstance(network, Ensemble) else find_head(network)
    size = getattr(head, "in_features", None)  # of one linear layer
    return size is not None and classes * size <= MOST_NUMBERS


def compute_class_means(training: Training, network: Network) -> Floats:
    """Return the mean feature (C, D) of each class, of unit length, over some training images."""
    images, classes = training.images, len(training.dataset.classes)
    images = images.take(images.used_rows)
    most = max(1, min(MOST_OF_A_CLASS, MOST_IMAGES // classes))
    labels, random = images.labels, np.random.default_rng(0)
    rows = [random.permutation(np.flatnonzero(labels == label))[:most] for label in range(classes)]
    chosen = np.sort(np.concatenate(rows))
    features = compute_unit_features(training, network, images.take(chosen))
    sums = np.zeros((classes, features.shape[1]))
    np.add.at(sums, labels[chosen], features)
    return _to_unit(sums)


def measure_closeness(features: Floats, means: Floats) -> Floats:
    """Return the cosine (N,) of features (N, D) to the nearest of the means (C, D) of unit length.

    >>> measure_closeness(np.array([[3.0, 4.0]]), np.eye(2))
    array([0.8])
    """
    return np.asarray((_to_unit(features) @ means.T).max(axis=1))


def compute_unit_features(training: Training, network: Network, images: Images) -> Floats:
    """Return the features (N, D) of images, of unit length."""
    found = compute_head_inputs(network, training.split(images), training.precision)
    return _to_unit(flatten_features(found).numpy())


def pack_means(means: Floats) -> str:
    """Return means (C, D) as text: float16, row by row, in base64."""
    return base64.b64encode(means.astype("<f2").tobytes()).decode("ascii")


def unpack_means(text: str, classes: int) -> Floats:
    """Return the means (C, D) in a text. Raises SpecError for any that is not of these classes."""
    try:
        numbers = np.frombuffer(base64.b64decode(text, validate=True), "<f2").astype(np.float64)
    except (binascii.Error, ValueError):
        numbers = np.zeros(0)
    if not 0 < len(numbers) <= MOST_NUMBERS or len(numbers) % classes:
        raise SpecError("calibration.class_means", f"is not one row for each of {classes} classes")
    if not np.isfinite(numbers).all():
        raise SpecError("calibration.class_means", "has numbers that are not finite")
    return numbers.reshape(classes, -1)


def _to_unit(values: Floats) -> Floats:
    values = np.asarray(values, np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-12))
