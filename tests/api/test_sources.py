"""Affinity and studies from Python."""

import pytest
from command import graph_file

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


def test_a_study_gives_the_rows_of_a_table_that_correlate_reads(tiny, tmp_path):
    from ktg.affinity.study import table_text

    file, uri = graph_file(tmp_path / "graph.yaml", tiny), f"sqlite:///{tmp_path}/mlflow.db"
    among = [f"{model}@none" for model in ("resnet8", "resnet14", "resnet20")]
    rows = ktg.study(file, among=among, seeds=1, device="cpu", tracking_uri=uri)
    assert [row.candidate.name for row in rows] == among
    (tmp_path / "table.csv").write_text(table_text(rows, test=False))
    assert "parameters" in ktg.correlate(tmp_path / "table.csv")
    with pytest.raises(UserError, match="at least 3"):
        ktg.study(file, among=among[:2], tracking_uri=uri)
    assert ktg.searches(tracking_uri=uri) == []  # a study is no search
