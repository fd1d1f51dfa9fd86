"""What the environment says: which account, which credentials; and that they stay secret."""

from pathlib import Path

import pytest
from e2e.conftest import Account, Fleet, Relays, Run

from reconciler.context import Clock

_LOGIN = "POST /access-tokens"
_READ = "GET /monitors"
_APPLY = ("apply", "--auto-approve")
_SECRET = "hunter2-c0rrect-h0rse"


@pytest.fixture
def account(relays: Relays) -> Account:
    """An account with one monitor, which one manifest wants to change."""
    return relays(1)


def _without(account: Account, *names: str) -> dict[str, str]:
    return {key: value for key, value in account.env.items() if key not in names}


@pytest.mark.parametrize("command", [["plan"], [*_APPLY]], ids=" ".join)
def test_pipeline_without_credentials_never_uses_the_sandbox(
    command: list[str], tmp_path: Path, fleet: Fleet, run: Run
) -> None:
    fleet(1)
    done = run(*command, env={"CI": "true"}).expect(3, err="ALERTSITE_USERNAME")
    assert done.out == ""
    assert not (tmp_path / "work" / ".reconciler").exists()


def test_pipeline_validates_without_credentials(fleet: Fleet, run: Run) -> None:
    fleet(1)
    assert run("validate", env={"CI": "true"}).code == 0


def test_pipeline_with_credentials(account: Account) -> None:
    assert account.run("plan", env={"CI": "true"}).code == 0
    assert account.calls() == [_LOGIN, _READ]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ALERTSITE_PASSWORD": ""}, "ALERTSITE_PASSWORD is empty or not set"),
        ({"ALERTSITE_USERNAME": ""}, "ALERTSITE_USERNAME is empty or not set"),
        (
            {"ALERTSITE_USERNAME": "", "ALERTSITE_PASSWORD": ""},
            "ALERTSITE_USERNAME and ALERTSITE_PASSWORD are empty or not set",
        ),
        ({"ALERTSITE_PASSWORD_FILE": "/dev/null"}, "ALERTSITE_PASSWORD"),
    ],
    ids=str,
)
def test_half_a_login_names_what_is_missing(
    changes: dict[str, str], named: str, account: Account
) -> None:
    account.run("plan", env=changes).expect(3, err=named)
    assert account.calls() == []


def test_url_alone_is_not_enough(account: Account, run: Run) -> None:
    said = "ALERTSITE_USERNAME and ALERTSITE_PASSWORD"
    run("plan", env={"ALERTSITE_URL": account.url}).expect(3, err=said)
    assert account.calls() == []


def test_empty_token_alone_is_not_the_sandbox(fleet: Fleet, run: Run) -> None:
    fleet(1)
    run("plan", env={"ALERTSITE_TOKEN": ""}).expect(3, err="ALERTSITE_TOKEN")


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=repr)
def test_login_from_files(end: str, tmp_path: Path, account: Account, run: Run) -> None:
    files = {}
    for name, value in account.login.items():
        path = tmp_path / name
        path.write_bytes(f"{value}{end}".encode())
        files[f"{name}_FILE"] = str(path)
    run(*_APPLY, env={"ALERTSITE_URL": account.url, **files}).expect(0)
    assert account.live(1)["port"] == 587


def test_token_from_a_file(tmp_path: Path, account: Account, run: Run) -> None:
    (tmp_path / "token").write_text(account.token() + "\n", encoding="utf-8")
    env = {"ALERTSITE_URL": account.url, "ALERTSITE_TOKEN_FILE": str(tmp_path / "token")}
    assert run("plan", env=env).code == 0
    assert account.calls() == [_LOGIN, _READ]  # the login was the test's own


@pytest.mark.parametrize("name", ["ALERTSITE_USERNAME", "ALERTSITE_PASSWORD", "ALERTSITE_TOKEN"])
def test_missing_file_is_named(name: str, account: Account, run: Run) -> None:
    env = _without(account, name) | {f"{name}_FILE": "/nowhere/secret"}
    run("plan", env=env).expect(3, err=f"{name}_FILE: cannot read /nowhere/secret: No such file")
    assert account.calls() == []


def test_variable_and_its_file_contradict(account: Account) -> None:
    said = "ALERTSITE_PASSWORD and ALERTSITE_PASSWORD_FILE are both set"
    account.run("plan", env={"ALERTSITE_PASSWORD_FILE": "/dev/null"}).expect(3, err=said)
    assert account.calls() == []


def test_token_needs_no_login(account: Account, run: Run) -> None:
    token = account.token()
    env = {"ALERTSITE_URL": account.url, "ALERTSITE_TOKEN": token}
    done = run(*_APPLY, env=env).expect(0)
    assert token not in done.text
    assert account.calls() == [_LOGIN, _READ, "PATCH /monitors/email-smtp/1", _READ]


def test_wrong_token_without_a_login_is_refused(account: Account, run: Run) -> None:
    env = {"ALERTSITE_URL": account.url, "ALERTSITE_TOKEN": _SECRET}
    done = run(*_APPLY, env=env).expect(4, err="ALERTSITE_TOKEN")
    assert _SECRET not in done.text
    assert account.calls() == [_READ]


def test_expired_token_beside_a_login_is_replaced(account: Account) -> None:
    account.run("plan", env={"ALERTSITE_TOKEN": "0" * 32}).expect(0)
    assert account.calls() == [_READ, _LOGIN, _READ]


@pytest.mark.parametrize(
    "url",
    [
        "http://api.alertsite.example/api/v3",
        "http://10.0.0.1/api/v3",
        "ftp://127.0.0.1/api/v3",
        "api.alertsite.com/api/v3",
        "https://",
        "https://[::1",
        "https://127.0.0.1:port/",
        "https://127.0.0.1 0:1/api/v3",
        "https://alertsite.invalid/api/v3?debug=1",
        "https://a..b/api/v3",
        "https://../api/v3",
        "https://xn--/api/v3",
        f"https://{'a' * 64}.invalid/api/v3",
    ],
)
def test_url_that_cannot_be_meant(url: str, fleet: Fleet, run: Run) -> None:
    fleet(1)
    done = run(
        "plan", env={"ALERTSITE_URL": url, "ALERTSITE_USERNAME": "u", "ALERTSITE_PASSWORD": _SECRET}
    ).expect(3, err="ALERTSITE_URL")
    assert _SECRET not in done.text


def test_a_proxy_whose_name_is_none(fleet: Fleet, run: Run, hurried: Clock) -> None:
    fleet(1)
    env = {"ALERTSITE_TOKEN": "0" * 32, "HTTPS_PROXY": "http://a..b:1"}
    said = "the proxy a..b:1 cannot be reached: the name of the host is not valid"
    run("plan", env=env, clock=hurried).expect(6, err=said)


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{_SECRET}@127.0.0.1:1/api/v3",
        f"https://:{_SECRET}@127.0.0.1:1/api/v3",
        f"http://user:{_SECRET}@alertsite.invalid/api/v3",
    ],
)
def test_password_in_the_url_is_refused_and_not_repeated(url: str, fleet: Fleet, run: Run) -> None:
    fleet(1)
    done = run("plan", env={"ALERTSITE_URL": url, "ALERTSITE_TOKEN": "0" * 32})
    assert _SECRET not in done.text
    assert done.code == 3


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_plain_http_is_for_loopback(host: str, account: Account) -> None:
    url = account.url.replace("127.0.0.1", host)
    assert account.run("plan", env={"ALERTSITE_URL": f"{url}/"}).code == 0
    assert account.calls() == [_LOGIN, _READ]


def test_proxy_of_the_environment_is_not_used_for_loopback(account: Account) -> None:
    proxy = dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:1")
    assert account.run("plan", env=proxy).code == 0


@pytest.mark.parametrize("value", [f"{_SECRET}\n", f"{_SECRET} ", f"{_SECRET}é"], ids=repr)
def test_token_that_no_header_can_hold_is_refused_and_not_printed(
    value: str, account: Account, run: Run
) -> None:
    done = run("plan", env={"ALERTSITE_URL": account.url, "ALERTSITE_TOKEN": value})
    assert _SECRET not in done.text
    assert done.code in {3, 4}


@pytest.mark.parametrize(
    "faults",
    [[], ["* * body=html"], ["GET * status=401"], ["PATCH * status=503 retry-after=0 times=1"]],
    ids=str,
)
def test_password_is_in_no_output(faults: list[str], relays: Relays) -> None:
    account = relays(1, faults=faults)
    done = account.apply("--json", env={"RECONCILER_DEBUG": "1"})
    assert "AlertSite: http://127.0.0.1" in done.err
    assert account.login["ALERTSITE_PASSWORD"] not in done.text
    assert {entry["body"]["password"] for entry in account.requests("POST")} == {"***"}
