"""The commands of `ktg` as functions of Python, under the same names: `import ktg; ktg.search("space.yaml")`.

`import ktg` loads none of this, and this module nothing heavy, until a function is called. Graphs
and spaces may be given as paths, as plain data (what YAML gives; relative paths begin in the
working folder), or parsed. A mistake is a `ktg.errors.UserError` in one sentence. What the command
line keeps in `mlflow.db` these functions keep there too; `tracking_uri=None` keeps nothing.
"""

from ktg.api.graphs import check, draw, train
from ktg.api.models import export, load, predict, serve
from ktg.api.searching import compare, confirm, report, search, searches, status, stop, ui
from ktg.api.sources import correlate, pretrain, rank, study

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
