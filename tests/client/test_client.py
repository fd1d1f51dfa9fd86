import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from reconciler import __version__
from reconciler.alertsite import Credentials, Reader, Session, Writer
from reconciler.context import SYSTEM, Cancellation
from reconciler.core.model import Live
from reconciler.errors import (
    AlertSiteError,
    ConfigurationError,
    CredentialsError,
    ExitCode,
    IncompleteError,
    NonsenseError,
    NotFoundError,
    PermissionRefusedError,
    RejectedError,
    UnavailableError,
)

from build import ACCOUNT
from listening import QuietHandler, free_ports, listening
from scripted import Answer, Script

Connect = Callable[..., Session]
PATCH = "PATCH /monitors/email-smtp/1"
OK = Answer(body=b'{"id": "1"}')
GARBLED = Answer(body=b"garbage", headers=(("Content-Encoding", "gzip"),))
BUSY = Answer(503, headers=(("Retry-After", "0"),))


def error(status: int, message: str, *fields: str) -> Answer:
    item: dict[str, object] = {"code": status, "message": message}
    if fields:
        item["fields"] = list(fields)
    return Answer(status, json.dumps({"errors": [item]}).encode())


def patch(session: Session) -> None:
    Writer(session, ACCOUNT).patch("/monitors/email-smtp/1", {"port": 587})


class TestAnswerToASecret:
    """No look can tell whether AlertSite kept a secret, so its answer has to."""

    BODY = {"extra": {"password": "hunter2"}}

    def send(self, session: Session) -> None:
        Writer(session, ACCOUNT).patch("/monitors/email-smtp/1", self.BODY, ("hunter2",))

    @pytest.mark.parametrize("body", [b'{"id": "1"}', b'{"id": 1}', b""])
    def test_the_id_of_the_monitor_is_one(
        self, body: bytes, script: Script, connect: Connect
    ) -> None:
        script.on(PATCH, Answer(body=body))
        self.send(connect())

    @pytest.mark.parametrize(
        "body", [b'{"id": "999"}', b"[]", b'{"error": "no"}', b'{"metadata": {"status": "65"}}']
    )
    def test_anything_else_is_none(self, body: bytes, script: Script, connect: Connect) -> None:
        script.on(PATCH, Answer(body=body))
        session = connect()
        with pytest.raises(NonsenseError, match="nothing else shows") as caught:
            self.send(session)
        assert caught.value.may_have_arrived
        patch(session)  # of what is shown, the next look tells

    @pytest.mark.parametrize("errors", [{"code": 400, "message": "Bad"}, "bad", [{"code": 400}]])
    def test_errors_are_errors_whatever_their_shape(
        self, errors: object, script: Script, connect: Connect
    ) -> None:
        script.on(PATCH, Answer(body=json.dumps({"id": "1", "errors": errors}).encode()))
        for send in (self.send, patch):
            with pytest.raises(RejectedError):
                send(connect())


class TestToken:
    def test_it_is_fetched_once_and_sent_with_every_request(
        self, script: Script, connect: Connect
    ) -> None:
        script.on(PATCH, OK)
        session = connect()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(patch, [session] * 20))
        assert script.requests().count("POST /access-tokens") == 1
        login, *others = script.seen
        assert json.loads(login.body) == {"username": "me@example.com", "password": "secret"}
        assert login.authorization is None
        assert {seen.authorization for seen in others} == {"Bearer token-1"}

    def test_after_401_one_thread_renews_it_for_all(self, script: Script, connect: Connect) -> None:
        script.on(
            "POST /access-tokens",
            Answer(body=b'{"access_token": "old"}'),
            Answer(body=b'{"access_token": "new"}'),
        )
        script.on(PATCH, OK)
        session = connect()
        patch(session)
        script.refused.add("Bearer old")
        barrier = threading.Barrier(8)

        def together(_: int) -> None:
            barrier.wait()
            patch(session)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(together, range(8)))
        assert script.requests().count("POST /access-tokens") == 2
        assert script.seen[-1].authorization == "Bearer new"

    def test_a_second_401_is_final(self, script: Script, connect: Connect) -> None:
        script.on(PATCH, error(401, "no"))
        with pytest.raises(CredentialsError, match="401 Unauthorized: no"):
            patch(connect())
        assert script.requests() == ["POST /access-tokens", PATCH, "POST /access-tokens", PATCH]

    def test_it_is_renewed_before_it_ends(self, script: Script, connect: Connect) -> None:
        now = [0.0]
        script.on("POST /access-tokens", Answer(body=b'{"access_token": "t", "expires_in": 100}'))
        script.on(PATCH, OK)
        session = connect(monotonic=lambda: now[0])
        for now[0] in (0.0, 89.0, 90.0):
            patch(session)
        assert script.requests().count("POST /access-tokens") == 2

    @pytest.mark.parametrize("life", ['"x"', "1e-9", "-1", "1" + 400 * "0"])
    def test_it_lives_an_hour_unless_the_answer_says_otherwise(
        self, script: Script, connect: Connect, life: str
    ) -> None:
        now = [0.0]
        body = f'{{"access_token": "t", "expires_in": {life}}}'.encode()
        script.on("POST /access-tokens", Answer(body=body))
        script.on(PATCH, OK)
        session = connect(monotonic=lambda: now[0])
        for now[0] in (0.0, 3299.0, 3300.0):
            patch(session)
        assert script.requests().count("POST /access-tokens") == 2

    def test_a_bad_login_is_never_repeated(self, script: Script, connect: Connect) -> None:
        script.on(
            "POST /access-tokens", error(400, "invalid_request - User authentication failed.")
        )
        session = connect()
        for _ in range(3):
            with pytest.raises(CredentialsError, match="User authentication failed"):
                patch(session)
        assert script.requests() == ["POST /access-tokens"]

    def test_a_ready_token_needs_no_login(self, script: Script, connect: Connect) -> None:
        script.on(PATCH, OK)
        patch(connect(Credentials(token="ready")))
        assert [seen.authorization for seen in script.seen] == ["Bearer ready"]

    def test_a_refused_ready_token_is_final_without_a_login(
        self, script: Script, connect: Connect
    ) -> None:
        script.on(PATCH, error(401, "expired"))
        session = connect(Credentials(token="old"))
        for _ in range(2):
            with pytest.raises(CredentialsError, match="ALERTSITE_TOKEN"):
                patch(session)
        assert script.requests() == [PATCH]

    def test_a_login_takes_over_from_a_refused_ready_token(
        self, script: Script, connect: Connect
    ) -> None:
        script.on(PATCH, error(401, "expired"), OK)
        patch(connect(Credentials("me@example.com", "secret", token="old")))
        assert [seen.authorization for seen in script.seen] == [
            "Bearer old",
            None,
            "Bearer token-1",
        ]

    @pytest.mark.parametrize(
        "answer", [Answer(body=b"<html>"), Answer(body=b"[]"), Answer(body=b'{"access_token": ""}')]
    )
    def test_an_answer_without_a_token(
        self, script: Script, connect: Connect, answer: Answer
    ) -> None:
        script.on("POST /access-tokens", answer)
        with pytest.raises(NonsenseError, match="POST /access-tokens"):
            patch(connect())

    def test_neither_password_nor_token_shows(self) -> None:
        assert "secret" not in repr(Credentials("me", "secret", "secret-token"))

    def test_any_refused_login_is_never_repeated(self, script: Script, connect: Connect) -> None:
        script.on("POST /access-tokens", Answer(400, b'{"message": "Authentication failed"}'))
        session = connect()
        for _ in range(3):
            with pytest.raises(AlertSiteError, match="400"):
                patch(session)
        assert script.requests() == ["POST /access-tokens"]

    @pytest.mark.parametrize(
        "body",
        [
            b'while sending {"username": "me@example.com", "password": "s3cr\\"et"}',
            b'{"errors": [{"code": 400, "message": "wrong password s3cr\\"et"}]}',
        ],
    )
    def test_a_password_that_is_echoed_is_not_shown(
        self, script: Script, connect: Connect, body: bytes
    ) -> None:
        script.on("POST /access-tokens", Answer(400, body))
        with pytest.raises(AlertSiteError, match="400 Bad Request: ") as caught:
            patch(connect(Credentials("me@example.com", 's3cr"et')))
        assert "s3cr" not in str(caught.value)

    def test_a_token_that_is_echoed_is_not_shown(self, script: Script, connect: Connect) -> None:
        script.on(PATCH, Answer(500, b"bad header: Bearer token-1"))
        with pytest.raises(UnavailableError, match="repeats a secret") as caught:
            patch(connect())
        assert "token-1" not in str(caught.value)

    def test_a_login_that_takes_over_says_so(self, script: Script, connect: Connect) -> None:
        said: list[str] = []
        script.on(PATCH, error(401, "expired"), OK)
        patch(connect(Credentials("me@example.com", "secret", token="old"), say=said.append))
        assert said == ["AlertSite rejects the token in ALERTSITE_TOKEN; logging in instead."]


class TestHeaders:
    def test_a_request_says_who_sends_it_and_what_it_takes(
        self, script: Script, connect: Connect
    ) -> None:
        sticky = Answer(body=OK.body, headers=(("Set-Cookie", "balancer=7; Path=/"),))
        script.on(PATCH, sticky, OK)
        session = connect()
        patch(session)
        patch(session)
        first, second = (seen.headers for seen in script.seen if seen.method == "PATCH")
        assert first == {
            "host": urlsplit(script.url).netloc,
            "connection": "keep-alive",
            "user-agent": f"reconciler/{__version__}",
            "accept": "application/json",
            "accept-encoding": "gzip",
            "authorization": "Bearer token-1",
            "content-type": "application/json",
            "content-length": "12",
        }
        assert second == first | {"cookie": "balancer=7"}


class TestRepetition:
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_transient_statuses(self, script: Script, connect: Connect, status: int) -> None:
        said: list[str] = []
        script.on(PATCH, Answer(status, headers=(("Retry-After", "0"),)), OK)
        patch(connect(say=said.append))
        assert script.requests().count(PATCH) == 2
        assert len(said) == 1
        assert said[0].startswith(f"PATCH /monitors/email-smtp/1: {status} ")

    def test_a_lost_answer(self, script: Script, connect: Connect) -> None:
        script.on(PATCH, Answer(0), OK)
        patch(connect())
        assert script.requests().count(PATCH) == 2

    def test_it_ends(self, script: Script, connect: Connect) -> None:
        script.on(PATCH, BUSY)
        with pytest.raises(UnavailableError, match="503") as caught:
            patch(connect())
        assert script.requests().count(PATCH) == 5
        assert caught.value.may_have_arrived

    def test_a_wait_beyond_the_budget_is_not_begun(self, script: Script, connect: Connect) -> None:
        script.on(PATCH, Answer(429, headers=(("Retry-After", "3600"),)))
        with pytest.raises(UnavailableError, match="429") as caught:
            patch(connect())
        assert script.requests().count(PATCH) == 1
        assert "wait 3,600 s" in caught.value.hint

    @pytest.mark.parametrize("asked", ["", "600"])
    def test_too_many_requests_are_no_matter_of_the_url(
        self, script: Script, connect: Connect, asked: str
    ) -> None:
        headers = (("Retry-After", asked),) if asked else ()
        script.on("POST /monitors/email-smtp", Answer(429, headers=headers))
        with pytest.raises(UnavailableError, match="429") as caught:
            Writer(connect(), ACCOUNT).create("/monitors/email-smtp", {})
        assert "ALERTSITE_URL" not in caught.value.hint
        for word in ("wait 600 s" if asked else "wait some minutes", "rate", "the same login"):
            assert word in caught.value.hint

    def test_a_date_in_retry_after(self, script: Script, connect: Connect) -> None:
        date = "Sun, 22 Nov 2026 10:00:00 GMT"
        headers = (("Retry-After", date), ("Date", "Sun, 22 Nov 2026 12:00:00 GMT"))
        script.on(PATCH, Answer(503, headers=headers), OK)
        patch(connect())
        assert script.requests().count(PATCH) == 2

    @pytest.mark.parametrize("value", ["soon", "Wed, 21 Oct 99999 07:28:00 GMT", "-1"])
    def test_a_retry_after_without_sense_is_ignored(
        self, script: Script, connect: Connect, value: str
    ) -> None:
        headers = (("Retry-After", value), ("Date", "Sun, 22 Nov 2026 12:00:00 GMT"))
        script.on(PATCH, Answer(503, headers=headers), OK)
        patch(connect())
        assert script.requests().count(PATCH) == 2

    def test_nothing_is_repeated_once_stopped(self, script: Script, connect: Connect) -> None:
        cancellation = Cancellation(SYSTEM)
        script.on(PATCH, Answer(503, headers=(("Retry-After", "30"),)))
        session = connect(cancellation=cancellation, say=lambda _: cancellation.cancel("enough"))
        with pytest.raises(UnavailableError):
            patch(session)
        assert script.requests().count(PATCH) <= 2

    def test_an_unreachable_host_has_not_received_it(self, connect: Connect) -> None:
        (port,) = free_ports(1)
        cancellation = Cancellation(SYSTEM)
        session = connect(
            url=f"http://127.0.0.1:{port}",
            cancellation=cancellation,
            say=lambda _: cancellation.cancel("enough"),
        )
        with pytest.raises(UnavailableError, match="cannot be reached") as caught:
            patch(session)
        assert not caught.value.may_have_arrived

    @pytest.mark.parametrize("last", [BUSY, error(400, "no"), Answer(500)])
    def test_what_an_earlier_attempt_may_have_done_is_not_forgotten(
        self, script: Script, connect: Connect, last: Answer
    ) -> None:
        script.on(PATCH, Answer(0), last)
        with pytest.raises(AlertSiteError) as caught:
            patch(connect())
        assert caught.value.may_have_arrived

    def test_tls_that_fails_is_not_repeated(self, script: Script, connect: Connect) -> None:
        said: list[str] = []
        session = connect(url=script.url.replace("http:", "https:"), say=said.append)
        with pytest.raises(NonsenseError, match="cannot be reached") as caught:
            patch(session)
        assert "SSL_CERT_FILE" in caught.value.hint
        assert said == []

    @pytest.mark.parametrize("answer", [Answer(0), Answer(502), Answer(504), GARBLED])
    def test_what_may_have_arrived_says_so(
        self, script: Script, connect: Connect, answer: Answer
    ) -> None:
        cancellation = Cancellation(SYSTEM)
        script.on(PATCH, answer)
        with pytest.raises(UnavailableError) as caught:
            patch(connect(cancellation=cancellation, say=lambda _: cancellation.cancel("enough")))
        assert caught.value.may_have_arrived


FAILURES = {
    "validation": (
        error(400, "required and is empty", "hostname", "name"),
        RejectedError,
        "400 Bad Request: required and is empty (hostname, name)",
    ),
    "unknown id": (error(404, "Record not found"), NotFoundError, "404 Not Found: Record not f"),
    "no permission": (error(403, "not allowed"), PermissionRefusedError, "403 Forbidden: not a"),
    "server fault": (Answer(500, b"oops"), UnavailableError, "500 Internal Server Error: oops"),
    "unknown error": (error(409, "conflict"), RejectedError, "409 Conflict: conflict"),
    "errors that are texts": (
        Answer(400, b'{"errors": ["no", {"x": 1}]}'),
        RejectedError,
        "400 Bad Request: no; {'x': 1}",
    ),
    "HTML": (Answer(200, b"<html>\nhi"), NonsenseError, "200 OK: <html> hi (application/json)"),
    "content type": (
        Answer(200, b"<html>", headers=(("Content-Type", "text/t0ken-that-was-sent"),)),
        NonsenseError,
        "200 OK: <html> (an unusual content type), which",
    ),
    "redirect of the path": (
        Answer(307, headers=(("Location", "/t0ken-that-was-sent"),)),
        NonsenseError,
        "a redirect (307) to another path of the same host, which is not followed",
    ),
    "redirect to nowhere": (
        Answer(301, headers=(("Location", "//t0ken@[x"),)),
        NonsenseError,
        "a redirect (301) to no address, which is not followed",
    ),
    "redirect": (
        Answer(302, headers=(("Location", "https://example.com/login"),)),
        NonsenseError,
        "a redirect (302) to another host, which is not followed",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "charset",
    ["hex", "base64", "idna", "undefined", "rot13", "zlib", "punycode", "utf-7", "x", "", "\xff"],
)
@pytest.mark.parametrize("status", [200, 400, 500, 503])
def test_no_charset_matters(script: Script, connect: Connect, charset: str, status: int) -> None:
    cancellation = Cancellation(SYSTEM)
    kind = (("Content-Type", f"text/plain; charset={charset}"),)
    script.on(PATCH, Answer(status, b"<p>out of order", kind))
    with pytest.raises(AlertSiteError, match=f"{status} .*: <p>out of order"):
        patch(connect(cancellation=cancellation, say=lambda _: cancellation.cancel("enough")))


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": {"access_token": "s3cr3t"}}',
        b'{"access_token": "s3cr3t"}{"access_token": "s3cr3t"}',
        '{"access_token": "s3cr3t"}'.encode("utf-16"),
        b'{"access_token": "s3cr3t\\nmore"}',
        b'{"access_token": ["s3cr3t"]}',
        b"<token>s3cr3t</token>",
        b"s3cr3t",
    ],
)
def test_a_token_in_another_form_is_not_shown(
    script: Script, connect: Connect, body: bytes
) -> None:
    script.on("POST /access-tokens", Answer(body=body))
    with pytest.raises(NonsenseError, match="is not a response of AlertSite's API") as caught:
        patch(connect())
    assert "s3cr3t" not in f"{caught.value} {caught.value.hint}"


def test_what_is_left_of_a_list_is_not_shown(script: Script, connect: Connect) -> None:
    """It may have the passwords of monitors that are not ours, which nobody can know."""
    script.on("GET /monitors", Answer(body=b'{"results": [{"id": 1, "password": "s3cr3t"'))
    with pytest.raises(NonsenseError, match="not shown") as caught:
        Reader(connect(), ACCOUNT).list_monitors(["email-smtp"])
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("charset", ["utf-8", "latin-1", "utf-16-le", "utf-16-be", "utf-16"])
@pytest.mark.parametrize("named", ["", "; charset={}"])
def test_a_secret_is_known_in_other_charsets(
    script: Script, connect: Connect, charset: str, named: str
) -> None:
    secret = "k\xf6nig-und-k\xf6nigin"  # its halves in ASCII would tell enough
    session = connect(Credentials("me@example.com", secret))
    kind = (("Content-Type", f"text/plain{named.format(charset)}"),)
    script.on(PATCH, Answer(500, f"you said {secret}.".encode(charset), kind))
    with pytest.raises(UnavailableError, match=r"\(not shown, since it repeats a secret"):
        patch(session)


@pytest.mark.parametrize(("answer", "kind", "message"), FAILURES.values(), ids=FAILURES)
def test_what_the_server_says_reaches_the_user(
    script: Script, connect: Connect, answer: Answer, kind: type[AlertSiteError], message: str
) -> None:
    script.on(PATCH, answer)
    with pytest.raises(AlertSiteError) as caught:
        patch(connect())
    assert type(caught.value) is kind
    assert message in str(caught.value)
    assert script.requests().count(PATCH) == 1


def test_a_403_of_somebody_else_is_suspected(script: Script, connect: Connect) -> None:
    script.on(PATCH, Answer(403, b"<html>go away</html>"))
    with pytest.raises(PermissionRefusedError, match="go away") as caught:
        patch(connect())
    assert script.url in caught.value.hint


def test_a_403_on_a_read_does_not_ask_for_the_right_to_write(
    script: Script, connect: Connect
) -> None:
    script.on(MONITORS, error(403, "no"))
    with pytest.raises(PermissionRefusedError) as caught:
        connect().request("GET", "/monitors")
    assert caught.value.hint.startswith("This user has no permission to read monitors.")
    script.on(PATCH, error(403, "no"))
    with pytest.raises(PermissionRefusedError) as caught:
        patch(connect())
    assert caught.value.hint.startswith("This user has no permission to edit monitors:")


def test_a_401_of_somebody_else_is_suspected(script: Script, connect: Connect) -> None:
    script.on(PATCH, Answer(401, b"<html>log in</html>"))
    with pytest.raises(CredentialsError, match="log in") as caught:
        patch(connect())
    assert script.url in caught.value.hint


@pytest.mark.parametrize("status", [400, 401, 403])
def test_login_and_token_that_are_refused_say_what_to_check(
    script: Script, connect: Connect, status: int
) -> None:
    """Whether the login or what follows is refused, single sign-on is a likely cause."""
    script.on("POST /access-tokens", error(status, "no"))
    with pytest.raises(CredentialsError) as caught:
        patch(connect())
    for word in ("ALERTSITE_USERNAME", "Single Sign-On", "can lock users out"):
        assert word in caught.value.hint


def test_a_token_that_a_login_gave_and_that_is_refused(script: Script, connect: Connect) -> None:
    script.on(PATCH, error(401, "no"))
    session = connect()
    hints = set()
    for _ in range(2):
        with pytest.raises(CredentialsError) as caught:
            patch(session)
        hints.add(caught.value.hint)
    (hint,) = hints
    assert "accepts the login" in hint
    assert "Single Sign-On" in hint


def test_a_create_whose_token_is_refused_speaks_of_the_user(
    script: Script, connect: Connect
) -> None:
    script.on("POST /monitors/email-smtp", error(401, "no"))
    with pytest.raises(UnavailableError, match="401 Unauthorized: no") as caught:
        Writer(connect(), ACCOUNT).create("/monitors/email-smtp", {})
    assert "may create monitors" in caught.value.hint
    assert "ALERTSITE_URL" not in caught.value.hint


@pytest.mark.parametrize("answer", [Answer(0), GARBLED])
def test_an_answer_that_breaks_off_is_said_without_names_of_classes(
    script: Script, connect: Connect, answer: Answer
) -> None:
    script.on(PATCH, answer)
    with pytest.raises(UnavailableError, match="no readable response: ") as caught:
        patch(connect(sleep=lambda *_: None))
    assert "Error" not in str(caught.value)


def test_an_html_page_is_called_one(script: Script, connect: Connect) -> None:
    script.on(MONITORS, Answer(200, b"<html>log in</html>"))
    with pytest.raises(NonsenseError, match=r"it is a web page or XML, not JSON$"):
        connect().request("GET", "/monitors")


def test_a_long_answer_is_cut(script: Script, connect: Connect) -> None:
    script.on(PATCH, Answer(500, b"x" * 5000))
    with pytest.raises(UnavailableError) as caught:
        patch(connect())
    assert len(str(caught.value)) < 300


def test_errors_share_exit_codes_with_the_documentation() -> None:
    assert CredentialsError("").exit_code is ExitCode.CREDENTIALS
    assert PermissionRefusedError("").exit_code is ExitCode.CREDENTIALS
    assert NonsenseError("").exit_code is ExitCode.UNAVAILABLE


def test_errors_in_a_good_status_are_errors(script: Script, connect: Connect) -> None:
    script.on(PATCH, Answer(200, b'{"errors": [{"code": 400, "message": "no"}]}'))
    with pytest.raises(RejectedError, match="200 OK: no"):
        patch(connect())


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "SSL_CERT_FILE"])
def test_an_environment_that_cannot_be_used_is_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "foo://nowhere")
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        connect(url="https://127.0.0.1:1")
    assert name in str(caught.value)
    assert name in caught.value.hint


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("HTTPS_PROXY", "ftp://me:hunter2@proxy", "the scheme ftp is not supported"),
        ("ALL_PROXY", "socks5://proxy:1080", "the scheme socks5 is not supported"),
        ("HTTP_PROXY", "ftp://proxy", "the scheme ftp is not supported"),
        ("HTTPS_PROXY", "http://proxy:port", "it is not a valid URL"),
        ("HTTPS_PROXY", "me:hunter2@[::1", "it is not a valid URL"),
        ("NO_PROXY", "[::1", "an entry is not a valid host"),
    ],
)
def test_a_proxy_that_cannot_be_used_says_why_and_hides_its_login(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        connect(url="https://127.0.0.1:1")
    assert str(caught.value) == f"{name} cannot be used: {reason}"
    assert name in caught.value.hint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "No such file or directory"),
        ("", "it has no PEM certificates"),
        ("junk", "it has no PEM certificates"),
    ],
)
def test_certificates_that_cannot_be_used_say_why(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, reason: str
) -> None:
    path = tmp_path / "authorities.pem"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigurationError) as caught:
        connect(url="https://127.0.0.1:1")
    assert str(caught.value) == f"SSL_CERT_FILE cannot be used: {path}: {reason}"


@pytest.fixture
def refusing_proxy() -> Iterator[str]:
    """Where a proxy listens that answers every request with 407."""

    class Handler(QuietHandler):
        def _refuse(self) -> None:
            self.send_response(407)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_CONNECT = _refuse

    with listening(Handler) as place:
        yield place


REAL = "https://alertsite.invalid/api/v3"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_proxy_that_refuses_is_named_without_its_login(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, refusing_proxy: str, method: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter2@{refusing_proxy}")
    session = connect(Credentials(token="0" * 32), url=REAL, sleep=lambda *_: None)
    with pytest.raises(UnavailableError) as caught:
        session.request(method, "/monitors")
    assert str(caught.value) == (
        f"the proxy {refusing_proxy} refused to connect to {REAL}: "
        "407 Proxy Authentication Required"
    )
    assert "HTTPS_PROXY" in caught.value.hint
    assert "ALERTSITE_URL" not in caught.value.hint
    assert not caught.value.may_have_arrived


def test_a_proxy_that_is_not_there_is_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter2@127.0.0.1:1")
    session = connect(Credentials(token="0" * 32), url=REAL, sleep=lambda *_: None)
    with pytest.raises(
        UnavailableError, match=r"^the proxy 127\.0\.0\.1:1 cannot be reached"
    ) as found:
        session.request("GET", "/monitors")
    assert "HTTPS_PROXY" in found.value.hint
    assert "hunter2" not in str(found.value)


@pytest.mark.parametrize("answer", [OK, Answer(204), Answer(201, b"[]")])
def test_any_2xx_is_success(script: Script, connect: Connect, answer: Answer) -> None:
    script.on(PATCH, answer)
    patch(connect())
    assert script.seen[-1].body == b'{"port":587}'


MONITORS = "GET /monitors"
NOT_AUTHENTICATED = "invalid_request - User authentication failed."


def page(ids: list[object], **resultset: object) -> Answer:
    results = [{"id": number, "type": "email-smtp"} for number in ids]
    data = {"metadata": {"resultset": resultset}, "results": results}
    return Answer(body=json.dumps(data).encode())


class TestList:
    def ids(self, script: Script, connect: Connect, *answers: Answer) -> list[int]:
        script.on(MONITORS, *answers)
        live = Reader(connect(), ACCOUNT).list_monitors(["email-imap", "email-smtp"])
        return [monitor.id for monitor in live]

    def test_one_request_with_the_kinds(self, script: Script, connect: Connect) -> None:
        answer = page([1, 2], count=2, limit=None, offset=None)
        assert self.ids(script, connect, answer) == [1, 2]
        assert script.requests()[1:] == ["GET /monitors?type=email-imap%2Cemail-smtp"]

    @pytest.mark.parametrize(
        "body",
        [
            b'{"results": [{"id": "7"}]}',
            b'[{"id": 7}]',
            b'{"id": 7, "type": "email-smtp"}',
            b'{"metadata": null, "results": [{"id": 7, "type": ""}]}',
        ],
    )
    def test_any_envelope(self, script: Script, connect: Connect, body: bytes) -> None:
        assert self.ids(script, connect, Answer(body=body)) == [7]

    def test_an_empty_account(self, script: Script, connect: Connect) -> None:
        assert self.ids(script, connect, page([], count=0)) == []

    def test_pages_by_limit(self, script: Script, connect: Connect) -> None:
        pages = [page([1, 2], limit=2), page([2, 3], limit="2"), page([3], limit=2)]
        assert self.ids(script, connect, *pages) == [1, 2, 3]
        asked = [path.partition("smtp")[2] for path in script.requests()[1:]]
        assert asked == ["", "&limit=2&offset=1", "&limit=2&offset=2"]

    def test_it_says_how_many_it_has_read(self, script: Script, connect: Connect) -> None:
        pages = page([1, 2], limit=2), page([2, 3], limit=2), page([3], limit=2)
        script.on("GET /monitors", *pages)
        script.on("GET /monitors/7", Answer(body=b'{"id": 7}'))
        script.on("GET /monitors/8", Answer(body=b'{"id": 8}'))
        told: list[int] = []
        reader = Reader(connect(), ACCOUNT, told.append)
        reader.list_monitors(["email-smtp"])
        reader.read_monitors([7, 8])
        assert told == [2, 3, 4, 5]

    def test_pages_by_total(self, script: Script, connect: Connect) -> None:
        pages = page([1, 2], count=3), page([2, 3], count=3)
        assert self.ids(script, connect, *pages) == [1, 2, 3]

    def test_pages_whose_count_is_their_own(self, script: Script, connect: Connect) -> None:
        pages = page([1, 2], count=2, limit=2), page([2, 3], count=2, limit=2)
        assert self.ids(script, connect, *pages, page([3], count=1, limit=2)) == [1, 2, 3]

    @pytest.mark.parametrize(
        ("answers", "message"),
        [
            ([page([1, 2], limit=2, count=9)], "begins with monitor 1, where monitor 2 stood"),
            ([page([1, 2], count=3), page([], count=3)], "is empty, where monitor 2 stood"),
            ([page([1, 2], count=3), page([2, 1], count=3)], "repeats a monitor"),
            ([page([1, 1])], "a page has the same monitor twice"),
            ([page([1], count=3), page([], count=3)], "3 monitors but lists 1"),
            ([page([1, 2], count=1)], "1 monitors but lists 2"),
        ],
    )
    def test_a_list_that_contradicts_itself_proves_nothing(
        self, script: Script, connect: Connect, answers: list[Answer], message: str
    ) -> None:
        with pytest.raises(IncompleteError, match=message) as caught:
            self.ids(script, connect, *(answers * 4)[: 4 * len(answers) - 1], answers[-1])
        assert caught.value.exit_code is ExitCode.UNAVAILABLE
        assert "may still be there" in caught.value.hint

    def test_a_list_that_moves_is_read_again(self, script: Script, connect: Connect) -> None:
        """Monitor 1 goes between two pages: without a look back, 3 would never be seen."""
        before, after = page([1, 2], limit=2, count=4), page([3, 4], limit=2, count=3)
        again = page([2, 3], limit=2, count=3), page([3, 4], limit=2, count=3)
        assert self.ids(script, connect, before, after, *again) == [2, 3, 4]

    def test_a_list_without_types_is_asked_for_each_kind(
        self, script: Script, connect: Connect
    ) -> None:
        one, two = {"id": 1}, {"id": 2}
        lists = [Answer(body=json.dumps(items).encode()) for items in ([one, two], [one], [two])]
        script.on(MONITORS, *lists)
        live = Reader(connect(), ACCOUNT).list_monitors(["email-imap", "email-smtp"])
        assert [(item.id, item.type) for item in live] == [(1, "email-imap"), (2, "email-smtp")]

    def test_a_filter_that_is_ignored_tells_no_type(self, script: Script, connect: Connect) -> None:
        script.on(MONITORS, Answer(body=b'[{"id": 1}]'))
        (live,) = Reader(connect(), ACCOUNT).list_monitors(["email-imap", "email-smtp"])
        assert live.type is None

    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            b'"x"',
            b"null",
            b'[{"name": "x"}]',
            b"[7]",
            b'[{"id": true}]',
            b"<html>",
            b"[" * 99_999,
            b"[NaN]",
        ],
    )
    def test_nonsense(self, script: Script, connect: Connect, body: bytes) -> None:
        with pytest.raises(NonsenseError, match="GET /monitors"):
            self.ids(script, connect, Answer(body=body))

    def test_a_wrong_path(self, script: Script, connect: Connect) -> None:
        with pytest.raises(NonsenseError, match="404") as caught:
            self.ids(script, connect, Answer(404, b"not here"))
        assert "ALERTSITE_URL" in caught.value.hint

    def test_a_refusal_in_the_documented_envelope_is_quoted(
        self, script: Script, connect: Connect
    ) -> None:
        with pytest.raises(AlertSiteError, match=r"400 Bad Request: no such type$") as caught:
            self.ids(script, connect, error(400, "no such type"))
        assert caught.value.exit_code is ExitCode.UNAVAILABLE


class TestOneMonitor:
    GONE = error(404, "Record not found")

    def read(self, script: Script, connect: Connect, answer: Answer) -> Live | None:
        script.on("GET /monitors/7", answer)
        return Reader(connect(), ACCOUNT).read_monitor(7)

    @pytest.mark.parametrize("body", [b'{"id": "7", "x": 1}', b'{"results": [{"id": 7, "x": 1}]}'])
    def test_any_envelope(self, script: Script, connect: Connect, body: bytes) -> None:
        live = self.read(script, connect, Answer(body=body))
        assert live is not None
        assert (live.id, live.fields["x"]) == (7, 1)

    @pytest.mark.parametrize(
        "answer", [GONE, Answer(404), Answer(404, b"gone"), Answer(410), Answer(body=b"[]")]
    )
    def test_one_that_is_gone(self, script: Script, connect: Connect, answer: Answer) -> None:
        assert self.read(script, connect, answer) is None

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(200, b"<html>"),
            Answer(404, b"\n<html>nginx"),
            Answer(body=b'{"id": 8}'),
            Answer(body=b"[1, 2]"),
        ],
    )
    def test_no_other_answer_says_that_it_is_gone(
        self, script: Script, connect: Connect, answer: Answer
    ) -> None:
        with pytest.raises(NonsenseError):
            self.read(script, connect, answer)

    def test_several_at_once(self, script: Script, connect: Connect) -> None:
        script.on("GET /monitors/7", Answer(body=b'{"id": 7}'))
        script.on("GET /monitors/8", self.GONE)
        found = Reader(connect(), ACCOUNT).read_monitors([7, 8])
        assert {number: live and live.id for number, live in found.items()} == {7: 7, 8: None}


POST = "POST /monitors/email-smtp"


class TestCreate:
    def create(self, connect: Connect) -> int:
        return Writer(connect(), ACCOUNT).create("/monitors/email-smtp", {"name": "x"})

    @pytest.mark.parametrize("status", [0, 429, 500, 502, 503, 504])
    def test_it_is_not_repeated_whatever_is_answered(
        self, script: Script, connect: Connect, status: int
    ) -> None:
        script.on(POST, Answer(status, headers=(("Retry-After", "0"),)), Answer(body=b'{"id": 1}'))
        with pytest.raises(UnavailableError) as caught:
            self.create(connect)
        assert caught.value.may_have_arrived
        assert script.requests().count(POST) == 1

    @pytest.mark.parametrize("answer", [error(401, "expired"), error(400, NOT_AUTHENTICATED)])
    def test_a_token_that_is_refused_is_renewed_and_the_request_left_alone(
        self, script: Script, connect: Connect, answer: Answer
    ) -> None:
        script.on(POST, answer, Answer(body=b'{"id": 1}'))
        with pytest.raises(UnavailableError) as caught:
            self.create(connect)
        assert caught.value.may_have_arrived
        assert script.requests() == ["POST /access-tokens", POST, "POST /access-tokens"]


class TestRefusedToken:
    def test_400_is_renewed_as_401_is(self, script: Script, connect: Connect) -> None:
        script.on(PATCH, error(400, NOT_AUTHENTICATED), OK)
        patch(connect())
        assert script.requests() == ["POST /access-tokens", PATCH, "POST /access-tokens", PATCH]

    def test_one_that_stays_refused_ends_all(self, script: Script, connect: Connect) -> None:
        script.on(PATCH, error(400, NOT_AUTHENTICATED))
        session = connect()
        for _ in range(3):
            with pytest.raises(CredentialsError):
                patch(session)
        assert script.requests().count("POST /access-tokens") == 2


def test_one_429_slows_all_requests_down(script: Script, connect: Connect) -> None:
    now, slept = [0.0], []

    def sleep(seconds: float, _stop: object) -> None:
        slept.append(seconds)
        now[0] += seconds

    script.on(PATCH, *[Answer(429)] * 7, OK)
    session = connect(monotonic=lambda: now[0], sleep=sleep)
    patch(session)
    assert script.requests().count(PATCH) == 8
    assert sum(slept) > 30


def test_planning_is_given_no_way_to_write() -> None:
    public = {name for name in dir(Reader) if not name.startswith("_")}
    assert public == {"list_monitors", "read_monitor", "read_monitors", "tell"}
