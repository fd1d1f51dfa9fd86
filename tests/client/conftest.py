import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from reconciler.alertsite import Credentials, Session
from reconciler.context import SYSTEM, Limits
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
            stop: threading.Event | None = None,
            notify: Callable[[str], None] = lambda _: None,
        ) -> Session:
            session = Session(
                url or script.url,
                credentials or Credentials("me@example.com", "secret"),
                connections=8,
                clock=SYSTEM._replace(monotonic=monotonic, sleep=sleep),
                limits=Limits(),
                stop=stop or threading.Event(),
                notify=notify,
                redactor=Redactor(),
            )
            return stack.enter_context(session)

        yield connect
