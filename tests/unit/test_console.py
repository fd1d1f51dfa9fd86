"""What is said while a run goes on, to nobody's terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli import console
from reconciler.core.planner import decide
from reconciler.core.result import Outcome, Status

from build import ACCOUNT, SCHEMAS, desired, live

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from reconciler.core.plan import Change


def clock(*seconds: float) -> Callable[[], float]:
    return iter(seconds).__next__


def change() -> Change:
    plan = decide(ACCOUNT, [desired({"port": 587})], {}, [live({"port": 25})], SCHEMAS.kinds)
    return plan.changes[0]


def test_reading_is_told_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    tell = console.reading(clock(0, 1, 9.9, 10, 12, 20.5))
    for count in (500, 1000, 1500, 2000, 2500):
        tell(count)
    assert capsys.readouterr().err == (
        "Reading: 1,500 monitors so far\nReading: 2,500 monitors so far\n"
    )


def test_many_changes_are_told_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    done = Outcome(change(), Status.DONE)
    with console.progress(21, clock(0, 1, 11, 12, 13)) as reporter:
        reporter.progress(done)
        reporter.progress(done)
        reporter.progress(Outcome(change(), Status.UNCONFIRMED))
        reporter.progress(Outcome(change(), Status.NOT_STARTED))
    assert capsys.readouterr().err == (
        "[2/21] 0 failed, 11 s: email-smtp/relay\n[3/21] email-smtp/relay: unconfirmed\n"
    )
