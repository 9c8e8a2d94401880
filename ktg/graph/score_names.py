"""The closed vocabulary of affinity scores; their functions are in `ktg.affinity.scores`."""

from typing import Literal

ScoreName = Literal[
    "s1",
    "s2",
    "s3",
    "s4",
    "s5",
    "s1_rms",
    "s2_rms",
    "s4_rms",
    "s5_rms",
    "fisher",
    "emd",
    "emd_features",
    "logme",
    "hscore",
    "hscore_shrunk",
    "gbc",
    "parc",
    "leep",
    "nce",
    "transrate",
    "knn",
    "linear_probe",
]
Direction = Literal["larger", "smaller"]
TauRank = Literal["score", "accuracy", "none"]

SMALLER_IS_BETTER: frozenset[ScoreName] = frozenset({"s3", "s5", "s5_rms", "emd", "emd_features"})
# What is known only where a user gives names or images of the source's classes.
NEED_MORE: frozenset[ScoreName] = frozenset({"emd", "emd_features"})
DEFAULT_SCORE: ScoreName = "parc"
KEEP = 2  # sources that an affinity hole keeps
