"""Which threads are measured for coverage."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def unmeasured_threads() -> Iterator[None]:
    """What is done by threads that are started in the block is not measured."""
    before = threading.gettrace()
    threading.settrace(None)  # type: ignore[arg-type]
    try:
        yield
    finally:
        threading.settrace(before)  # type: ignore[arg-type]
