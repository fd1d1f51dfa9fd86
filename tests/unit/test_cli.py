"""What the command line does when it is used, or behaves, in an unforeseen way."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.cli import run


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """Puts back the handlers that a run leaves behind."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, found in before.items():
        signal.signal(number, found)


# Nothing but a test can put a number on a command line.
UNFORESEEN: list[Any] = ["validate", 3]


def test_an_unforeseen_failure_is_reported_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECONCILER_DEBUG", raising=False)
    assert run(UNFORESEEN) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: unexpected failure: TypeError: ")
    assert "Traceback" not in err


def test_its_traceback_is_shown_on_demand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONCILER_DEBUG", "1")
    assert run(UNFORESEEN) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("argument", ["-auto-approve", "-target=email-smtp/*"])
def test_long_options_with_one_dash_are_explained(
    capsys: pytest.CaptureFixture[str], argument: str
) -> None:
    assert run(["apply", argument]) == 64
    assert f"two dashes: -{argument}" in capsys.readouterr().err
