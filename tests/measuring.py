"""Which threads are measured for coverage."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unmeasured_threads() -> Iterator[None]:
    """What is done by threads that are started in the block is not measured."""
    before = threading.gettrace()
    threading.settrace(None)  # type: ignore[arg-type]
    try:
        yield
    finally:
        threading.settrace(before)  # type: ignore[arg-type]
