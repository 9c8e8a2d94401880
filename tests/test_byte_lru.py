import pickle
from operator import attrgetter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ktg.byte_lru import ByteLRU


def made(calls, key):
    def make():
        calls.append(key)
        return np.full(10, key, np.int32)

    return make


def cache(limit_bytes):
    return ByteLRU(attrgetter("nbytes"), limit_bytes)


@given(names=st.lists(st.integers(1, 6), max_size=30), most=st.integers(0, 60))
def test_what_is_returned_is_what_was_made_and_memory_is_bounded(names, most):
    values, calls = ByteLRU(len), []
    values.set_limit(most)
    for name in names:
        got = values.get(name, lambda name=name: calls.append(name) or bytes(name))
        assert len(got) == name
        assert sum(map(len, values._values.values())) == values.used_bytes <= most
    if most >= sum(range(1, 7)):
        assert len(calls) == len(set(names))
    if not most:
        assert calls == names


def test_the_longest_unused_goes_first():
    recent, calls = cache(3 * 40), []
    for key in (1, 2, 3, 1, 4, 1, 2):
        assert recent.get(key, made(calls, key))[0] == key
        assert recent.used_bytes <= 120
    assert calls == [1, 2, 3, 4, 2]


def test_what_is_larger_than_the_limit_is_not_cached_and_pushes_nothing_out():
    recent, calls = cache(79), []
    recent.get(1, made(calls, 1))
    for _ in range(2):
        recent.get(2, lambda: calls.append(2) or np.zeros(20, np.int32))
    recent.get(1, made(calls, 1))
    assert calls == [1, 2, 2]
    assert recent.used_bytes == 40


def test_a_lower_limit_drops_what_no_longer_fits():
    recent, calls = cache(80), []
    for key in (1, 2):
        recent.get(key, made(calls, key))
    recent.set_limit(40)
    recent.get(2, made(calls, 2))
    recent.get(1, made(calls, 1))
    assert calls == [1, 2, 1]
    recent.set_limit(0)
    assert (recent.used_bytes, len(recent._values)) == (0, 0)


def test_a_pickle_is_empty_and_has_the_limit():
    recent = cache(400)
    recent.get(1, made([], 1))
    copy, calls = pickle.loads(pickle.dumps(recent)), []
    copy.get(1, made(calls, 1))
    assert (copy.limit_bytes, calls) == (400, [1])
