"""The rate limit, on a clock that only sleeping moves."""

import threading

import pytest

from refusal_stability.api.rate_limit import RateLimit


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0
        self.lock = threading.Lock()
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.slept.append(seconds)
            self.now += seconds


def test_requests_are_spaced_evenly() -> None:
    time = FakeTime()
    limit = RateLimit(30, time.clock, time.sleep)
    sent = []
    for _ in range(4):
        limit.wait()
        sent.append(time.now)
    # 30 a minute is one in 2 s; the first need not wait.
    assert sent == [100, 102, 104, 106]


def test_a_pause_is_not_made_up_for_by_a_burst() -> None:
    time = FakeTime()
    limit = RateLimit(60, time.clock, time.sleep)
    limit.wait()
    time.now += 30
    limit.wait()
    limit.wait()
    assert time.slept == [1]


@pytest.mark.parametrize("per_minute", [None, 0.5])
def test_threads_share_one_queue(per_minute: float | None) -> None:
    time = FakeTime()
    # They all look at the clock before any sleeping moves it.
    limit = RateLimit(per_minute, lambda: 100.0, time.sleep)
    threads = [threading.Thread(target=limit.wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waits = [120.0 * number for number in range(1, 8)] if per_minute else []
    assert sorted(time.slept) == waits
