"""Studies from Python."""

import pytest
from command import graph_file

import ktg
from ktg.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_a_study_gives_the_rows_of_a_table_that_correlate_reads(tiny, tmp_path):
    from ktg.affinity.study import format_table

    file, uri = graph_file(tmp_path / "graph.yaml", tiny), f"sqlite:///{tmp_path}/mlflow.db"
    among = [f"{model}@none" for model in ("resnet8", "resnet14", "resnet20")]
    rows = ktg.study(file, among=among, seeds=1, device="cpu", tracking_uri=uri)
    assert [row.candidate.name for row in rows] == among
    (tmp_path / "table.csv").write_text(format_table(rows, test=False))
    assert "parameters" in ktg.correlate(tmp_path / "table.csv")
    with pytest.raises(UserError, match="at least 3"):
        ktg.study(file, among=among[:2], tracking_uri=uri)
    assert ktg.searches(tracking_uri=uri) == []  # a study is no search
