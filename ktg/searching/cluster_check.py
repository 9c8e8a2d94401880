"""Checks that every machine of a cluster has this ktg and sees the files that a search uses.

Every machine imports this module for the check, so it imports nothing heavy.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ktg.errors import UserError
from ktg.graph import Graph
from ktg.graph.paths import list_files
from ktg.version import __version__

ANSWER_S = 120.0


def inspect_machine(paths: Sequence[str]) -> tuple[str, list[str]]:
    """Return the version of ktg on the machine that this runs on, and the paths missing there."""
    return __version__, [path for path in paths if not Path(path).exists()]


def check_machines(
    ray: Any, graphs: Iterable[Graph], storage: Path, warn: Callable[[str], None]
) -> None:
    """Raise UserError for a machine of the cluster that cannot train these graphs.

    warn: called with a sentence about a machine that does not see `storage`. One that is too busy
    to answer is left alone.
    """
    files = sorted({path for graph in graphs for path in list_files(graph)})
    storage.mkdir(parents=True, exist_ok=True)
    for address, answer in ask_machines(ray, [*files, str(storage)]).items():
        if isinstance(answer, Exception):
            why = str(answer).strip().splitlines()[-1]
            raise UserError(f"node {address}: cannot run ktg ({why}); install it there")
        version, absent = answer
        if version != __version__:
            problem = f"has ktg {version}, and this is {__version__}; all machines need the same"
            raise UserError(f"node {address}: {problem}")
        if lacking := [path for path in absent if path != str(storage)]:
            advice = "put the files of a search on a file system that all machines share"
            raise UserError(f"node {address}: does not see {', '.join(lacking)}; {advice}")
        if absent:
            warn(
                f"node {address} does not see {storage}: a trial whose machine is lost starts "
                "again; give a folder that all machines share as --storage"
            )


def ask_machines(ray: Any, paths: Sequence[str]) -> dict[str, Any]:
    """Return, by address, what `inspect_machine` answers on each machine that can train.

    In place of an answer there may be the error that it ended in.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    refs = {}
    for node in ray.nodes():
        if node["Alive"] and (node["Resources"].get("CPU") or node["Resources"].get("GPU")):
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(inspect_machine)
            task = task.options(num_cpus=0, max_retries=0, scheduling_strategy=here)
            refs[task.remote(list(paths))] = node["NodeManagerAddress"]
    answers = {}
    for ref in ray.wait(list(refs), num_returns=len(refs), timeout=ANSWER_S)[0] if refs else ():
        try:
            answers[refs[ref]] = ray.get(ref)
        except Exception as error:  # what keeps a machine from answering keeps it from training
            answers[refs[ref]] = error
    return answers
