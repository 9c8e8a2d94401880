"""Looks at the machines of a cluster before anything is spent: each needs this ktg, and the files that are used.

Imported on every one of them; so it imports nothing heavy.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ktg.errors import UserError
from ktg.graph import Graph
from ktg.graph.paths import list_files
from ktg.version import __version__

ANSWER_S = 120.0


def seen(paths: Sequence[str]) -> tuple[str, list[str]]:
    """Return the version of ktg on the machine that this runs on, and which of the paths are not there."""
    return __version__, [path for path in paths if not Path(path).exists()]


def check_nodes(
    ray: Any, graphs: Iterable[Graph], storage: Path, warn: Callable[[str], None]
) -> None:
    """Raise UserError for a machine of the cluster that cannot train these graphs.

    One that does not see `storage` is warned of; one that is too busy to answer is left alone.
    """
    files = sorted({path for graph in graphs for path in list_files(graph)})
    storage.mkdir(parents=True, exist_ok=True)
    for address, answer in asked(ray, [*files, str(storage)]).items():
        if isinstance(answer, Exception):
            raise UserError(
                f"node {address}: cannot run ktg ({str(answer).strip().splitlines()[-1]}); install it there"
            )
        version, absent = answer
        if version != __version__:
            raise UserError(
                f"node {address}: has ktg {version}, and this is {__version__}; all machines need the same"
            )
        if lacking := [path for path in absent if path != str(storage)]:
            raise UserError(
                f"node {address}: does not see {', '.join(lacking)}; put the files of a search on a file system that "
                f"all machines share"
            )
        if absent:
            warn(
                f"node {address} does not see {storage}: a trial whose machine is lost begins anew; give a folder that "
                f"all machines share as --storage"
            )


def asked(ray: Any, paths: Sequence[str]) -> dict[str, Any]:
    """Return by address what `seen` says on each machine that can train, or the error that it ends in."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    refs = {}
    for node in ray.nodes():
        if node["Alive"] and (node["Resources"].get("CPU") or node["Resources"].get("GPU")):
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(seen).options(num_cpus=0, max_retries=0, scheduling_strategy=here)
            refs[task.remote(list(paths))] = node["NodeManagerAddress"]
    answers = {}
    for ref in ray.wait(list(refs), num_returns=len(refs), timeout=ANSWER_S)[0] if refs else ():
        try:
            answers[refs[ref]] = ray.get(ref)
        except (
            Exception
        ) as error:  # whatever keeps a machine from answering keeps it from training too
            answers[refs[ref]] = error
    return answers
