import threading
import time

import pytest

from ktg.data.threads import count_cores, map_in_order


def test_results_come_in_order_whatever_takes_longest():
    assert list(map_in_order(lambda n: (time.sleep(0.002 * (n % 3)), n)[1], range(100))) == list(
        range(100)
    )
    assert list(map_in_order(str, [])) == []


def test_a_slow_reader_holds_the_workers_back():
    done = []
    results = map_in_order(done.append, range(100_000))
    next(results)
    time.sleep(0.05)
    assert len(done) <= 8 * (2 * count_cores() + 2)
    results.close()


def test_more_than_one_thread_works_where_there_are_count_cores():
    if count_cores() < 2:
        pytest.skip("one core")
    seen = set()
    list(map_in_order(lambda _: (time.sleep(0.001), seen.add(threading.get_ident())), range(200)))
    assert len(seen) == count_cores()


def test_an_error_reaches_the_reader():
    with pytest.raises(ZeroDivisionError):
        list(map_in_order(lambda n: 1 // n, range(3)))
