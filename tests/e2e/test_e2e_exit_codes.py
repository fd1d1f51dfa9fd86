"""Every exit code of the README, but for 1 (a bug), 8 (the state) and 130 (interrupts)."""

import socket
from collections.abc import Iterator, Sequence

import pytest
from e2e.conftest import Fleet, Relays, Run, Sandbox, Workspace, monitor

from reconciler.context import Clock

_LOGIN = "POST /access-tokens"
_READ = "GET /monitors"
_APPLY = ("apply", "--auto-approve")
_VIEWER = {"ALERTSITE_USERNAME": "viewer@example.com", "ALERTSITE_PASSWORD": "viewer"}


def _id(value: object) -> str | None:
    return " ".join(value) if isinstance(value, list) else None


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections, and that nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


# 0 and 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["plan"], 0),
        (["plan", "--detailed-exitcode"], 2),
        (["diff", "--detailed-exitcode"], 2),
        (["plan", "--json", "--detailed-exitcode"], 2),
        (["plan", "--detailed-exitcode", "--target", "email-smtp/relay-02"], 0),
        (["apply", "--auto-approve"], 0),
        (["validate"], 0),
        (["--help"], 0),
        (["--version"], 0),
        (["apply", "--help"], 0),
    ],
    ids=_id,
)
def test_done_is_0_and_changes_are_2_when_asked_for(
    arguments: list[str], code: int, fleet: Fleet, sandbox: Sandbox
) -> None:
    one, two = fleet(2)
    account = sandbox(one, {**two, "port": 587})
    assert account.run(*arguments).code == code


# 4


@pytest.mark.parametrize("arguments", [["plan"], [*_APPLY, "--parallelism", "8"]], ids=" ".join)
def test_wrong_password_is_tried_once(arguments: list[str], relays: Relays) -> None:
    account = relays(3)
    done = account.run(*arguments, env={"ALERTSITE_PASSWORD": "wr0ng-passw0rd"}).expect(
        4, err=("User authentication failed", "ALERTSITE_PASSWORD")
    )
    assert "wr0ng-passw0rd" not in done.text
    assert account.calls() == [_LOGIN]


def test_viewer_may_plan(relays: Relays) -> None:
    account = relays(1)
    account.run("plan", env=_VIEWER).expect(0, out="1 to change")


def test_viewer_may_not_apply(relays: Relays) -> None:
    account = relays(1)
    account.apply(env=_VIEWER).expect(
        4, out=("403", "This user may not change monitors.", "monitors/fleet.yaml:1")
    )
    assert len(account.patches()) == 1
    assert account.live(1)["port"] == 25


def test_token_that_is_refused_for_ever_stops_the_run(relays: Relays) -> None:
    account = relays(3, faults=["PATCH * status=401"])
    account.apply("--parallelism", "1").expect(4, out="3 changes: 0 done, 1 failed, 2 not started")
    assert len(account.patches()) == 2
    assert len(account.requests("POST")) == 2


# 5


@pytest.mark.parametrize(
    ("kind", "number", "words", "command"),
    [
        pytest.param("email-smtp", 99, ["id 99"], _APPLY, id="not-in-this-account"),
        pytest.param("email-smtp", 99, ["id 99"], ["plan"], id="not-in-this-account-plan"),
        pytest.param("email-imap", 2, ["email-smtp", "email-imap"], _APPLY, id="another-kind"),
        pytest.param("email-smtp", 3, ["id 3"], _APPLY, id="not-an-email-monitor"),
        pytest.param("email-smtp", None, ["metadata.id"], _APPLY, id="no-id"),
    ],
)
def test_manifest_without_its_monitor_is_refused_with_all_others(
    kind: str,
    number: int | None,
    words: list[str],
    command: Sequence[str],
    workspace: Workspace,
    fleet: Fleet,
    sandbox: Sandbox,
) -> None:
    (first,) = fleet(1)
    workspace.describe(kind, "odd", number)
    website = {"id": 3, "type": "website", "name": "Not ours"}
    account = sandbox(first, monitor("email-smtp", 2), website)
    done = account.run(*command).expect(5, out=(f"! {kind}/odd refused", "monitors/odd.yaml:1"))
    assert all(word in done.out for word in words)
    assert "1 to change" in done.out
    unlisted = [f"GET /monitors/{number}"] if number in {3, 99} else []
    assert account.calls() == [_LOGIN, _READ, *unlisted]  # that it is not there is asked


def test_refused_manifest_can_be_left_out(workspace: Workspace, relays: Relays) -> None:
    account = relays(1)
    workspace.describe("email-smtp", "odd", 99)
    assert account.apply("--target", "*/relay-*").code == 0
    assert len(account.patches()) == 1


def test_without_a_terminal_nothing_is_applied_unapproved(relays: Relays) -> None:
    account = relays(1)
    account.run("apply").expect(5, out="port: 25 → 587", err="--auto-approve")
    assert account.calls() == [_LOGIN, _READ]


# 6


def test_nobody_listens(closed_port: int, fleet: Fleet, run: Run, hurried: Clock) -> None:
    fleet(1)
    url = f"http://127.0.0.1:{closed_port}/api/v3"
    env = {"ALERTSITE_URL": url, "ALERTSITE_TOKEN": "0" * 32}
    said = f"\nError: {url} cannot be reached: Connection refused\n"
    done = run("plan", env=env, clock=hurried).expect(6, err=said)
    assert done.err.count("trying again") == 4
    assert "(attempt 1 of 5 failed)" in done.err
    assert done.out == ""


@pytest.mark.parametrize("path", ["/access-tokens", "/monitors"])
@pytest.mark.parametrize("effect", ["body=html", "body=html status=400", "status=302"])
def test_what_alertsite_never_answers_names_the_url(path: str, effect: str, relays: Relays) -> None:
    account = relays(1, faults=[f"* {path} {effect}"])
    account.apply().expect(6, err=f"Check ALERTSITE_URL, which is {account.url}")
    assert account.patches() == []


@pytest.mark.parametrize(("path", "times"), [("/access-tokens", 1), ("/monitors", 5)])
def test_unavailable_for_ever(path: str, times: int, relays: Relays, hurried: Clock) -> None:
    account = relays(1, faults=[f"* {path} status=503 retry-after=0"])
    account.apply(clock=hurried).expect(
        6, err=("503 Service Unavailable", "The sandbox was told to answer this.")
    )
    assert len([call for call in account.calls() if call.endswith(path)]) == times
    assert account.patches() == []


@pytest.mark.parametrize("command", [["plan"], [*_APPLY]], ids=" ".join)
def test_url_of_another_api_is_not_applied_in_part(command: list[str], relays: Relays) -> None:
    account = relays(1)
    url = account.url.replace("/api/v3", "/api/v2")
    account.run(*command, env={"ALERTSITE_URL": url}).expect(6, err="ALERTSITE_URL")


@pytest.mark.parametrize("command", [["plan"], [*_APPLY]], ids=" ".join)
def test_list_that_is_refused_is_not_applied_in_part(command: list[str], relays: Relays) -> None:
    account = relays(1, faults=["GET /monitors status=400"])
    account.run(*command).expect(6, err="The sandbox was told to answer this.")


# 7


def test_one_rejected_change_does_not_stop_the_others(relays: Relays) -> None:
    account = relays(5, faults=["PATCH /monitors/email-smtp/3 status=400"])
    done = account.apply().expect(7)
    (line,) = [line for line in done.out.splitlines() if "relay-03 failed" in line]
    assert "400 Bad Request: The sandbox was told to answer this." in line
    assert line.endswith("(monitors/fleet.yaml:23)")
    assert "Apply incomplete! Resources: 0 added, 4 changed, 0 destroyed." in done.out
    assert "Of 5 changes: 4 done, 1 failed." in done.out
    assert sorted(path for path, _ in account.patches()) == [
        f"/monitors/email-smtp/{number}" for number in range(1, 6)
    ]
    assert account.ports() == {1: 587, 2: 587, 3: 25, 4: 587, 5: 587}


def test_running_again_after_a_partial_run_sends_only_the_rest(relays: Relays) -> None:
    account = relays(3, faults=["PATCH /monitors/email-smtp/2 status=400 times=1"])
    assert account.apply().code == 7
    assert account.apply().code == 0
    assert account.patches()[3:] == [("/monitors/email-smtp/2", {"port": 587})]


def test_strict_server_names_the_field_that_it_refuses(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "one", 7, extra={"colour": "red"})
    account = sandbox(monitor("email-smtp", 7), strict=True)
    account.apply().expect(7, out="unknown field (colour)")


# 64


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["plan", "--no-such-option"], "--no-such-option"),
        (["explode"], "explode"),
        (["plan", "unexpected"], "unexpected"),
        (["plan", "--target", "email-smtp/nobody"], "email-smtp/nobody"),
        (["plan", "--target", "team=nobody"], "team=nobody"),
        ([*_APPLY, "--target", "*/relay-*", "--target", "typo"], "typo"),
        (["apply", "--parallelism", "0"], "--parallelism"),
        (["apply", "--parallelism", "many"], "--parallelism"),
        (["plan", "--target"], "--target"),
        (["validate", "--format", "xml"], "--format"),
        (["sandbox", "--fault", "PATCH * status=9"], "status"),
        (["sandbox", "--port", "99999"], "--port"),
    ],
    ids=_id,
)
def test_usage(arguments: list[str], word: str, relays: Relays) -> None:
    account = relays(1)
    done = account.run(*arguments).expect(64, err=word)
    assert done.out == ""
    assert account.calls() == []
