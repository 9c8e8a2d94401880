"""Opening images while the budget waits."""

from ktg.graph import Data
from ktg.proposing.hearing import Hearing


def test_the_seconds_of_decoding_add_up(photos):
    told = []
    hearing = Hearing(print, lambda done, total: told.append((done, total)))
    opened = hearing.open_data(Data(path=str(photos), size=16))
    assert opened.classes == ("night", "noon")
    first = hearing.decoding_s
    assert first > 0
    done, total = told[-1]
    assert done == total > 0
    hearing.open_data(Data(path=str(photos), size=20))
    assert hearing.decoding_s > first
