"""Searches, trains and exports knowledge-transfer graphs: AutoML for images on small data."""

from ktg.version import __version__ as __version__

# A plain name, which type checkers and editors take for the one of `typing`: `import ktg` is to
# load nothing at all.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ktg.api import (
        check,
        compare,
        confirm,
        correlate,
        draw,
        export,
        load,
        predict,
        pretrain,
        rank,
        report,
        search,
        searches,
        serve,
        status,
        stop,
        study,
        train,
        ui,
    )

__all__ = [
    "check",
    "compare",
    "confirm",
    "correlate",
    "draw",
    "export",
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
