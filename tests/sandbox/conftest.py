import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx
import pytest

from reconciler.sandbox import PASSWORD, USERNAME, Controls, Fault, Options, World, running
from reconciler.sandbox.monitors import SecretFields
from reconciler.sandbox.worlds import PLAIN
from reconciler.schema import installed_schemas


@pytest.fixture(scope="session")
def schemas() -> dict[str, dict[str, Any]]:
    return installed_schemas().documents


@pytest.fixture(scope="session")
def secret_fields(schemas: Any) -> SecretFields:
    """What hides nothing."""
    return SecretFields("echoed", schemas)


@pytest.fixture(scope="session")
def token_of() -> Callable[..., str]:
    """Log in by hand: the token for a login."""

    def log_in(client: httpx.Client, username: str = USERNAME, password: str = PASSWORD) -> str:
        login = {"username": username, "password": password}
        answer = client.post("/access-tokens", json=login, headers={"Authorization": ""})
        token: str = answer.json()["access_token"]
        return token

    return log_in


@contextlib.contextmanager
def _starting(schemas: Any, token_of: Callable[..., str]) -> Iterator[Callable[..., httpx.Client]]:
    with contextlib.ExitStack() as stack:

        def start(
            *, world: World = PLAIN, faults: Iterable[Fault] = (), **options: Any
        ) -> httpx.Client:
            options = {"controls": Controls(world, faults), **options}
            url = stack.enter_context(running(Options(schemas=schemas, **options)))
            client = stack.enter_context(httpx.Client(base_url=url, timeout=10))
            client.headers["Authorization"] = f"Bearer {token_of(client)}"
            return client

        yield start


@pytest.fixture
def start(schemas: Any, token_of: Callable[..., str]) -> Iterator[Callable[..., httpx.Client]]:
    """Start a sandbox with these options: a client that is logged in."""
    with _starting(schemas, token_of) as starting:
        yield starting


@pytest.fixture(scope="module")
def api(schemas: Any, token_of: Callable[..., str]) -> Iterator[httpx.Client]:
    """A client of a sandbox with default options that one file's tests share."""
    with _starting(schemas, token_of) as starting:
        yield starting()


@pytest.fixture(scope="session")
def smtp() -> dict[str, Any]:
    """The smallest body that creates an SMTP monitor."""
    return {"billing_plancode": "UBM - A/A", "name": "Relay", "hostname": "smtp.example.com"}


@pytest.fixture(scope="session")
def seed() -> list[dict[str, Any]]:
    """Six monitors as GET returns them, two of them websites."""
    types = ("email-smtp", "website", "email-smtp", "email-imap", "website", "email-round-trip")
    return [
        {"id": 500 + index, "name": f"Monitor {index}", "port": "", "type": kind}
        for index, kind in enumerate(types)
    ]
