"""A rate of requests: a second's worth at once, then no more than that."""

from __future__ import annotations

import pytest

from reconciler.alertsite.rate import Bucket
from reconciler.context import SYSTEM


@pytest.mark.parametrize(("rate", "burst"), [(5.0, 5), (0.5, 1)])
def test_requests_keep_to_a_rate(rate: float, burst: int) -> None:
    now = 100.0
    bucket = Bucket(rate, SYSTEM._replace(monotonic=lambda: now))
    sent = []
    for _ in range(50):
        now += bucket.take()
        sent.append(now)
    assert sent[burst - 1] == 100.0
    assert sent[-1] == pytest.approx(100.0 + (50 - burst) / rate)
    now += 1000.0  # however long nothing was asked, it is a second's worth at most
    assert [bucket.take() for _ in range(burst)] == [0.0] * burst
    assert bucket.take() == pytest.approx(1 / rate)


def test_those_who_wait_are_one_behind_the_other() -> None:
    bucket = Bucket(2.0, SYSTEM._replace(monotonic=lambda: 0.0))
    assert [bucket.take() for _ in range(5)] == [0.0, 0.0, 0.5, 1.0, 1.5]
