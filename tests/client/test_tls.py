"""TLS: whose certificate is believed, and how often what is trusted is read."""

import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.alertsite import Session, Writer
from reconciler.errors import NonsenseError

from build import ACCOUNT
from certificates import Authorities
from scripted import Answer, Script, serving

Connect = Callable[..., Session]


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return Authorities(tmp_path_factory.mktemp("authorities"))


@pytest.fixture
def script(authorities: Authorities) -> Iterator[Script]:
    with serving(authorities.server("ours")) as script:
        script.on("PATCH /monitors/email-smtp/1", Answer(body=b'{"id": "1"}'))
        yield script


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the authorities that are trusted."""
    path = tmp_path / "trusted.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


def patch(session: Session) -> None:
    Writer(session, ACCOUNT).patch("/monitors/email-smtp/1", {"port": 587})


def test_an_authority_of_our_own_is_trusted_and_no_other(
    script: Script, connect: Connect, trusted: Path, authorities: Authorities
) -> None:
    trusted.write_bytes(Path(authorities.file("other")).read_bytes())
    with pytest.raises(NonsenseError, match="certificate verify failed") as caught:
        patch(connect())
    assert "SSL_CERT_FILE" in caught.value.hint
    assert script.requests() == []
    trusted.write_bytes(Path(authorities.file("ours")).read_bytes())
    patch(connect())
    assert script.requests() == ["POST /access-tokens", "PATCH /monitors/email-smtp/1"]


def test_what_is_trusted_is_read_once_for_many_accounts(
    connect: Connect, trusted: Path, authorities: Authorities, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted.write_bytes(Path(authorities.file("ours")).read_bytes())
    read: list[str] = []
    create = ssl.create_default_context

    def counted(**options: str) -> ssl.SSLContext:
        read.append(options["cafile"])
        return create(**options)

    monkeypatch.setattr(ssl, "create_default_context", counted)
    for _ in range(3):
        patch(connect())
    assert read == [str(trusted)]
    status = trusted.stat()
    os.utime(trusted, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    patch(connect())
    assert read == [str(trusted)] * 2
