import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from reconciler.sandbox import Fault, parse_fault
from reconciler.sandbox.options import Controls

LOST = (httpx.RemoteProtocolError, httpx.ReadError)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "PATCH /monitors/email-smtp/* status=503 times=2 skip=1 retry-after=1",
            Fault("PATCH", "/monitors/email-smtp/*", status=503, times=2, skip=1, retry_after="1"),
        ),
        ("* * delay=0.25", Fault("*", "*", delay=0.25)),
        ("post /monitors/* drop=after", Fault("POST", "/monitors/*", drop="after")),
        ("GET /monitors body=html status=502", Fault("GET", "/monitors", body="html", status=502)),
        (
            "GET /monitors status=429 retry-after='Wed, 21 Oct 2026 07:28:00 GMT'",
            Fault("GET", "/monitors", status=429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"),
        ),
    ],
)
def test_a_fault_is_read_from_text(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected METHOD PATH KEY=VALUE..., as in"),
        ("PATCH", "expected METHOD PATH KEY=VALUE..., as in"),
        ("PATCH '/monitors status=500", "expected METHOD PATH KEY=VALUE..., as in"),
        ("FETCH * delay=1", "method must be one of GET, POST, PATCH, DELETE,"),
        ("GET monitors delay=1", "path must start with / or *"),
        ("GET /monitors", "needs at least one of status, delay, drop, body"),
        ("GET /monitors times=1", "needs at least one of status, delay, drop, body"),
        ("GET /monitors stauts=1", "'stauts=1' is not KEY=VALUE with a key of status, delay,"),
        ("GET /monitors status", "'status' is not KEY=VALUE with a key of status, delay,"),
        ("GET /monitors status=ok", "status must be a whole number, not 'ok'"),
        ("GET /monitors status=0", "status must be from 200 to 599"),
        ("GET /monitors status=204", "but not 204 or 304, which have no body"),
        ("GET /monitors delay=soon", "delay must be a number, not 'soon'"),
        ("GET /monitors delay=-1", "delay must be a number of seconds, 0 or more"),
        ("GET /monitors delay=nan", "delay must be a number of seconds, 0 or more"),
        ("GET /monitors delay=inf", "delay must be a number of seconds, 0 or more"),
        ("POST /monitors/* act=first", "act needs status or body"),
        ("POST /monitors/* status=500 act=never", "act must be one of first, late"),
        ("POST /monitors/* drop=after act=first", "act needs status or body"),
        ("POST /monitors/* body=truncated act=late", "act cannot be late"),
        ("POST /monitors/* body=trickle act=late", "act cannot be late"),
        ("GET /monitors drop=now", "drop must be one of before, after"),
        ("GET /monitors body=none", "body must be one of truncated, html, trickle"),
        ("GET /monitors drop=after status=500", "cannot have status or body"),
        ("GET /monitors drop=after body=html", "cannot have status or body"),
        ("GET /monitors delay=1 retry-after=1", "retry-after needs status"),
        ("GET /monitors status=429 'retry-after=1\n2'", "retry-after must be printable ASCII"),
        ("GET /monitors delay=1 skip=-1", "skip must be 0 or more"),
        ("GET /monitors delay=1 times=0", "times must be 1 or more"),
        ("GET /monitors delay=1 delay=2", "delay is given twice"),
    ],
)
def test_a_wrong_fault_says_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^fault ") as caught:
        parse_fault(text)
    assert message in str(caught.value)
    assert repr(text) in str(caught.value)


def test_a_fault_cannot_be_made_wrong_in_code_either() -> None:
    with pytest.raises(ValueError, match="delay must be"):
        Fault("GET", "*", delay=math.nan)


def test_rules_apply_in_order_and_are_used_up() -> None:
    first = Fault("GET", "/a*", status=500, skip=1, times=2)
    second = Fault("*", "/a", status=501, times=1)
    controls = Controls(faults=[first, second])
    taken = [controls.take("GET", "/a") for _ in range(5)]
    assert taken == [second, first, first, None, None]
    assert controls.take("POST", "/b") is None


def ports(client: httpx.Client) -> list[Any]:
    return [monitor["port"] for monitor in client.get("/monitors").json()["results"]]


def edit(client: httpx.Client, port: int) -> httpx.Response:
    return client.patch("/monitors/email-smtp/500", json={"port": port})


def test_a_status_is_answered_instead_of_acting(start: Any, seed: Any) -> None:
    client = start(
        seed=seed[:1],
        faults=(
            parse_fault("PATCH /monitors/email-smtp/* status=503 skip=1 times=2 retry-after=7"),
        ),
    )
    answers = [edit(client, port) for port in (1, 2, 3)]
    assert [answer.status_code for answer in answers] == [200, 503, 503]
    assert [answer.headers.get("retry-after") for answer in answers] == [None, "7", "7"]
    assert answers[1].json()["errors"][0]["code"] == 503
    assert ports(client) == [1]
    assert edit(client, 4).status_code == 200
    assert ports(client) == [4]


@pytest.mark.parametrize(("when", "port"), [("before", ""), ("after", 25)])
def test_a_dropped_connection_answers_nothing(start: Any, seed: Any, when: str, port: Any) -> None:
    client = start(seed=seed[:1], faults=(parse_fault(f"PATCH * drop={when} times=1"),))
    with pytest.raises(LOST):
        edit(client, 25)
    assert ports(client) == [port]
    assert edit(client, 26).status_code == 200


@pytest.mark.parametrize("effect", ["drop=before", "drop=after", "body=truncated"])
def test_a_broken_connection_is_nothing_to_talk_about(
    start: Any, seed: Any, effect: str, caplog: Any
) -> None:
    client = start(seed=seed, faults=(parse_fault(f"GET /monitors {effect}"),))
    with pytest.raises(LOST):
        client.get("/monitors")
    assert not [record for record in caplog.records if record.name.startswith(("uvicorn", "async"))]


def test_a_delay_comes_before_the_act_and_the_other_effects(start: Any, seed: Any) -> None:
    client = start(
        seed=seed[:1],
        faults=(
            parse_fault("PATCH * delay=0.1 status=500 times=1"),
            parse_fault("PATCH * delay=0.1 drop=after times=1"),
            parse_fault("PATCH * delay=0.1"),
        ),
    )
    began = time.monotonic()
    assert edit(client, 1).status_code == 500
    assert time.monotonic() - began >= 0.1
    with pytest.raises(LOST):
        edit(client, 2)
    assert time.monotonic() - began >= 0.2
    assert edit(client, 3).status_code == 200
    assert time.monotonic() - began >= 0.3
    assert ports(client) == [3]


def test_a_client_that_gives_up_does_not_undo_the_request(start: Any, seed: Any) -> None:
    client = start(seed=seed[:1], faults=(parse_fault("PATCH * delay=0.3"),))
    with pytest.raises(httpx.ReadTimeout):
        client.patch("/monitors/email-smtp/500", json={"port": 25}, timeout=0.02)
    assert ports(client) == [""]
    deadline = time.monotonic() + 5
    while ports(client) == [""] and time.monotonic() < deadline:
        pass
    assert ports(client) == [25]


def test_delayed_requests_wait_at_the_same_time(start: Any, seed: Any) -> None:
    client = start(seed=seed[:1], faults=(parse_fault("GET /monitors/500 delay=0.2"),))
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.get("/monitors/500").status_code, range(16)))
    assert answers == [200] * 16
    assert time.monotonic() - began < 16 * 0.2 / 2


def test_a_truncated_body_ends_too_early(start: Any, seed: Any) -> None:
    client = start(seed=seed[:1], faults=(parse_fault("* /monitors/* body=truncated"),))
    url = "/monitors/500"
    for method, path in (("PATCH", "/monitors/email-smtp/500"), ("GET", url), ("DELETE", url)):
        request = client.build_request(method, path, json={"port": 25})
        answer = client.send(request, stream=True)
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            answer.read()
        assert int(answer.headers["content-length"]) > answer.num_bytes_downloaded
        answer.close()
    assert ports(client) == []


def test_a_trickle_is_the_right_answer(start: Any, seed: Any) -> None:
    client = start(seed=seed[:1], faults=(parse_fault("PATCH * body=trickle"),))
    began = time.monotonic()
    with client.stream("PATCH", "/monitors/email-smtp/500", json={"port": 25}) as answer:
        pieces = list(answer.iter_raw())
    assert b"".join(pieces) == b'{"id":"500"}'
    assert 1 < len(pieces) <= 12  # whoever reads late gets some of them together
    assert time.monotonic() - began > 1
    assert ports(client) == [25]
    with client.stream("PATCH", "/monitors/email-smtp/500", json={"port": 26}) as answer:
        next(answer.iter_raw())
    assert ports(client) == [26]


def test_a_truncated_edit_is_committed(start: Any, seed: Any) -> None:
    fault = parse_fault("PATCH * body=truncated status=201 retry-after=3")
    client = start(seed=seed[:1], faults=(fault,))
    with client.stream("PATCH", "/monitors/email-smtp/500", json={"port": 25}) as answer:
        assert (answer.status_code, answer.headers["retry-after"]) == (201, "3")
    assert ports(client) == [25]


@pytest.mark.parametrize(("setting", "status"), [("", 200), (" status=502 retry-after=2", 502)])
def test_a_page_comes_in_place_of_the_answer(
    start: Any, seed: Any, setting: str, status: int
) -> None:
    client = start(seed=seed[:1], faults=(parse_fault(f"PATCH * body=html{setting}"),))
    answer = edit(client, 25)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<html>")
    assert ports(client) == [25]


def test_a_login_can_fail_too(start: Any, token_of: Any) -> None:
    client = start(faults=(parse_fault("POST /access-tokens status=500 skip=1 times=1"),))
    with pytest.raises(KeyError):
        token_of(client)
    assert token_of(client)
