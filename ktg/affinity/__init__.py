"""Which pretrained weights suit a data set: scores of one forward pass, and how far to trust them.

torch is imported with the scores only; correlations of a table need none.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ktg.affinity.scores import SCORES, NotApplicableError, ScoreSpec, measure, score

__all__ = ["SCORES", "NotApplicableError", "ScoreSpec", "measure", "score"]


def __getattr__(name: str) -> Any:
    """Import the scores, and torch with them, when one is first asked for."""
    if name in __all__:
        from ktg.affinity import scores

        return getattr(scores, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
