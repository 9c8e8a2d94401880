"""Searches, trains and exports knowledge-transfer graphs: AutoML for images on small data."""

from ktg.version import __version__ as __version__

# A plain name, which type checkers and editors take for the one of `typing`: `import ktg` should
# load nothing at all, so that `ktg --help` and shell completion are immediate.
TYPE_CHECKING = False
if TYPE_CHECKING:
    # From the modules that define them, because each module there is called like its function.
    from ktg.api.affinity import rank
    from ktg.api.check import check
    from ktg.api.confirm import confirm
    from ktg.api.data import audit
    from ktg.api.distill import distill
    from ktg.api.evaluate import evaluate
    from ktg.api.export import export
    from ktg.api.graphs import draw
    from ktg.api.init import init
    from ktg.api.predict import load, predict, serve
    from ktg.api.pretrain import pretrain
    from ktg.api.report import compare, report
    from ktg.api.search import search
    from ktg.api.status import searches, status, stop, ui
    from ktg.api.study import correlate, study
    from ktg.api.train import train

__all__ = [
    "audit",
    "check",
    "compare",
    "confirm",
    "correlate",
    "distill",
    "draw",
    "evaluate",
    "export",
    "init",
    "load",
    "predict",
    "pretrain",
    "rank",
    "report",
    "search",
    "searches",
    "serve",
    "status",
    "stop",
    "study",
    "train",
    "ui",
]


def __getattr__(name: str) -> object:
    """Import `ktg.api`, whose functions are the commands, when one is first asked for (PEP 562)."""
    if name in __all__:
        from ktg import api

        return getattr(api, name)
    raise AttributeError(f"module 'ktg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
