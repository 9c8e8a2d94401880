import pickle

import numpy as np

from ktg.data.formula.recent import Recent


def made(calls, key):
    def make():
        calls.append(key)
        return np.full(10, key, np.int32)

    return make


def test_the_longest_unused_goes_first():
    recent, calls = Recent(3 * 40), []
    for key in (1, 2, 3, 1, 4, 1, 2):
        assert recent.get(key, made(calls, key))[0] == key
        assert recent.used_bytes <= 120
    assert calls == [1, 2, 3, 4, 2]


def test_what_is_larger_than_the_limit_is_not_kept():
    recent, calls = Recent(39), []
    for _ in range(2):
        recent.get(1, made(calls, 1))
    assert calls == [1, 1]
    assert recent.used_bytes == 0


def test_a_pickle_is_empty_and_has_the_limit():
    recent = Recent(400)
    recent.get(1, made([], 1))
    copy, calls = pickle.loads(pickle.dumps(recent)), []
    copy.get(1, made(calls, 1))
    assert (copy.limit_bytes, calls) == (400, [1])
