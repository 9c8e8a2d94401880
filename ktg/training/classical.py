"""Fits logistic regression, an SVM or trees to features: what a trained network should beat."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import Tensor

HeadName = Literal["logistic", "svm", "trees"]


def logistic(seed: int) -> Any:
    """Return L2-regularised logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000))


def svm(seed: int) -> Any:
    """Return a support vector machine with a radial kernel on standardised features."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), SVC())


def trees(seed: int) -> Any:
    """Return a random forest of 500 trees, the only one of the three that uses `seed`."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=500, random_state=seed)


HEADS: Mapping[HeadName, Callable[[int], Any]] = {"logistic": logistic, "svm": svm, "trees": trees}


def score_head(
    head: HeadName, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], seed: int
) -> float:
    """Return the accuracy in [0, 1] on `test` of a head fitted to `train`.

    Both are pairs of features (N, ...) and labels (N,).
    """
    features, labels = train
    fitted = HEADS[head](seed).fit(features.flatten(1).numpy(), labels.numpy())
    unseen, expected = test
    return float((fitted.predict(unseen.flatten(1).numpy()) == expected.numpy()).mean())
