import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from measuring import unmeasured_threads

# A slow machine is no failure, and a pipeline should find what the machine beside it found. Each
# run searches anew: more examples find next to nothing more in one of them, and take longer.
settings.register_profile("here", deadline=None, max_examples=50)
settings.register_profile("pipeline", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("pipeline" if os.environ.get("CI") else "here")

# Whoever started us may ignore signals (`nohup`, a shell's background); what we start must not.
for number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(number) is signal.SIG_IGN:
        default = signal.SIG_DFL if number == signal.SIGHUP else signal.default_int_handler
        signal.signal(number, default)

_SEARCHES = {"fuzz", "machine", "property"}
"""Folders of tests that Hypothesis makes up by the hundred."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files instead of comparing"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with what takes longest, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: "machine" not in item.path.parts)


@pytest.fixture(autouse=True)
def _measured_where_it_tells(request: pytest.FixtureRequest) -> Iterator[None]:
    """Coverage of what runs hundreds of times tells nothing new, and takes most of the time."""
    is_small = request.node.get_closest_marker("large") is None
    if is_small and _SEARCHES.isdisjoint(request.path.parts):
        yield
        return
    trace = sys.gettrace()
    sys.settrace(None)
    with unmeasured_threads():
        yield
    sys.settrace(trace)
