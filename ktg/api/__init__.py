"""Makes every command of `ktg` a function of Python of the same name: `ktg.search("space.yaml")`.

`import ktg` loads none of this, and this package nothing heavy, until a function is called. Graphs
and spaces may be given as paths, as plain data (what YAML gives; relative paths begin in the
working folder), or parsed. A mistake is a `ktg.errors.UserError` in one sentence. What the command
line records in `mlflow.db` these functions record there too; `tracking_uri=None` records nothing.
The command line calls these functions and prints what they return.
"""

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
