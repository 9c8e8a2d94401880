"""Affinity and studies from Python."""

import pytest
import torch

import ktg
from ktg.affinity import ranking
from ktg.api.affinity import record_ranking
from ktg.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")


def test_rank_puts_the_best_first_and_correlate_reads_a_table(tiny, tmp_path):
    found = ktg.rank(tiny, ["resnet8@none", "resnet14@none"], score="knn", device="cpu")
    assert set(found) == {"resnet8@none", "resnet14@none"}
    first, second = (one.scores["knn"] for one in found.values())
    assert first >= second
    with pytest.raises(UserError, match="name the candidates"):
        ktg.rank(tiny)
    with pytest.raises(
        UserError, match=r"^densenet121@none.input_size: densenet121 cannot take images of 8x8"
    ):
        ktg.rank(tiny, ["resnet8@none", "densenet121@none"])
    table = tmp_path / "table.csv"
    table.write_text("model,score,accuracy\na,1,0.5\nb,2,0.7\nc,3,0.8\n")
    assert ktg.correlate(table)["score"].spearman == 1.0


def test_a_candidate_for_which_there_is_too_little_memory_stops_nobody(tiny, monkeypatch):
    original = ranking.extract

    def sometimes(network, *given):
        if len(list(network.parameters())) > 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(network, *given)

    monkeypatch.setattr(ranking, "extract", sometimes)
    both = ["resnet8@none", "resnet20@none"]
    found = record_ranking(str(tiny), both, score="knn", device="cpu", tracking_uri=None, seed=7)
    assert list(found.found) == ["resnet8@none"]
    assert found.failed["resnet20@none"].startswith("resnet20@none: out of memory; end other")
    with pytest.raises(UserError, match=r"^resnet20@none: out of memory"):
        ktg.rank(tiny, both, score="knn", device="cpu", seed=7)
