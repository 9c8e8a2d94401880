"""Finds labels that are probably wrong, from features of a frozen network.

Logistic regression predicts each image by a model that has not seen it (out of fold), and confident
learning compares these probabilities with the labels (Northcutt, Jiang and Chuang, "Confident
Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021). It is done twice, as what the first
pass doubts should not teach the second, and that for several divisions into folds; the mean of all
probabilities counts.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

FOLDS = 5
DIVISIONS = 3
DIMENSIONS = 256  # regression is four times as fast as on 1,280, and no less sure
# Inverse, the strongest first: the more labels are wrong, the stronger regularisation must be.
STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0, 10.0)
_TINY = 1e-12


@dataclass(frozen=True)
class LabelDoubts:
    """What out-of-fold predictions say of N labels.

    `probabilities` (N, K); `doubt` (N,) is the log of how many times as probable the likeliest
    other class is as the label; `proposed` (N,) that class; `wrong` (N,) whether confident
    learning takes the label for wrong; `noise` the share of wrong labels that it estimates.
    """

    probabilities: Floats
    doubt: Floats
    proposed: Rows
    wrong: Flags
    noise: float


def estimate_noise(features: npt.ArrayLike, labels: npt.ArrayLike, seed: int = 0) -> float:
    """Return about which share of the labels (N,) is wrong, from frozen features (N, D).

    It counts images near the border of two classes, too, so that clean labels of hard classes have
    some hundredths: it is high rather than low. 0 where nothing can be held out.
    """
    return doubt_labels(np.asarray(features, np.float64), np.asarray(labels), seed=seed).noise


def doubt_labels(
    features: Floats,
    labels: Rows,
    groups: Rows | None = None,
    held: Flags | None = None,
    seed: int = 0,
) -> LabelDoubts:
    """Return what frozen features (N, D) say of the labels (N,), numbers from 0.

    groups (N,): images of one group, such as twins, are never in different folds, as one would
    vouch for the label of the other. held (N,): images that teach nothing, as those of a test
    split: they are predicted from all others but their twins, and do not count for `noise`.
    Without two classes of two images nothing can be held out, and nothing is doubted.
    """
    groups = np.arange(len(labels)) if groups is None else groups
    own = np.ones(len(labels), dtype=bool) if held is None else ~held
    classes = int(labels.max()) + 1
    if not can_hold_out(labels[own], groups[own]):
        certain, sure = np.eye(classes)[labels], np.full(len(labels), -np.inf)
        return LabelDoubts(certain, sure, labels.copy(), np.zeros(len(labels), dtype=bool), 0.0)
    values = reduce_features(features)
    strength, own_probabilities = _predict_each_other(
        values[own], labels[own], groups[own], classes, seed
    )
    probabilities, wrong = np.zeros((len(labels), classes)), np.zeros(len(labels), dtype=bool)
    probabilities[own] = own_probabilities
    wrong[own], noise = learn_confidently(own_probabilities, labels[own])
    if not own.all():
        teachers = own & ~wrong & ~np.isin(groups, groups[~own])
        probabilities[~own] = predict_by_regression(
            values[teachers], labels[teachers], values[~own], strength, classes
        )
        wrong[~own], _ = learn_confidently(probabilities[~own], labels[~own])
    doubt, proposed = measure_doubt(probabilities, labels)
    return LabelDoubts(probabilities, doubt, proposed, wrong, noise)


def _predict_each_other(
    values: Floats, labels: Rows, groups: Rows, classes: int, seed: int
) -> tuple[float, Floats]:
    """Return the strength, and the mean probabilities (N, classes) of all divisions and passes."""
    everything = np.ones(len(labels), dtype=bool)
    strength = choose_strength(values, labels, split_folds(labels, groups, seed), classes)
    passes = []
    for division in range(DIVISIONS):
        folds = split_folds(labels, groups, seed + division)
        first = predict_out_of_fold(values, labels, folds, strength, everything, classes)
        doubted, _ = learn_confidently(first, labels)
        second = predict_out_of_fold(values, labels, folds, strength, ~doubted, classes)
        passes += [first, second]
    return strength, np.mean(passes, axis=0)


def reduce_features(features: Floats, dimensions: int = DIMENSIONS) -> Floats:
    """Return features (N, D) of unit length, projected on their principal components (N, R).

    They are scaled to a mean square of 1, so that one strength means the same for every network.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import normalize

    unit = normalize(features) * np.sqrt(features.shape[1])
    most = min(dimensions, *unit.shape)
    if most == unit.shape[1]:
        return unit - unit.mean(axis=0)  # type: ignore[no-any-return]
    solver = "randomized" if most < min(unit.shape) else "full"
    return PCA(most, svd_solver=solver, random_state=0).fit_transform(unit)  # type: ignore[no-any-return]


def can_hold_out(labels: Rows, groups: Rows) -> bool:
    """Return whether two classes have images in two groups, so that something can be predicted."""
    sizes = [len(np.unique(groups[labels == label])) for label in np.unique(labels)]
    return sum(size > 1 for size in sizes) > 1


def split_folds(labels: Rows, groups: Rows, seed: int = 0) -> Rows:
    """Return the fold (N,) of every image, with classes in their shares, and groups kept together.

    There are five, or as many as the most frequent label has images.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    folds = min(FOLDS, int(np.bincount(labels).max()))
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    found = np.zeros(len(labels), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer images than folds
        for number, (_, held) in enumerate(split.split(labels, labels, groups)):
            found[held] = number
    return found


def choose_strength(values: Floats, labels: Rows, folds: Rows, classes: int) -> float:
    """Return the strength of `STRENGTHS` with the least cross-validated loss.

    They are tried from the strongest on until the loss has clearly risen again.
    """
    losses: dict[float, float] = {}
    everything = np.ones(len(labels), dtype=bool)
    for strength in STRENGTHS:
        found = predict_out_of_fold(values, labels, folds, strength, everything, classes)
        given = found[np.arange(len(labels)), labels]
        losses[strength] = float(-np.log(given + _TINY).mean())
        if losses[strength] > 1.05 * min(losses.values()):
            break
    return min(losses, key=losses.__getitem__)


def predict_out_of_fold(
    values: Floats, labels: Rows, folds: Rows, strength: float, teachers: Flags, classes: int
) -> Floats:
    """Return the probabilities (N, classes) that regressions on the other folds give to each image.

    teachers (N,): which images they learn from.
    """
    found = np.zeros((len(labels), classes))
    for number in np.unique(folds):
        held = folds == number
        rest = ~held & teachers
        found[held] = predict_by_regression(
            values[rest], labels[rest], values[held], strength, classes
        )
    return found


def predict_by_regression(
    values: Floats, labels: Rows, asked: Floats, strength: float, classes: int
) -> Floats:
    """Return the probabilities (M, classes) of logistic regression for the rows that are asked.

    A class that no label names gets 0; a label that all rows share gets 1.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    found, present = np.zeros((len(asked), classes)), np.unique(labels)
    if len(present) < 2:
        found[:, present] = 1.0
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(values, labels)
    found[:, present] = model.predict_proba(asked)
    return found


def learn_confidently(probabilities: Floats, labels: Rows) -> tuple[Flags, float]:
    """Return which labels (N,) confident learning takes for wrong, and the share it estimates.

    probabilities: (N, K), out of fold. A class's threshold is the mean probability that images of
    this label have of it. An image is counted as the likeliest of the classes whose thresholds it
    reaches; where that is not its label, the label is taken for wrong. For the share, the counts of
    each label are scaled to as many images as have it.

    The third image is more a 1 than images labelled 1 are on average:

    >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8]])
    >>> learn_confidently(probabilities, np.array([0, 0, 0, 1, 1]))
    (array([False, False,  True, False, False]), 0.2)
    """
    classes = probabilities.shape[1]
    given = probabilities[np.arange(len(labels)), labels]
    sizes = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=given, minlength=classes)
    # No image reaches the threshold of a class that nobody has.
    thresholds = np.where(sizes > 0, sums / np.maximum(sizes, 1), np.inf)
    reached = probabilities >= thresholds
    likeliest = np.where(reached, probabilities, -1.0).argmax(axis=1)
    counted = reached.any(axis=1)
    joint = np.zeros((classes, classes))
    np.add.at(joint, (labels[counted], likeliest[counted]), 1)
    rows = joint.sum(axis=1)
    right = np.divide(np.diag(joint), rows, out=np.ones(classes), where=rows > 0)
    return counted & (likeliest != labels), float(((1 - right) * sizes).sum() / len(labels))


def measure_doubt(probabilities: Floats, labels: Rows) -> tuple[Floats, Rows]:
    """Return log p(best other class) - log p(label), (N,), and that other class, (N,).

    >>> measure_doubt(np.array([[0.2, 0.8], [0.75, 0.25]]), np.array([0, 0]))  # log 4, -log 3
    (array([ 1.38629436, -1.09861229]), array([1, 1]))
    """
    places = np.arange(len(labels))
    others = probabilities.copy()
    others[places, labels] = -1.0
    best = others.argmax(axis=1)
    given, other = probabilities[places, labels], np.maximum(others[places, best], 0.0)
    return np.log(other + _TINY) - np.log(given + _TINY), best
