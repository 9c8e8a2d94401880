"""Opening images while the budget waits."""

import dirt as pictures

from ktg.graph import Data
from ktg.proposing.hearing import Hearing


def test_the_seconds_of_decoding_add_up(tmp_path):
    for number in range(12):  # of no other test, so that none of them is in the cache
        folder = tmp_path / ("night", "noon")[number % 2]
        folder.mkdir(exist_ok=True)
        pictures.picture(77_000 + number).save(folder / f"{number}.png")
    told = []
    hearing = Hearing(print, lambda done, total: told.append((done, total)))
    opened = hearing.open_data(Data(path=str(tmp_path), size=16))
    assert opened.classes == ("night", "noon")
    first = hearing.decoding_s
    assert first > 0
    done, total = told[-1]
    assert done == total > 0
    hearing.open_data(Data(path=str(tmp_path), size=20))
    assert hearing.decoding_s > first
