import dataclasses

import pytest

from ktg.graph.data_spec import Data, Formula


@pytest.mark.parametrize("kind", [Data, Formula])
def test_every_field_is_documented_and_nothing_of_it_changes(kind):
    for field in dataclasses.fields(kind):
        assert field.metadata["doc"].endswith("."), field.name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(kind(), dataclasses.fields(kind)[0].name, None)
