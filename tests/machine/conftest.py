from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _unmeasured() -> Iterator[None]:
    """Coverage of what is run thousands of times tells nothing new, and takes most of the time."""
    trace, of_threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)  # type: ignore[arg-type]
    yield
    threading.settrace(of_threads)  # type: ignore[arg-type]
    sys.settrace(trace)
