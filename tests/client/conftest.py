import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from reconciler.alertsite import Credentials, Session
from reconciler.context import SYSTEM, Cancellation, Limits, Reporter
from reconciler.core.redactor import Redactor

from scripted import Script, serving


@pytest.fixture
def script() -> Iterator[Script]:
    with serving() as script:
        yield script


@pytest.fixture
def connect(script: Script) -> Iterator[Callable[..., Session]]:
    with ExitStack() as stack:

        def connect(
            credentials: Credentials | None = None,
            *,
            url: str | None = None,
            monotonic: Callable[[], float] = time.monotonic,
            sleep: Callable[[float, threading.Event | None], None] = SYSTEM.sleep,
            cancellation: Cancellation | None = None,
            say: Callable[[str], None] = lambda _: None,
        ) -> Session:
            clock = SYSTEM._replace(monotonic=monotonic, sleep=sleep)
            session = Session(
                url or script.url,
                credentials or Credentials("me@example.com", "secret"),
                connections=8,
                clock=clock,
                limits=Limits(),
                cancellation=cancellation or Cancellation(clock),
                reporter=Reporter(say),
                redactor=Redactor(),
            )
            return stack.enter_context(session)

        yield connect
