"""Every key of a world through HTTP: what AlertSite's documentation leaves open."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.sandbox import Controls, Options, World, parse_fault, parse_world, running
from reconciler.sandbox.worlds import KEYS, PLAIN

SMTP = "/monitors/email-smtp"
FIRST = f"{SMTP}/500"


class Now:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.value = 1000.0

    def __call__(self) -> float:
        return self.value

    def pass_(self, seconds: float) -> None:
        self.value += seconds


@pytest.fixture
def now() -> Now:
    return Now()


def listed(client: httpx.Client, **query: Any) -> list[Any]:
    return [found["id"] for found in client.get("/monitors", params=query).json()["results"]]


def counted(client: httpx.Client, **query: Any) -> Any:
    return client.get("/monitors", params=query).json()["metadata"]["resultset"]["count"]


def one(client: httpx.Client, number: Any) -> Any:
    return client.get(f"/monitors/{number}").json()


def create(client: httpx.Client, body: Any) -> int:
    return int(client.post(SMTP, json=body).raise_for_status().json()["id"])


def edit(client: httpx.Client, **fields: Any) -> None:
    client.patch(FIRST, json=fields).raise_for_status()


@pytest.fixture
def world(start: Any, seed: Any) -> Callable[..., httpx.Client]:
    """Start a sandbox with six monitors in the world that a text describes."""

    def starting(text: str, **options: Any) -> httpx.Client:
        client: httpx.Client = start(seed=seed, world=parse_world(text), **options)
        return client

    return starting


# Text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", PLAIN),
        ("lag=10, offset=ignored,count=none", World(lag=10, offset="ignored", count="none")),
        ("late=0.5,backend=2", World(late=0.5, backend=2)),
        ("short=1,hide=2,locations=merge", World(short=1, hide=2, locations="merge")),
        ("extra-keys,no-type,no-filter", World(extra_keys=True, no_type=True, no_filter=True)),
        ("trim,crlf,lower-host", World(trim=True, crlf=True, lower_host=True)),
        ("names=nfc,names=cut:20", World(names=("nfc", "cut:20"))),
        ("drop=note,drop=port", World(drop=("note", "port"))),
        ("bools=01,expired=400,lies=create-id", World(bools="01", expired=400, lies="create-id")),
        ("vanish=first", World(vanish="first")),
        ("vanish=500", World(vanish=500)),
        ("locations=replace,count=total,expired=401", PLAIN),
    ],
)
def test_a_world_is_read_from_text(text: str, expected: World) -> None:
    assert parse_world(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lagg=1", "'lagg' is not a key of a world; did you mean lag? The keys are lag=SECONDS,"),
        ("qqqq", "'qqqq' is not a key of a world. The keys are lag=SECONDS, late=SECONDS,"),
        ("lag=1,,late=1", "'' is not a key of a world"),
        ("lag", "expected lag=SECONDS, not 'lag'"),
        ("lag=soon", "expected lag=SECONDS, not 'lag=soon'"),
        ("lag=-1", "expected lag=SECONDS"),
        ("lag=inf", "expected lag=SECONDS"),
        ("lag=nan", "expected lag=SECONDS"),
        ("lag=1,lag=2", "lag is given twice"),
        ("offset=some", "expected offset=ignored|page|needs-limit, not 'offset=some'"),
        ("short=-1", "expected short=N"),
        ("names=upper", "expected names=trim|blanks|nfc|html|cut:N"),
        ("names=cut:x", "expected names=trim|blanks|nfc|html|cut:N"),
        ("drop=", "expected drop=FIELD"),
        ("trim=yes", "trim takes no value"),
        ("trim,trim", "trim is given twice"),
        ("expired=402", "expected expired=400|401"),
        ("vanish=last", "expected vanish=first|ID"),
    ],
)
def test_a_wrong_world_says_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^world ") as caught:
        parse_world(text)
    assert message in str(caught.value)
    assert repr(text) in str(caught.value)


def test_every_attribute_of_a_world_has_a_key() -> None:
    assert {key.replace("-", "_") for key in KEYS} == set(World.__dataclass_fields__)


# Time


def test_lag_keeps_a_new_monitor_out_of_the_list(world: Any, smtp: Any, now: Now) -> None:
    client = world("lag=10", clock=now)
    number = create(client, smtp)
    assert one(client, number)["name"] == "Relay"
    now.pass_(9.9)
    assert number not in listed(client)
    assert number not in listed(client, limit=50)
    assert counted(client) == 6
    now.pass_(0.1)
    assert listed(client)[-1] == number
    assert counted(client) == 7


def test_late_shows_what_was_before_in_the_list_and_by_id(world: Any, now: Now) -> None:
    client = world("late=10", clock=now)
    edit(client, port=25)
    now.pass_(6)
    edit(client, port=26, name="New")

    def shown() -> list[Any]:
        (in_list, *_) = client.get("/monitors").json()["results"]
        assert in_list == one(client, 500)
        return [in_list["port"], in_list["name"]]

    assert shown() == ["", "Monitor 0"]
    now.pass_(4)
    assert shown() == [25, "Monitor 0"]
    now.pass_(5.9)
    assert shown() == [25, "Monitor 0"]
    now.pass_(0.1)
    assert shown() == [26, "New"]


def test_late_does_not_outlive_the_monitor(world: Any, now: Now) -> None:
    client = world("late=10", clock=now)
    edit(client, port=25)
    assert client.patch(f"{SMTP}/501", json={"port": 1}).status_code == 404
    client.delete("/monitors/500")
    assert client.get("/monitors/500").status_code == 404
    assert 500 not in listed(client)


def test_what_is_late_is_hidden_too(start: Any, seed: Any, now: Now) -> None:
    monitor = {**seed[0], "password": "old"}
    client = start(seed=[monitor], world=World(late=10), clock=now)
    edit(client, password="new")
    assert "password" not in one(client, 500)


def test_a_create_waits_for_its_backend(world: Any, smtp: Any, now: Now) -> None:
    client = world("backend=5,lag=3", clock=now)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(create, client, smtp)
        wait_for_arrival(client, first)
        now.pass_(4.9)
        assert len(listed(client)) == 6
        assert not first.done()
        now.pass_(0.1)
        number = first.result(10)
    assert one(client, number)["name"] == "Relay"
    now.pass_(2.9)
    assert number not in listed(client)  # it lags from the moment of its effect
    now.pass_(0.1)
    assert number in listed(client)


def wait_for_arrival(client: httpx.Client, future: Any) -> None:
    """The create was sent from a thread; only real time tells when it has arrived."""
    for _ in range(20):
        client.get("/monitors/500")
        assert not future.done()
        time.sleep(0.01)


@pytest.mark.parametrize("effect", ["body=html status=504", "status=503 act=late"])
def test_an_early_answer_does_not_prevent_a_create(
    start: Any, seed: Any, smtp: Any, now: Now, effect: str
) -> None:
    client = start(
        seed=seed,
        world=World(backend=30),
        clock=now,
        faults=(parse_fault(f"POST /monitors/* {effect} times=2"),),
    )
    for name in ("First", "Second"):
        assert client.post(SMTP, json={**smtp, "name": name}).status_code in {503, 504}
        now.pass_(1)
    now.pass_(27)
    assert len(listed(client)) == 6
    now.pass_(1)
    assert len(listed(client)) == 7
    now.pass_(1)
    *_, first, second = client.get("/monitors").json()["results"]
    assert (first["name"], second["name"]) == ("First", "Second")


def test_creates_take_effect_in_the_order_of_their_moments(
    start: Any, seed: Any, smtp: Any, now: Now
) -> None:
    controls = Controls(World(backend=30), [parse_fault("POST /monitors/* status=504 act=late")])
    client = start(seed=seed, controls=controls, clock=now)
    client.post(SMTP, json={**smtp, "name": "Slow"})
    controls.world = World(backend=10)
    client.post(SMTP, json={**smtp, "name": "Fast"})
    now.pass_(100)
    *_, first, second = client.get("/monitors").json()["results"]
    assert (first["name"], second["name"]) == ("Fast", "Slow")


def test_a_client_that_leaves_does_not_prevent_a_create(world: Any, smtp: Any, now: Now) -> None:
    client = world("backend=5", clock=now)
    with pytest.raises(httpx.ReadTimeout):
        client.post(SMTP, json=smtp, timeout=0.1)
    assert len(listed(client)) == 6
    now.pass_(5)
    assert len(listed(client)) == 7


def test_a_refused_create_does_not_wait(world: Any, now: Now) -> None:
    client = world("backend=5", clock=now)
    assert client.post(SMTP, json={}).status_code == 400
    refused = client.post(SMTP, json={}, headers={"Authorization": "Bearer x"})
    assert refused.status_code == 401


def test_the_real_clock_brings_a_create_about_without_another_request(
    start: Any, seed: Any, smtp: Any, tmp_path: Path
) -> None:
    database = tmp_path / "sandbox.db"
    client = start(
        seed=seed,
        database=database,
        world=World(backend=0.2),
        faults=(parse_fault("POST /monitors/* status=504 act=late"),),
    )
    onlooker = start(database=database)
    began = time.monotonic()
    assert client.post(SMTP, json=smtp).status_code == 504
    assert len(listed(onlooker)) == 6
    while len(listed(onlooker)) == 6:
        assert time.monotonic() - began < 10
    assert time.monotonic() - began >= 0.2


def test_a_create_that_was_due_at_the_end_has_taken_place(
    schemas: Any, token_of: Any, smtp: Any, now: Now, start: Any, tmp_path: Path
) -> None:
    database = tmp_path / "sandbox.db"
    options = Options(
        schemas=schemas,
        database=database,
        controls=Controls(World(backend=5), [parse_fault("POST /monitors/* status=504 act=late")]),
        clock=now,
    )
    with running(options) as url, httpx.Client(base_url=url) as client:
        client.headers["Authorization"] = f"Bearer {token_of(client)}"
        client.post(SMTP, json=smtp)
        now.pass_(1)
        client.post(SMTP, json=smtp)
        now.pass_(4)
    assert len(listed(start(database=database))) == 1  # the second was never due


def test_a_sandbox_ends_while_a_create_waits(
    schemas: Any, token_of: Any, smtp: Any, now: Now, capfd: Any
) -> None:
    options = Options(schemas=schemas, controls=Controls(World(backend=60)), clock=now)
    outcome: list[Any] = []
    with httpx.Client() as client:
        with running(options) as url:
            client.base_url = httpx.URL(url)
            client.headers["Authorization"] = f"Bearer {token_of(client)}"

            def send() -> None:
                try:
                    outcome.append(client.post(SMTP, json=smtp, timeout=30))
                except httpx.TransportError as error:
                    outcome.append(type(error))

            thread = threading.Thread(target=send)
            thread.start()
            time.sleep(0.2)
        thread.join(10)
    assert len(outcome) == 1
    assert isinstance(outcome[0], type)
    assert capfd.readouterr() == ("", "")


def test_a_delay_and_the_life_of_a_token_are_of_the_same_clock(
    start: Any, seed: Any, now: Now
) -> None:
    client = start(
        seed=seed,
        clock=now,
        token_life=60,
        faults=(parse_fault("GET /monitors/500 delay=30 times=1"),),
    )
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(one, client, 500)
        time.sleep(0.1)
        assert not slow.done()
        now.pass_(30)
        assert slow.result(10)["id"] == 500
    now.pass_(29.9)
    assert client.get("/monitors").status_code == 200
    now.pass_(0.1)
    assert client.get("/monitors").status_code == 401


# Lists


@pytest.mark.parametrize(
    ("text", "query", "ids"),
    [
        ("", {"limit": 2, "offset": 2}, [502, 503]),
        ("", {"offset": 4}, [504, 505]),
        ("offset=ignored", {"limit": 2, "offset": 2}, [500, 501]),
        ("offset=ignored", {"offset": 4}, [500, 501, 502, 503, 504, 505]),
        ("offset=page", {"limit": 2, "offset": 2}, [504, 505]),
        ("offset=page", {"limit": 9999999999, "offset": 999999999}, []),
        ("offset=page", {"offset": 1}, []),
        ("offset=needs-limit", {"limit": 2, "offset": 2}, [502, 503]),
        ("offset=needs-limit", {"offset": 4}, [500, 501, 502, 503, 504, 505]),
        ("short=2", {}, [500, 501, 502, 503]),
        ("short=2", {"limit": 3, "offset": 3}, [503]),
        ("short=9", {}, []),
        ("hide=1,short=2", {"type": "email-smtp,website"}, [500]),
        ("no-filter", {"type": "email-imap"}, [500, 501, 502, 503, 504, 505]),
        ("no-type", {"type": "email-imap"}, [503]),
    ],
)
def test_a_part_of_the_list(world: Any, text: str, query: Any, ids: Any) -> None:
    assert listed(world(text), **query) == ids


def test_offset_needs_limit_also_where_the_server_has_pages(world: Any) -> None:
    client = world("offset=needs-limit", page_size=2)
    assert listed(client, offset=2) == [500, 501]
    assert listed(client, offset=2, limit=2) == [502, 503]


@pytest.mark.parametrize(
    ("text", "all_", "page"),
    [
        ("count=total", 6, 6),
        ("count=page", 6, 2),
        ("count=none", None, None),
        ("short=1", 6, 6),
        ("short=1,count=page", 5, 2),
        ("hide=1", 5, 5),
        ("hide=9", 0, 0),
    ],
)
def test_the_count(world: Any, text: str, all_: Any, page: Any) -> None:
    client = world(text)
    assert counted(client) == all_
    assert counted(client, limit=2, offset=2) == page


def test_short_is_for_lists_only(world: Any) -> None:
    assert one(world("short=6"), 505)["id"] == 505


@pytest.mark.parametrize(("which", "gone"), [("first", 500), ("504", 504)])
def test_a_monitor_vanishes_between_two_pages(world: Any, which: str, gone: int) -> None:
    client = world(f"vanish={which}")
    assert len(listed(client)) == 6  # a list in one piece
    assert listed(client, limit=4, offset=4) == [504, 505]
    assert listed(client, limit=2) == [500, 501]
    assert client.get(f"/monitors/{gone}").status_code == 404
    assert len(listed(client, limit=2)) == 2
    assert len(listed(client)) == 5  # and no other


# Values


LOCATIONS = [{"id": 10}, {"id": 4010}]
PROPERTIES = [{"id": 228, "value_id": 550}]


def test_a_list_is_replaced_or_merged(world: Any) -> None:
    client = world("locations=merge")
    edit(client, locations=LOCATIONS, custom_properties=PROPERTIES)
    edit(
        client,
        locations=[{"id": 20}, {"id": 10}],
        custom_properties=[{"id": 9, "value_id": 1}, {"id": 228, "value_id": 551}],
    )
    found = one(client, 500)
    assert [entry["id"] for entry in found["locations"]] == [10, 4010, 20]
    values = [(entry["id"], entry["value_id"]) for entry in found["custom_properties"]]
    assert values == [(228, 551), (9, 1)]
    edit(client, locations=[], custom_properties=None)
    assert len(one(client, 500)["locations"]) == 3
    assert len(one(client, 500)["custom_properties"]) == 2
    plain = world("")
    edit(plain, locations=LOCATIONS)
    edit(plain, locations=[{"id": 20}])
    assert [entry["id"] for entry in one(plain, 500)["locations"]] == [20]


def test_entries_have_extra_keys(world: Any) -> None:
    client = world("extra-keys")
    edit(client, locations=LOCATIONS, custom_properties=PROPERTIES)
    (in_list, *others) = client.get("/monitors").json()["results"]
    assert in_list == one(client, 500)
    for entry in in_list["locations"]:
        assert {"id", "name", "region", "city", "country"} < entry.keys()
    (entry,) = in_list["custom_properties"]
    assert {"id", "name", "value", "value_id", "description"} < entry.keys()
    assert "locations" not in others[0]


def test_no_type_is_shown(world: Any) -> None:
    client = world("no-type")
    found = client.get("/monitors", params={"type": "email-smtp"}).json()["results"]
    assert [monitor["id"] for monitor in found] == [500, 502]
    assert not any("type" in monitor for monitor in (*found, one(client, 500)))
    assert client.get("/monitors/500", params={"select": "id,type"}).json() == {"id": 500}


@pytest.mark.parametrize(
    ("text", "sent", "kept"),
    [
        ("trim", {"note": " a \n\n"}, {"note": "a"}),
        ("trim", {"deep": {"x": [" a "]}}, {"deep": {"x": ["a"]}}),
        ("crlf", {"note": "a\nb\r\nc\n"}, {"note": "a\r\nb\r\nc\r\n"}),
        ("trim,crlf", {"note": "a\nb\n"}, {"note": "a\r\nb"}),
        ("lower-host", {"hostname": "Mail.Example"}, {"hostname": "mail.example"}),
        ("lower-host", {"name": "Mail"}, {"name": "Mail"}),
        ("names=trim", {"name": " a  b "}, {"name": "a  b"}),
        ("names=blanks", {"name": " a \t b "}, {"name": " a b "}),
        ("names=nfc", {"name": "u\u0308"}, {"name": "\u00fc"}),
        ("names=html", {"name": "A & <B>"}, {"name": "A &amp; &lt;B&gt;"}),
        ("names=cut:3", {"name": "abcdef"}, {"name": "abc"}),
        ("names=trim,names=cut:3", {"name": "  abcdef"}, {"name": "abc"}),
        ("names=html", {"name": None}, {"name": None}),
        ("names=cut:3", {"note": "abcdef"}, {"note": "abcdef"}),
        ("drop=port", {"port": 25, "note": "x"}, {"port": "", "note": "x"}),
        ("", {"note": " a \n"}, {"note": " a \n"}),
    ],
)
def test_a_value_is_stored_differently(world: Any, text: str, sent: Any, kept: Any) -> None:
    client = world(text)
    edit(client, **sent)
    found = one(client, 500)
    assert {name: found[name] for name in kept} == kept
    assert found in client.get("/monitors").json()["results"]


def test_a_create_stores_differently_too(world: Any, smtp: Any) -> None:
    client = world("trim,lower-host,names=cut:2,drop=note,drop=interval")
    body = {**smtp, "hostname": " MAIL ", "name": " abc ", "note": "x", "interval": 1}
    found = one(client, create(client, body))
    assert (found["hostname"], found["name"]) == ("mail", "ab")
    assert (found["note"], found["interval"]) == ("", 5)  # the account's defaults


@pytest.mark.parametrize(
    ("text", "yes", "no"), [("yn", "y", "n"), ("01", 1, 0), ("text", "true", "false")]
)
def test_booleans_are_shown_as_something_else(world: Any, text: str, yes: Any, no: Any) -> None:
    client = world(f"bools={text},extra-keys")
    edit(client, enabled=True, notify_on_error=False, deep={"of": [True]}, port=1)
    edit(client, custom_properties=PROPERTIES)
    found = one(client, 500)
    expected = {"enabled": yes, "notify_on_error": no, "deep": {"of": [yes]}, "port": 1}
    for name, value in expected.items():
        assert json.dumps(found[name]) == json.dumps(value)  # 1 == True in Python
    assert found["custom_properties"][0]["is_default"] == no
    assert found in client.get("/monitors").json()["results"]


@pytest.mark.parametrize(("text", "status"), [("", 401), ("expired=400", 400)])
def test_the_status_of_an_expired_token(world: Any, now: Now, text: str, status: int) -> None:
    client = world(text, clock=now)
    now.pass_(3600)
    answer = client.get("/monitors")
    assert answer.status_code == status
    (error,) = answer.json()["errors"]
    assert error["code"] == status
    is_login_error = error["message"] == "invalid_request - User authentication failed."
    assert is_login_error == (status == 400)
    assert client.get("/monitors", headers={"Authorization": ""}).status_code == 401


def test_a_create_is_answered_with_the_id_of_another(start: Any, seed: Any, smtp: Any) -> None:
    client = start(seed=seed, world=World(lies="create-id"))
    assert create(client, smtp) == 500
    *_, new = client.get("/monitors").json()["results"]
    assert new["name"] == "Relay"
    alone = start(world=World(lies="create-id"))
    assert listed(alone) == []
    assert [create(alone, smtp)] == listed(alone)  # there is no other


def test_a_create_is_answered_with_the_id_of_the_one_before(start: Any, smtp: Any) -> None:
    client = start(world=World(lies="previous-id"))
    first = create(client, smtp)
    assert [create(client, smtp) for _ in range(2)] == [first, first + 1]
    assert listed(client) == [first, first + 1, first + 2]


def test_the_last_id_is_given_again(start: Any, smtp: Any) -> None:
    for reuses, again in ((True, 0), (False, 1)):
        client = start(world=World(reuse_ids=reuses))
        last = [create(client, smtp) for _ in range(2)][-1]
        assert client.delete(f"/monitors/{last}").status_code == 204
        assert create(client, smtp) == last + again


def test_worlds_combine(world: Any, smtp: Any, now: Now) -> None:
    client = world("lag=5,late=5,no-type,bools=yn,hide=1,count=page,offset=page", clock=now)
    number = create(client, smtp)
    edit(client, enabled=False)
    assert listed(client) == [500, 501, 502, 503, 504]
    assert "enabled" not in one(client, 500)
    now.pass_(5)
    assert listed(client, limit=2, offset=2) == [504, 505]
    assert counted(client, limit=2, offset=2) == 2
    assert one(client, 500)["enabled"] == "n"
    assert "type" not in one(client, number)


# Controls


def test_a_running_sandbox_can_be_changed(start: Any, seed: Any, now: Now) -> None:
    controls = Controls()
    client = start(seed=seed, controls=controls, clock=now)
    assert listed(client, offset=4) == [504, 505]
    controls.world = parse_world("offset=ignored,late=10")
    assert len(listed(client, offset=4)) == 6
    edit(client, port=25)
    controls.world = PLAIN
    assert one(client, 500)["port"] == ""  # what is late stays late
    now.pass_(10)
    assert one(client, 500)["port"] == 25
    rule = parse_fault("GET * status=503 times=1")
    controls.faults = [rule]
    assert controls.faults == (rule,)
    for _ in range(2):
        assert client.get("/monitors").status_code == 503
        assert client.get("/monitors").status_code == 200
        controls.faults = controls.faults  # they begin anew
    controls.faults = ()
    assert client.get("/monitors").status_code == 200


def test_vanish_begins_anew_with_a_new_world(start: Any, seed: Any) -> None:
    controls = Controls(World(vanish="first"))
    client = start(seed=seed, controls=controls)
    assert listed(client, limit=2) == [500, 501]
    assert listed(client, limit=2) == [501, 502]
    controls.world = World(vanish="first")
    assert listed(client, limit=2) == [501, 502]
    assert listed(client, limit=2) == [502, 503]


# Faults that act


@pytest.mark.parametrize("status", [401, 429, 503, 504])
@pytest.mark.parametrize("act", ["first", "late"])
def test_a_change_takes_effect_though_it_is_answered_by_an_error(
    start: Any, seed: Any, smtp: Any, status: int, act: str
) -> None:
    fault = parse_fault(f"* /monitors/email-* status={status} act={act} retry-after=7")
    client = start(seed=seed, faults=(fault,))
    for answer in (client.post(SMTP, json=smtp), client.patch(FIRST, json={"port": 25})):
        assert answer.status_code == status
        assert answer.json()["errors"][0]["code"] == status
        assert answer.headers["retry-after"] == "7"
    assert len(listed(client)) == 7
    assert one(client, 500)["port"] == 25


@pytest.mark.parametrize("effect", ["status=503 act=first", "body=html act=first", "drop=after"])
def test_an_answer_after_the_effect_waits_for_the_backend(
    start: Any, seed: Any, smtp: Any, effect: str
) -> None:
    fault = parse_fault(f"POST /monitors/* {effect}")
    client = start(seed=seed, faults=(fault,), world=World(backend=0.2))
    began = time.monotonic()
    try:
        client.post(SMTP, json=smtp)
    except httpx.TransportError:
        assert "drop" in effect
    assert time.monotonic() - began >= 0.2
    assert len(listed(client)) == 7
