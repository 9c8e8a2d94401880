"""What a user asks of affinity: the data, the candidates, the score, and distances between the names of classes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ktg.cli.decoding import Decoding
from ktg.cli.load import checked_graph, checked_space, named_data
from ktg.errors import UserError, not_one_of
from ktg.graph import IMAGENET, Data, Graph, Node, SourceFile, sources_for
from ktg.graph.parse import read_weights
from ktg.graph.spec import ScoreName
from ktg.models.sources import check_imagenet_files

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from rich.console import Console

    from ktg.affinity.candidate import Candidate
    from ktg.affinity.ranking import Measured
    from ktg.data import Dataset

    Distance = Callable[[Candidate, Dataset], npt.NDArray[np.float64] | None]


@dataclass(frozen=True)
class Asked:
    """A data set with what is named beside it in a graph or search space: files of weights, and what may compete."""

    data: Data
    sources: Mapping[str, SourceFile] = field(default_factory=dict)
    weights: Mapping[str, SourceFile] = field(default_factory=dict)
    graph: Graph | None = None
    candidates: "Sequence[Candidate]" = ()

    @property
    def target(self) -> Node | None:
        """The node whose settings candidates share."""
        return None if self.graph is None else self.graph.nodes[self.graph.target]

    def sources_for(self, candidate: "Candidate") -> Mapping[str, SourceFile]:
        """Return the files that the candidate may name as its source."""
        return sources_for(candidate.node.model, self.sources, self.weights)

    def among(self, texts: Sequence[str]) -> "Sequence[Candidate]":
        """Return the candidates of `MODEL@SOURCE` texts, by default all that the search space's target can be."""
        from ktg.affinity.candidate import parse

        if texts:
            return parse(texts, self.sources, like=self.target, weights=self.weights)
        if not self.candidates:
            raise UserError(
                "--among: name the candidates, MODEL@SOURCE, or give a search space that has them as holes"
            )
        return self.candidates


def with_imagenet(
    given: Asked, files: Mapping[str, str], texts: Sequence[str]
) -> "tuple[Asked, Sequence[Candidate]]":
    """Return what was asked with more files that stand for `imagenet`, and the candidates of `texts`.

    Raises SpecError for a file that no candidate starts from.
    """
    added = read_weights(files)
    given = replace(given, weights={**given.weights, **added})
    candidates = given.among(texts)
    wanted = {candidate.node.model for candidate in candidates if candidate.node.source == IMAGENET}
    check_imagenet_files(added, wanted, "--imagenet ")
    return given, candidates


def asked(data: str) -> Asked:
    """Return what the user means by DATA: a folder, an .npz, a known name, a graph or a search space."""
    from ktg.graph import is_space
    from ktg.graph.yaml_files import load

    path = Path(data).expanduser()
    if path.suffix in (".yaml", ".yml"):
        return of_space(path) if is_space(load(path)) else of_graph(checked_graph(path))
    return Asked(named_data(data))


def of_space(path: Path) -> Asked:
    """Return what the search space in a file asks."""
    from ktg.affinity.candidate import of_space as candidates_of

    space = checked_space(path)
    graph = space.bind(space.default())
    return Asked(graph.data, graph.sources, graph.weights, graph, candidates_of(space))


def of_graph(graph: Graph) -> Asked:
    """Return what a graph asks; its only candidate is its target."""
    from ktg.affinity.candidate import named

    return Asked(
        graph.data, graph.sources, graph.weights, graph, named([graph.nodes[graph.target]])
    )


def checked_score(name: str) -> ScoreName:
    """Return the affinity score of this name. Raises SpecError where there is none."""
    names: tuple[ScoreName, ...] = get_args(ScoreName)
    for known in names:
        if name == known:
            return known
    raise not_one_of("--score", name, "an affinity score", names, most=len(names))


def distances(
    given: Asked, embeddings: Path | None, table: Path | None, tell: Callable[[str], None]
) -> "Distance | None":
    """Return a function from a candidate to the distances of its classes from those of the data, None if none is given.

    The function returns None, and tells why, where the names of the source's classes are not known.
    Raises UserError where both files are given.
    """
    if embeddings is not None and table is not None:
        raise UserError(
            "--embeddings and --distances both say how far classes are apart; give one of them"
        )
    if embeddings is None and table is None:
        return None

    def distance(candidate: "Candidate", data: "Dataset") -> "npt.NDArray[np.float64] | None":
        from ktg.affinity.candidate import source_classes
        from ktg.data.embeddings import class_distance, table_distance
        from ktg.models.sources import resolve_source

        sources = given.sources_for(candidate)
        head = source_classes(candidate, sources, data.train.shape[0])
        names = None if head is None else resolve_source(candidate.node, sources).class_names
        if names is None or len(names) != head:
            has = (
                "no head"
                if head is None
                else f"{head} classes, and {len(names) if names else 'no'} names are known"
            )
            tell(
                f"emd: not for {candidate.name}: its source has {has} (`labels:` in `sources:` names a file of them)"
            )
            return None
        if table is not None:
            return table_distance(table, names, data.classes)
        assert embeddings is not None  # noqa: S101 - one of the two is given
        return class_distance(embeddings, names, data.classes)

    return distance


def measure_all(
    given: Asked,
    candidates: "Sequence[Candidate]",
    sample: int,
    seed: int,
    device: str | None,
    distance: "Distance | None",
    console: "Console",
) -> "tuple[dict[str, Measured], dict[str, str]]":
    """Return what was measured of each candidate, and why others could not be. Raises UserError if none could."""
    from ktg.affinity.ranking import measured
    from ktg.data.open import open_data
    from ktg.models.network import choose_device

    with Decoding(console) as decoding:
        data = open_data(given.data, progress=decoding)
    place = choose_device(device)
    found: dict[str, Measured] = {}
    failed: dict[str, str] = {}
    for count, candidate in enumerate(candidates, 1):
        with console.status(f"{candidate.name} ({count} of {len(candidates)})") as status:

            def show_progress(
                done: int, total: int, status: Any = status, name: str = candidate.name
            ) -> None:
                status.update(f"{name}: {done} of {total} images")

            try:
                found[candidate.name] = measured(
                    candidate,
                    data,
                    sources=given.sources_for(candidate),
                    sample=sample,
                    seed=seed,
                    device=place,
                    progress=show_progress,
                    class_distance=distance(candidate, data) if distance else None,
                )
            except UserError as error:
                failed[candidate.name] = str(error)
    if not found:
        raise UserError("; ".join(failed.values()))
    return found, failed
