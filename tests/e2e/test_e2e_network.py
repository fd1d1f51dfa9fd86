"""What networks, proxies and a busy AlertSite do: retries, deadlines, pages, lists with gaps."""

from pathlib import Path

import pytest
from e2e.conftest import Fleet, Relays, Sandbox, Workspace, manifest, monitor

from reconciler.context import Clock
from reconciler.sandbox import parse_world

_SMTP = "email-smtp"
_LOGIN = "POST /access-tokens"
_READ = "GET /monitors"
_APPLY = ("apply", "--auto-approve")
_FIRST = ("/monitors/email-smtp/1", {"port": 587})
pytestmark = pytest.mark.usefixtures("hurried")


def test_refused_token_in_mid_run_is_renewed_once_for_all_threads(relays: Relays) -> None:
    # The delay lets all eight be under way with the first token before one hears of its end.
    account = relays(10, faults=["PATCH * status=401 delay=0.4 times=8"])
    account.apply("--parallelism", "8").expect(0, out="10 changed")
    assert account.calls().count(_LOGIN) == 2
    assert len(account.patches()) == 18
    assert set(account.ports().values()) == {587}


def test_a_refused_token_that_is_answered_as_a_bad_request_is_renewed(relays: Relays) -> None:
    account = relays(
        24, world=parse_world("expired=400"), token_life=1.5, faults=["PATCH * delay=0.5"]
    )
    account.apply("--parallelism", "8").expect(0, out="24 changed")
    assert sum(call == "POST /access-tokens" for call in account.calls()) in {2, 3}


def test_one_refused_token_is_renewed_and_the_request_sent_again(relays: Relays) -> None:
    account = relays(1, faults=["PATCH * status=401 times=1"])
    assert account.apply().code == 0
    patch = f"PATCH {_FIRST[0]}"
    assert account.calls() == [_LOGIN, _READ, patch, _LOGIN, patch, _READ]


def test_token_that_expires_in_mid_run(relays: Relays) -> None:
    rule = "PATCH * delay=1.2 times=1"
    account = relays(2, faults=[rule], token_life=1.0)
    account.apply("--parallelism", "1").expect(0)
    assert [entry["status"] for entry in account.requests("PATCH")] == [401, 200, 200]
    assert account.calls().count(_LOGIN) == 2


def test_429_is_waited_for_as_long_as_asked(relays: Relays, hurried: Clock) -> None:
    account = relays(1, faults=["PATCH * status=429 retry-after=1 times=1"])
    started = hurried.monotonic()
    done = account.apply()
    assert hurried.monotonic() - started >= 1
    done.expect(0, err=("429 Too Many Requests", "trying again in 1."))
    assert account.patches() == [_FIRST, _FIRST]


def test_wait_beyond_the_budget_is_not_begun(relays: Relays) -> None:
    account = relays(2, faults=["PATCH */1 status=429 retry-after=86400"])
    account.apply().expect(
        7, out="relay-01 failed: not changed: PATCH /monitors/email-smtp/1: 429 Too Many Requests"
    )
    assert len(account.patches()) == 2


@pytest.mark.parametrize(
    ("what", "status"), [("GET /monitors", 502), ("PATCH *", 503), ("PATCH *", 504)]
)
def test_two_failures_and_then_success(what: str, status: int, relays: Relays) -> None:
    account = relays(1, faults=[f"{what} status={status} retry-after=0 times=2"])
    done = account.apply().expect(0)
    assert done.err.count("trying again") == 2
    method = what.partition(" ")[0]
    answers = [entry["status"] for entry in account.requests(method)]
    assert answers[:3] == [status, status, 200]
    assert account.live(1)["port"] == 587


@pytest.mark.parametrize(
    "effect", ["drop=before", "drop=after", "body=truncated", "delay=0.2 status=504 retry-after=0"]
)
def test_patch_without_a_usable_answer_is_sent_again(effect: str, relays: Relays) -> None:
    account = relays(3, faults=[f"PATCH */1 {effect} times=1"])
    account.apply().expect(0, out="3 changed")
    assert sorted(path for path, _ in account.patches()) == [
        f"/monitors/email-smtp/{number}" for number in (1, 1, 2, 3)
    ]
    assert set(account.ports().values()) == {587}


@pytest.mark.parametrize("effect", ["drop=before", "body=truncated"])
def test_read_without_a_usable_answer_is_sent_again(effect: str, relays: Relays) -> None:
    account = relays(1, faults=[f"GET /monitors {effect} times=1"])
    account.run("plan").expect(0)
    assert account.calls() == [_LOGIN, _READ, _READ]


@pytest.mark.parametrize("effect", ["body=html", "body=html status=500", "body=html status=201"])
def test_answer_that_makes_no_sense_is_settled_by_reading(effect: str, relays: Relays) -> None:
    account = relays(1, faults=[f"PATCH * {effect}"])
    done = account.apply("--json").expect(0)
    assert done.json["summary"]["done"] == 1
    assert account.calls() == [_LOGIN, _READ, f"PATCH {_FIRST[0]}", _READ]


def test_only_what_alertsite_has_afterwards_is_done(relays: Relays) -> None:
    rules = ["PATCH */1 status=200", "PATCH */2 status=500"]
    account = relays(3, faults=rules)
    done = account.apply()
    assert done.code == 7
    assert "! email-smtp/relay-01 not kept" in done.out
    assert "(monitors/fleet.yaml:1)" in done.out
    assert "port: sent 587, AlertSite has 25" in done.out
    assert "relay-02 failed: not changed: PATCH /monitors/email-smtp/2: 500" in done.out
    assert "Of 3 changes: 1 done, 1 failed, 1 not kept." in done.out
    assert len(account.patches()) == 3


def test_result_that_cannot_be_read_again_is_unconfirmed(relays: Relays) -> None:
    account = relays(2, faults=["GET /monitors skip=1 times=1 status=500"])
    account.apply().expect(
        7, out=("Of 2 changes: 0 done, 2 unconfirmed.", "could not be read again")
    )
    assert set(account.ports().values()) == {587}


def test_monitor_that_vanishes_meanwhile_is_not_kept(relays: Relays) -> None:
    account = relays(2, faults=["PATCH */1 status=404"])
    account.apply().expect(7, out="relay-01 failed: PATCH /monitors/email-smtp/1: 404 Not Found")


@pytest.mark.parametrize("command", [["plan"], [*_APPLY]], ids=" ".join)
def test_all_pages_are_read(command: list[str], relays: Relays) -> None:
    account = relays(8, page_size=3)
    account.run(*command).expect(0, out="Plan: 0 to add, 8 to change, 0 to destroy. 0 unchanged.")
    offsets = [entry["query"].get("offset") for entry in account.requests("GET")]
    assert offsets[:4] == [None, "2", "4", "6"]  # each page begins with the last of the one before


def test_pages_that_end_with_a_full_one(relays: Relays) -> None:
    account = relays(6, page_size=3)
    assert "6 to change" in account.run("plan").out
    assert len(account.requests("GET")) <= 3


def test_only_email_monitors_are_asked_for(relays: Relays) -> None:
    website = {"id": 900, "type": "website", "name": "Not ours"}
    account = relays(1, website)
    done = account.run("plan")
    assert "without a manifest" not in done.out
    (read,) = account.requests("GET")
    kinds = "email-imap,email-pop,email-round-trip,email-smtp"
    assert read["query"] == {"type": kinds}


def test_live_number_with_too_many_digits_is_no_bug(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.describe("email-smtp", "one", 1, port=587)
    account = sandbox(monitor("email-smtp", 1, port="9" * 5000))
    account.apply().expect(0)
    assert account.patches() == [_FIRST]


_SHORT = {"RECONCILER_DEADLINE": "0.6s"}


# deadline


def test_list_that_trickles_ends_the_run_and_frees_the_lock(kept: Path, relays: Relays) -> None:
    account = relays(3, faults=["GET /monitors body=trickle times=1"])
    done = account.apply(env=_SHORT)
    assert done.code == 6
    assert "Error: GET /monitors: no complete response within 0.6 s\n" in done.err
    assert "allow more time with deadline in reconciler.toml (RECONCILER_DEADLINE)." in done.err
    assert not kept.with_name("state.json.lock").exists()
    assert account.apply().code == 0


def test_patch_that_trickles_is_sent_once_and_settled_by_reading(relays: Relays) -> None:
    account = relays(3, faults=["PATCH */2 body=trickle"])
    account.apply(env=_SHORT).expect(0)
    assert len(account.patches()) == 3


def test_create_that_trickles_is_sent_once_and_found_by_looking(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.describe("email-smtp", "a", name="A")
    account = sandbox(faults=["POST /monitors/* body=trickle"])
    account.apply(env={"RECONCILER_TIMEOUT": "0.6s"}).expect(0)
    assert account.calls().count("POST /monitors/email-smtp") == 1
    assert account.run("plan").out == "No changes. 1 unchanged.\n"


def test_largest_list(fleet: Fleet, sandbox: Sandbox) -> None:
    first, *others = fleet(3)
    account = sandbox(first | {"note": "x" * 2**20}, *others)
    said = ("GET /monitors returned a response with more than 1 MiB", "(RECONCILER_LARGEST_LIST)")
    account.run("plan", env={"RECONCILER_LARGEST_LIST": "1MiB"}).expect(6, err=said)
    assert account.run("plan", env={"RECONCILER_LARGEST_LIST": "2MiB"}).code == 0


# login


@pytest.mark.parametrize("status", [429, 503])
def test_login_is_sent_once_whatever_is_answered(status: int, relays: Relays) -> None:
    account = relays(1, faults=[f"{_LOGIN} status={status} retry-after=0"])
    said = "reconciler tried the login only once, because AlertSite can lock users out."
    account.apply().expect(6, err=said)
    assert account.calls() == [_LOGIN]


class TestLists:
    @pytest.mark.parametrize(
        "world",
        [
            "offset=ignored",
            "offset=page",
            "short=20",
            "offset=ignored,count=page",
            "offset=page,count=page",
        ],
    )
    def test_one_that_is_not_whole_lets_nothing_be_made_or_forgotten(
        self, world: str, workspace: Workspace, sandbox: Sandbox
    ) -> None:
        seed = [monitor(_SMTP, number, name=f"M {number}") for number in range(1, 121)]
        texts = [manifest(_SMTP, f"m-{number}", name=f"M {number}") for number in range(1, 121)]
        workspace.write("all.yaml", "---\n".join(texts))
        account = sandbox(*seed, world=parse_world(world), page_size=50)
        for command in (["plan"], [*_APPLY], ["import", "--merge"], ["plan", "--json"]):
            account.run(*command).expect(6, err="What a list leaves out may still be there")
        assert len(account.creates()) == 0

    def test_needs_limit_is_served(self, relays: Relays) -> None:
        account = relays(12, world=parse_world("offset=needs-limit"), page_size=5)
        assert "12 to change" in account.run("plan").out

    def test_one_that_silently_leaves_out_what_is_ours(
        self, workspace: Workspace, relays: Relays
    ) -> None:
        account = relays(8, world=parse_world("hide=3"))
        account.apply().expect(0, out="8 changed")
        workspace.write("fleet.yaml", workspace.read("fleet.yaml"))
        plan = account.run("plan")
        assert "email-smtp/relay-08 (id 8) not in AlertSite's list, read by id\n" in plan.out
        assert "No changes. 8 unchanged.\n" in plan.out
        workspace.remove("fleet.yaml")
        done = account.apply("--allow-empty")
        assert "forgotten" not in done.out
        assert len(workspace.state()["records"]) == 8

    def test_a_list_without_one_of_ours_does_not_prove_that_another_is_missing(
        self, workspace: Workspace, fleet: Fleet, sandbox: Sandbox
    ) -> None:
        seed = [*fleet(8), monitor(_SMTP, 9, name="New")]
        account = sandbox(*seed, world=parse_world("hide=3"))
        assert account.apply().code == 0
        workspace.describe(_SMTP, "new", name="New")
        for _ in range(2):
            said = "list omits monitor 7, which exists, so it may omit one named 'New'"
            account.apply().expect(5, out=said)
        assert len(account.creates()) == 0

    @pytest.mark.parametrize("world", ["vanish=2", "vanish=2,count=none"])
    def test_a_monitor_that_goes_between_two_pages_makes_no_double(
        self, world: str, workspace: Workspace, sandbox: Sandbox
    ) -> None:
        seed = [monitor(_SMTP, number, name=f"M {number}") for number in range(1, 13)]
        workspace.describe(_SMTP, "six", name="M 6")
        account = sandbox(*seed, world=parse_world(world), page_size=5)
        account.apply().expect(5, out="named 'M 6', with the id 6")
        assert len(account.creates()) == 0

    @pytest.mark.parametrize("count", [3, 10])
    def test_one_that_lags_doubles_nothing_however_often_it_is_asked(
        self, count: int, creating: Sandbox
    ) -> None:
        account = creating(count, world=parse_world("lag=60"))
        for _ in range(3):
            done = account.apply().expect(0)
        assert "read by id" in done.out
        assert len(account.creates()) == count

    def test_one_without_types(self, relays: Relays) -> None:
        account = relays(3, world=parse_world("no-type"))
        assert account.apply().code == 0
        assert account.run("plan").out == "No changes. 3 unchanged.\n"

    def test_most_that_is_gone_is_another_account(self, relays: Relays) -> None:
        account = relays(6)
        assert account.apply().code == 0
        for number in range(1, 5):
            account.delete(number)
        for command in (["plan"], [*_APPLY], ["drift"]):
            said = "only 2 of the 6 monitors in the state are in this account"
            account.run(*command).expect(5, err=said)
        addresses = [f"email-smtp/relay-0{number}" for number in range(1, 5)]
        assert account.run("state", "rm", *addresses).code == 0
        assert "not in this account" not in account.run("plan").err
