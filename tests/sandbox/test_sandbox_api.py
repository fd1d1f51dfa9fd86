import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox import PASSWORD, USERNAME, VIEWER, UserLogin

NOT_FOUND = {"errors": [{"code": 404, "message": "Record not found"}]}
WHOLE_SMTP = {
    "access_type": "Edit",
    "alert_note": "",
    "allow_internal_testing": True,
    "billing_plancode": "UBM - A/A",
    "blackout_ids": [],
    "custom_properties": [],
    "enabled": True,
    "has_active_performance_alerts": False,
    "has_performance_alerts": False,
    "has_sla": False,
    "home_location": 10,
    "hostname": "smtp.example.com",
    "interval": 5,
    "ipv4": "",
    "locations": [
        {"id": 10, "name": "Fort Lauderdale (FL)", "region": 1},
        {"id": 20, "name": "Atlanta (GA)", "region": 1},
    ],
    "mode": "Global Verify",
    "monitor_location_count": 1,
    "name": "Relay",
    "note": "",
    "notify_on_error": True,
    "port": "",
    "resolve_dns": True,
    "retry_on_failure": True,
    "rotate_locations": True,
    "sla_id": None,
    "timeout": 30,
    "traceroute_on_error": True,
    "type": "email-smtp",
}


@pytest.fixture
def relay(api: Any, smtp: Any) -> str:
    answer = api.post("/monitors/email-smtp", json=smtp)
    number: str = answer.json()["id"]
    return number


def error(status: int, message: str, **more: Any) -> dict[str, Any]:
    return {"errors": [{"code": status, "message": message, **more}]}


def test_a_login_gives_a_token_of_32_hexadecimal_digits(api: Any) -> None:
    answer = api.post("/access-tokens", json={"username": USERNAME, "password": PASSWORD})
    assert answer.status_code == 200
    assert re.fullmatch(r"[0-9a-f]{32}", answer.json()["access_token"])
    assert list(answer.json()) == ["access_token"]


@pytest.mark.parametrize(
    "login",
    [
        {"username": USERNAME, "password": "wrong"},
        {"username": "nobody@example.com", "password": PASSWORD},
        {"username": USERNAME},
        {"username": [USERNAME], "password": {}},
    ],
)
def test_a_bad_login_is_a_400(api: Any, login: Any) -> None:
    answer = api.post("/access-tokens", json=login)
    assert answer.status_code == 400
    assert answer.json() == error(400, "invalid_request - User authentication failed.")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer 0123", "Basic {token}", "{token}"])
def test_a_request_without_a_valid_token_is_a_401(api: Any, token_of: Any, header: str) -> None:
    header = header.format(token=token_of(api))
    for method, path in (
        ("GET", "/monitors"),
        ("GET", "/monitors/1"),
        ("DELETE", "/monitors/1"),
        ("POST", "/monitors/email-smtp"),
        ("PATCH", "/monitors/email-smtp/1"),
    ):
        answer = api.request(method, path, headers={"Authorization": header})
        assert answer.status_code == 401
        assert [item["code"] for item in answer.json()["errors"]] == [401]


def test_a_token_expires(start: Any, token_of: Any) -> None:
    client = start(token_life=0.2)
    first = client.headers["Authorization"]
    deadline = time.monotonic() + 5
    while client.get("/monitors").status_code == 200:
        assert time.monotonic() < deadline, "the token never expired"
    renewed = f"Bearer {token_of(client)}"
    assert client.get("/monitors", headers={"Authorization": renewed}).status_code == 200
    assert client.get("/monitors", headers={"Authorization": first}).status_code == 401


def test_a_viewer_may_only_read(api: Any, token_of: Any, relay: str, smtp: Any) -> None:
    viewer = {"Authorization": f"Bearer {token_of(api, *VIEWER)}"}
    assert api.get(f"/monitors/{relay}", headers=viewer).status_code == 200
    assert api.get("/monitors", headers=viewer).status_code == 200
    for answer in (
        api.post("/monitors/email-smtp", json=smtp, headers=viewer),
        api.patch(f"/monitors/email-smtp/{relay}", json={"port": 25}, headers=viewer),
        api.delete(f"/monitors/{relay}", headers=viewer),
    ):
        assert answer.status_code == 403
        assert [item["code"] for item in answer.json()["errors"]] == [403]
    assert api.get(f"/monitors/{relay}").json()["port"] == ""


def test_a_create_answers_the_id_as_text_and_fills_in_defaults(api: Any, smtp: Any) -> None:
    answer = api.post("/monitors/email-smtp", json=smtp)
    assert answer.status_code == 200
    number = answer.json()["id"]
    assert answer.json() == {"id": number}
    assert re.fullmatch(r"[0-9]{6}", number)
    assert api.get(f"/monitors/{number}").json() == {**WHOLE_SMTP, "id": int(number)}


def test_a_round_trip_monitor_has_its_own_fields(api: Any) -> None:
    body = {
        "billing_plancode": "UBM - A/A",
        "name": "Round-Trip Email Monitor",
        "smtp_hostname": "smtps://smtp.example.com:465",
        "pop3_hostname": "pop3s://mail.example.com:995",
        "email": "demo@example.com",
    }
    number = api.post("/monitors/email-round-trip", json=body).json()["id"]
    monitor = api.get(f"/monitors/{number}").json()
    assert body.items() <= monitor.items()
    assert monitor["type"] == "email-round-trip"
    assert not monitor.keys() & {"hostname", "ipv4", "port", "resolve_dns"}


def test_a_create_needs_the_required_fields(api: Any, smtp: Any) -> None:
    message = "required and is empty"
    for lacking in ({**smtp, "hostname": ""}, {**smtp, "hostname": None}):
        answer = api.post("/monitors/email-smtp", json=lacking)
        assert answer.status_code == 400
        assert answer.json() == error(400, message, fields=["hostname"])
    answer = api.post("/monitors/email-round-trip", json={"name": "Round trip"})
    fields = ["billing_plancode", "smtp_hostname", "pop3_hostname", "email"]
    assert answer.json() == error(400, message, fields=fields)


def test_a_display_name_may_be_given_twice(api: Any, smtp: Any) -> None:
    first, second = (api.post("/monitors/email-smtp", json=smtp).json()["id"] for _ in range(2))
    assert first != second
    names = {item["id"]: item["name"] for item in api.get("/monitors").json()["results"]}
    assert names[int(first)] == names[int(second)] == smtp["name"]


def test_a_refused_create_names_the_fields_and_leaves_nothing(start: Any, smtp: Any) -> None:
    client = start()
    body = {**smtp, "name": "", "port": "smtp", "note": {"secretRef": {"env": "NOTE"}}}
    answer = client.post("/monitors/email-smtp", json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"] == [
        {"code": 400, "fields": ["name"], "message": "required and is empty"},
        {"code": 400, "fields": ["port"], "message": "must be an integer"},
        {"code": 400, "fields": ["note"], "message": "must be a string"},
    ]
    assert client.get("/monitors").json()["results"] == []


def test_an_edit_changes_what_is_sent_and_answers_the_id(api: Any, relay: str) -> None:
    before = api.get(f"/monitors/{relay}").json()
    body = {"ipv4": "74.125.28.108", "port": 587}
    answer = api.patch(f"/monitors/email-smtp/{relay}", json=body)
    assert answer.status_code == 200
    assert answer.json() == {"id": relay}
    assert api.get(f"/monitors/{relay}").json() == {**before, **body}


def test_an_empty_edit_is_accepted(api: Any, relay: str) -> None:
    before = api.get(f"/monitors/{relay}").json()
    assert api.patch(f"/monitors/email-smtp/{relay}", json={}).json() == {"id": relay}
    assert api.get(f"/monitors/{relay}").json() == before


def test_an_edit_below_the_wrong_kind_or_id_is_a_404(api: Any, relay: str) -> None:
    for path in (f"email-pop/{relay}", "email-smtp/1", f"email-smtp/{2**64}"):
        answer = api.patch(f"/monitors/{path}", json={"port": 25})
        assert answer.status_code == 404
        assert answer.json() == NOT_FOUND


def test_an_edit_of_the_wrong_type_is_a_400_and_changes_nothing(api: Any, relay: str) -> None:
    before = api.get(f"/monitors/{relay}").json()
    body = {"port": "smtp", "timeout": True, "enabled": "y", "name": "New name", "locations": 10}
    answer = api.patch(f"/monitors/email-smtp/{relay}", json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"] == [
        {"code": 400, "fields": ["port", "timeout"], "message": "must be an integer"},
        {"code": 400, "fields": ["enabled"], "message": "must be a boolean"},
        {"code": 400, "fields": ["locations"], "message": "must be an array"},
    ]
    assert api.get(f"/monitors/{relay}").json() == before


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b'{"port": NaN}', b"\xff", b"[" * 99999])
def test_a_body_that_is_no_json_object_is_a_400(api: Any, relay: str, body: bytes) -> None:
    for method, path in (
        ("POST", "/access-tokens"),
        ("POST", "/monitors/email-smtp"),
        ("PATCH", f"/monitors/email-smtp/{relay}"),
    ):
        answer = api.request(method, path, content=body)
        assert answer.status_code == 400
        message = "invalid_request - The body must be a JSON object."
        assert answer.json() == error(400, message)


def test_text_that_is_no_unicode_survives(api: Any, relay: str) -> None:
    path = f"/monitors/email-smtp/{relay}"
    body = rb'{"note": "\ud800 \u0000 \u20ac", "\ud801": 1}'
    assert api.patch(path, content=body).status_code == 200
    monitor = json.loads(api.get(f"/monitors/{relay}").content)
    assert (monitor["note"], monitor["\ud801"]) == ("\ud800 \0 €", 1)


def test_a_delete_answers_nothing_and_then_404(api: Any, relay: str) -> None:
    answer = api.delete(f"/monitors/{relay}")
    assert (answer.status_code, answer.content) == (204, b"")
    for again in (api.delete(f"/monitors/{relay}"), api.get(f"/monitors/{relay}")):
        assert again.status_code == 404
        assert again.json() == NOT_FOUND
    assert api.delete(f"/monitors/{2**64}").status_code == 404


def test_an_id_is_never_used_again(start: Any, smtp: Any, seed: Any) -> None:
    client = start(seed=seed)
    first = client.post("/monitors/email-smtp", json=smtp).json()["id"]
    client.delete(f"/monitors/{first}")
    assert int(client.post("/monitors/email-smtp", json=smtp).json()["id"]) > int(first)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/monitor", 404),
        ("GET", "/monitors/", 404),
        ("GET", "/monitors/abc", 404),
        ("POST", "/monitors/website", 404),
        ("PATCH", "/monitors/website/501", 404),
        ("PUT", "/monitors/email-smtp/1", 405),
        ("PATCH", "/monitors/1", 405),
        ("GET", "/access-tokens", 405),
    ],
)
def test_an_unknown_path_or_method_has_the_envelope(
    api: Any, method: str, path: str, status: int
) -> None:
    answer = api.request(method, path)
    assert answer.status_code == status
    assert [item["code"] for item in answer.json()["errors"]] == [status]


def test_select_picks_fields(start: Any, seed: Any) -> None:
    client = start(seed=seed)
    one, listed = "/monitors/500", "/monitors"
    assert client.get(one, params={"select": "name,Port,id"}).json() == {
        "id": 500,
        "name": "Monitor 0",
    }
    assert client.get(one, params={"select": ""}).json() == {}
    assert client.get(listed, params={"select": ""}).json()["results"] == [{}] * 6
    answer = client.get(listed, params={"select": "id", "type": "website"})
    assert answer.json()["results"] == [{"id": 501}, {"id": 504}]


def numbers_and_resultset(answer: Any) -> tuple[list[int], dict[str, Any]]:
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {"metadata", "results"}
    assert body["metadata"]["__permissions"] == {"acl": 7}
    return [monitor["id"] for monitor in body["results"]], body["metadata"]["resultset"]


def test_the_list_is_whole_unless_asked_otherwise(start: Any, seed: Any) -> None:
    client = start(seed=seed)
    whole = client.get("/monitors")
    assert whole.json()["results"] == seed
    unpaged = {"limit": None, "offset": None}
    for query, numbers in (
        ("", [500, 501, 502, 503, 504, 505]),
        ("?type=", [500, 501, 502, 503, 504, 505]),
        ("?type=email-smtp", [500, 502]),
        ("?type=email-smtp,email-imap", [500, 502, 503]),
        ("?type=email-pop", []),
    ):
        answer = client.get(f"/monitors{query}")
        assert numbers_and_resultset(answer) == (numbers, {"count": len(numbers), **unpaged})


def test_the_list_is_paged_on_demand(start: Any, seed: Any) -> None:
    client = start(seed=seed)
    for query, numbers, resultset in (
        ("limit=2", [500, 501], {"count": 6, "limit": 2, "offset": "0"}),
        ("limit=2&offset=4", [504, 505], {"count": 6, "limit": 2, "offset": "4"}),
        ("limit=2&offset=5", [505], {"count": 6, "limit": 2, "offset": "5"}),
        ("limit=2&offset=9", [], {"count": 6, "limit": 2, "offset": "9"}),
        ("offset=4", [504, 505], {"count": 6, "limit": None, "offset": "4"}),
        ("offset=0&type=website", [501, 504], {"count": 2, "limit": None, "offset": "0"}),
        ("limit=1&type=website", [501], {"count": 2, "limit": 1, "offset": "0"}),
    ):
        assert numbers_and_resultset(client.get(f"/monitors?{query}")) == (numbers, resultset)


def test_a_server_that_pages_by_itself(start: Any, seed: Any) -> None:
    client = start(seed=seed, page_size=4)
    first = {"count": 6, "limit": 4, "offset": "0"}
    assert numbers_and_resultset(client.get("/monitors")) == ([500, 501, 502, 503], first)
    assert numbers_and_resultset(client.get("/monitors?limit=100")) == ([500, 501, 502, 503], first)
    second = {"count": 6, "limit": 4, "offset": "4"}
    assert numbers_and_resultset(client.get("/monitors?offset=4")) == ([504, 505], second)


@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=", "offset=x", "offset=1.5", "limit=9999999999999"]
)
def test_a_page_that_is_no_number_is_a_400(api: Any, query: str) -> None:
    answer = api.get(f"/monitors?{query}")
    fields = [query.partition("=")[0]]
    assert answer.status_code == 400
    assert answer.json() == error(400, "must be a whole number, 0 or more", fields=fields)


def test_other_types_are_listed_read_and_deleted_but_not_edited(start: Any, seed: Any) -> None:
    client = start(seed=seed)
    assert client.get("/monitors/501").json() == seed[1]
    for kind in ("website", "email-smtp"):
        assert client.patch(f"/monitors/{kind}/501", json={"name": "x"}).status_code == 404
    assert client.delete("/monitors/501").status_code == 204
    assert numbers_and_resultset(client.get("/monitors?type=website"))[0] == [504]


def test_unknown_fields_are_stored_and_read_only_ones_ignored(api: Any, relay: str) -> None:
    before = api.get(f"/monitors/{relay}").json()
    body = {"mailbox": {"user": "demo"}, "id": 7, "type": "website", "has_sla": True}
    assert api.patch(f"/monitors/email-smtp/{relay}", json=body).json() == {"id": relay}
    after = {**before, "mailbox": {"user": "demo"}}
    assert api.get(f"/monitors/{relay}").json() == after


def test_strict_mode_refuses_unknown_and_read_only_fields(start: Any, smtp: Any) -> None:
    client = start(strict=True)
    number = client.post("/monitors/email-smtp", json=smtp).json()["id"]
    before = client.get(f"/monitors/{number}").json()
    extra = {"id": 7, "mailbox": "demo", "has_sla": True, "port": 25}
    errors = [
        {"code": 400, "fields": ["id", "has_sla"], "message": "read-only"},
        {"code": 400, "fields": ["mailbox"], "message": "unknown field"},
    ]
    for answer in (
        client.patch(f"/monitors/email-smtp/{number}", json=extra),
        client.post("/monitors/email-smtp", json={**smtp, **extra}),
    ):
        assert answer.status_code == 400
        assert answer.json() == {"errors": errors}
    assert client.get("/monitors").json()["results"] == [before]


def test_a_client_written_from_the_vendor_pages_alone(api: Any, relay: str) -> None:
    base = str(api.base_url).rstrip("/")

    def call(method: str, path: str, body: Any, token: str | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = json.dumps(body).encode()
        request = urllib.request.Request(base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as failure:
            with failure:
                return json.load(failure)

    token = call("POST", "/access-tokens", {"username": USERNAME, "password": PASSWORD})
    body = {"ipv4": "74.125.28.108", "port": 587}
    path = f"/monitors/email-smtp/{relay}"
    assert call("PATCH", path, body, token["access_token"])["id"] == relay
    assert call("PATCH", path, body, "expired")["errors"][0]["code"] == 401
    assert call("PATCH", "/monitors/email-smtp/1", body, token["access_token"]) == NOT_FOUND


def test_a_body_may_come_in_parts(api: Any, relay: str) -> None:
    def parts() -> Iterator[bytes]:
        yield b'{"port": '
        time.sleep(0.05)  # long enough for the server to see them apart
        yield b'"587"}'

    assert api.patch(f"/monitors/email-smtp/{relay}", content=parts()).status_code == 200
    assert api.get(f"/monitors/{relay}").json()["port"] == 587


def test_each_login_sees_monitors_of_its_own(
    start: Any, smtp: Any, token_of: Callable[..., str], tmp_path: Path
) -> None:
    login = UserLogin("more@example.com", "more")
    options = {"logins": (login,), "database": tmp_path / "db", "seed": [WHOLE_SMTP | {"id": 201}]}
    client = start(**options)
    theirs = {"Authorization": f"Bearer {token_of(client, *login)}"}
    number = int(client.post("/monitors/email-smtp", json=smtp, headers=theirs).json()["id"])
    one = f"/monitors/email-smtp/{number}"
    assert client.get(f"/monitors/{number}").status_code == 404
    assert client.patch(one, json={"port": 25}).status_code == 404
    assert client.delete(f"/monitors/{number}").status_code == 404
    assert client.get("/monitors/201", headers=theirs).status_code == 404
    assert client.patch(one, json={"port": 25}, headers=theirs).status_code == 200
    again = start(**options)  # from the file
    theirs = {"Authorization": f"Bearer {token_of(again, *login)}"}
    for headers, ids in (({}, [201]), (theirs, [number])):
        for query in ({}, {"limit": 1}):
            listed = again.get("/monitors", params=query, headers=headers).json()
            assert [item["id"] for item in listed["results"]] == ids
            assert listed["metadata"]["resultset"]["count"] == 1
