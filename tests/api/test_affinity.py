"""Affinity and studies from Python."""

import pytest

import ktg
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
