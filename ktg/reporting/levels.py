"""Says how good a graph is: the mean of the race where it has new seeds, else one training."""

from dataclasses import dataclass
from typing import Any

from ktg.graph.space import MetricName
from ktg.searching.score import WORDS, cut_score, format_score, to_value
from ktg.searching.stored_search import StoredSearch, StoredTrial


@dataclass(frozen=True)
class Level:
    """The score of a graph by the metric of its search, of which higher is better.

    n: how many new seeds it is the mean of; 0 where it is that of the one training in the search.
    """

    metric: MetricName
    score: float
    n: int

    @property
    def basis(self) -> str:
        """What the score is of, in words."""
        if self.n > 1:
            return f"mean of {self.n} trainings with new seeds"
        return "one training with a new seed" if self.n else "one training"

    @property
    def text(self) -> str:
        """The score as people read it, without its metric."""
        return format_score(self.metric, self.score)

    @property
    def sentence(self) -> str:
        """The metric, the score and what it is of."""
        return f"{WORDS[self.metric]} {self.text} ({self.basis})"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data: a loss as that, in nats, all others in [0, 1]."""
        value = to_value(self.metric, cut_score(self.metric, self.score))
        words = {"words": WORDS[self.metric], "text": self.text, "basis": self.basis}
        return {"metric": self.metric, "value": value, "n": self.n, **words}


def read_level(search: StoredSearch, trial: StoredTrial) -> Level:
    """Return how good the graph of a finished trial is, as far as new seeds tell."""
    raced = search.find_contestant(trial)
    if raced is None or not raced.runs:
        return Level(search.metric, trial.score, 0)
    return Level(search.metric, raced.mean, raced.runs)
