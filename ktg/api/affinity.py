"""Ranks pretrained weights for a data set by affinity, which needs no training."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ktg.api import inputs
from ktg.api.listener import QUIET, Listener
from ktg.errors import KtgError, UserError, not_one_of
from ktg.graph import IMAGENET, Data, Graph, Node, SourceFile, is_space, sources_for
from ktg.graph.holes import DEFAULT_SCORE, SMALLER_IS_BETTER, ScoreName
from ktg.graph.parse import read_weights
from ktg.graph.yaml_files import is_yaml, load
from ktg.models.resolve import check_imagenet_files

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ktg.affinity.candidate import Candidate
    from ktg.affinity.ranking import Measured as Measured
    from ktg.data import Dataset

    Distance = Callable[[Candidate, Dataset], npt.NDArray[np.float64] | None]

__all__ = ["DEFAULT_SCORE", "SCORES", "SMALLER_IS_BETTER", "rank", "record_ranking"]
SCORES: tuple[ScoreName, ...] = get_args(ScoreName)


@dataclass(frozen=True)
class AffinityInput:
    """A data set with what a graph or search space names beside it: weights, and candidates."""

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

    def choose_candidates(self, texts: Iterable[str]) -> "Sequence[Candidate]":
        """Return the candidates of `MODEL@SOURCE` texts, by default all of the search space."""
        from ktg.affinity.candidate import parse

        if texts := tuple(texts):
            return parse(texts, self.sources, like=self.target, weights=self.weights)
        if not self.candidates:
            advice = "or give a search space that has them as holes"
            raise UserError(f"--among: name the candidates, MODEL@SOURCE, {advice}")
        return self.candidates


@dataclass(frozen=True)
class Ranking:
    """What was measured of each candidate, the best first, and why others were not measured."""

    score: ScoreName
    found: "dict[str, Measured]"
    failed: dict[str, str]

    @property
    def columns(self) -> list[str]:
        """The score that decides the order, and the baselines."""
        from ktg.affinity.ranking import BASELINES

        return list(dict.fromkeys((self.score, *BASELINES)))

    def to_json(self) -> dict[str, Any]:
        """Return the candidates with their scores as plain data."""
        from ktg.affinity.record import ranking_to_json

        return {"score": self.score} | ranking_to_json(self.found, self.failed)


def rank(
    data: str | Path,
    among: Iterable[str] = (),
    *,
    score: str = DEFAULT_SCORE,
    sample: int = 2000,
    seed: int = 0,
    device: str | None = None,
) -> "dict[str, Measured]":
    """Return what affinity says of pretrained weights, the best by `score` first.

    data: a folder, an .npz, a data set known by name, or the file of a graph or search space.
    among: `MODEL@SOURCE` texts; default: what the target of the search space can be.
    Nothing is written to MLflow. Raises UserError for a candidate that cannot be measured.
    """
    from ktg.affinity.ranking import rank_candidates

    chosen, given = check_score(score), read_input(str(data))
    inputs.check_device(device)
    found, failed = measure(given, given.choose_candidates(among), sample, seed, device)
    if failed:
        raise UserError("; ".join(failed.values()))
    return {name: found[name] for name in rank_candidates(found, chosen)}


def record_ranking(
    data: str,
    among: Iterable[str] = (),
    *,
    score: str = DEFAULT_SCORE,
    sample: int = 2000,
    seed: int = 0,
    embeddings: Path | None = None,
    distances: Path | None = None,
    imagenet: Mapping[str, str] = inputs.NO_FILES,
    output: Path | None = None,
    device: str | None = None,
    tracking_uri: str | None = inputs.STORE,
    listener: Listener = QUIET,
) -> Ranking:
    """Rank candidates as `rank` does, record the ranking in MLflow, and draw it into `output`.

    embeddings: word vectors that say how far names of classes are apart; distances: a table of
    these distances instead. imagenet: by model, files that stand for `source: imagenet`.
    """
    chosen = check_score(score)
    given, candidates = add_imagenet(read_input(data), imagenet, among)
    inputs.check_device(device)
    inputs.check_store(tracking_uri)
    folder = inputs.make_folder(output) if output else None

    from ktg.affinity.plots import draw_ranking
    from ktg.affinity.ranking import BASELINES, rank_candidates
    from ktg.affinity.record import EXPERIMENT, log_ranking, start_ranking

    distance = make_distance(given, embeddings, distances, listener.warn)
    with (
        inputs.open_tracker(EXPERIMENT, tracking_uri, listener) as tracker,
        start_ranking(tracker, data, score) as run,
    ):
        found, failed = measure(given, candidates, sample, seed, device, distance, listener)
        found = {name: found[name] for name in rank_candidates(found, chosen)}
        panels = {name: [one.value(name) for one in found.values()] for name in (score, *BASELINES)}
        chart = draw_ranking(f"Pretrained weights for {data}, by {score}", list(found), panels)
        log_ranking(tracker, run, found, failed, chart)
    if folder:
        (folder / "ranking.svg").write_bytes(chart)
    return Ranking(chosen, found, failed)


def read_input(data: str) -> AffinityInput:
    """Return what `data` names: a folder, an .npz, a known name, a graph or a search space."""
    from ktg.affinity.candidate import list_candidates, name_candidates

    path = Path(data).expanduser()
    if not is_yaml(path):
        return AffinityInput(inputs.find_data(data))
    if is_space(load(path)):
        space = inputs.load_space_file(path)
        graph = space.bind(space.default())
        candidates = list_candidates(space)
    else:
        graph = inputs.load_graph_file(path)
        candidates = name_candidates([graph.nodes[graph.target]])
    return AffinityInput(graph.data, graph.sources, graph.weights, graph, candidates)


def add_imagenet(
    given: AffinityInput, files: Mapping[str, str], texts: Iterable[str]
) -> "tuple[AffinityInput, Sequence[Candidate]]":
    """Return what was given with more files that stand for `imagenet`, and the candidates.

    Raises SpecError for a file that no candidate starts from.
    """
    added = read_weights(files)
    given = replace(given, weights={**given.weights, **added})
    candidates = given.choose_candidates(texts)
    wanted = {candidate.node.model for candidate in candidates if candidate.node.source == IMAGENET}
    check_imagenet_files(added, wanted, "--imagenet ")
    return given, candidates


def check_score(name: str) -> ScoreName:
    """Return the affinity score of this name. Raises SpecError where there is none."""
    for known in SCORES:
        if name == known:
            return known
    raise not_one_of("--score", name, "an affinity score", SCORES, most=len(SCORES))


def make_distance(
    given: AffinityInput, embeddings: Path | None, table: Path | None, warn: Callable[[str], None]
) -> "Distance | None":
    """Return a function that computes distances of a candidate's classes from those of the data.

    It returns None, and warns, where the names of the source's classes are not known. Without files
    there is no such function. Raises UserError where both files are given.
    """
    if embeddings is not None and table is not None:
        problem = "--embeddings and --distances both say how far classes are apart"
        raise UserError(f"{problem}; give one of them")
    if embeddings is None and table is None:
        return None

    def distance(candidate: "Candidate", data: "Dataset") -> "npt.NDArray[np.float64] | None":
        from ktg.affinity.candidate import count_source_classes
        from ktg.data import embeddings as words
        from ktg.models.resolve import resolve_source

        sources = given.sources_for(candidate)
        head = count_source_classes(candidate, sources, data.train.shape[0])
        names = None if head is None else resolve_source(candidate.node, sources).class_names
        if names is None or len(names) != head:
            known = f"{head} classes, and {len(names) if names else 'no'} names are known"
            has = "no head" if head is None else known
            advice = "(`labels:` in `sources:` names a file of them)"
            warn(f"emd: not for {candidate.name}: its source has {has} {advice}")
            return None
        if table is not None:
            return words.read_class_distances(table, names, data.classes)
        assert embeddings is not None  # noqa: S101 - one of the two is given
        return words.measure_class_distances(embeddings, names, data.classes)

    return distance


def measure(
    given: AffinityInput,
    candidates: "Sequence[Candidate]",
    sample: int,
    seed: int,
    device: str | None,
    distance: "Distance | None" = None,
    listener: Listener = QUIET,
) -> "tuple[dict[str, Measured], dict[str, str]]":
    """Return what was measured of each candidate, and why others could not be measured.

    Raises UserError if none could.
    """
    from ktg.affinity.ranking import measure_candidate
    from ktg.data.open import open_data
    from ktg.models.network import choose_device

    data = open_data(given.data, progress=listener.decoding)
    place = choose_device(device)
    found: dict[str, Measured] = {}
    failed: dict[str, str] = {}
    for number, candidate in enumerate(candidates, 1):
        name = candidate.name
        listener.status(f"{name} ({number} of {len(candidates)})")

        def show_images(done: int, total: int, name: str = name) -> None:
            listener.status(f"{name}: {done} of {total} images")

        try:
            found[name] = measure_candidate(
                candidate,
                data,
                sources=given.sources_for(candidate),
                sample=sample,
                seed=seed,
                device=place,
                progress=show_images,
                class_distance=distance(candidate, data) if distance else None,
            )
        except KtgError as error:
            failed[name] = str(error)
    if not found:
        raise UserError("; ".join(failed.values()))
    return found, failed
