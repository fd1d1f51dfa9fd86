"""What may be shown of a value that AlertSite has, and that it is one rule wherever it is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.core.diff import Cause, drifted
from reconciler.core.drift import find_drift
from reconciler.core.mask import HIDDEN, passwords_in, shown
from reconciler.core.model import Desired, Live, Origin
from reconciler.core.planner import decide
from reconciler.core.state import Record
from reconciler.render import plan_text

from build import ACCOUNT, SCHEMAS

_KIND = SCHEMAS.kinds["email-smtp"]
_KEY = "s3cret-of-the-account"


@pytest.mark.parametrize(
    ("name", "value", "state", "git", "expected"),
    [
        ("port", 587, None, None, 587),
        ("note", "as AlertSite shows it", None, None, "as AlertSite shows it"),
        ("auth", None, None, None, None),
        ("api_key", 5, 5, 5, HIDDEN),
        ("dsn", "x", None, None, HIDDEN),
        ("dsn", "x", "y", None, "x"),
        ("dsn", "x", None, "x", "x"),
        ("dsn", "x", HIDDEN, "y", HIDDEN),
        ("dsn", "x", {"a": "b"}, None, HIDDEN),
        ("size", 5, None, None, 5),
        ("auth", {"u": "x", "api_key": _KEY}, {"u": "v"}, None, {"u": "x", "api_key": HIDDEN}),
        ("auth", {"u": "x", "dsn": _KEY}, {"u": "v"}, {"u": "w"}, {"u": "x", "dsn": HIDDEN}),
        ("auth", [{"api_key": ""}], [{}], None, [{"api_key": ""}]),
        ("tags", ["a", "b", 1], None, ["a"], ["a", HIDDEN, 1]),
        ("tags", ["a", "b"], ["c"], None, ["a", "b"]),
        ("note", "see imaps://me:pw@host", "see imaps://me:pw@host", None, HIDDEN),
        ("hostname", "me:pw@host", "me:pw@host", None, HIDDEN),
        ("tags", [{"proxy": "//me:pw@host"}], [{"proxy": "x"}], None, [{"proxy": HIDDEN}]),
        ("rows", [{"a": "x", "b": "y"}], [{"a": "z"}, {}], None, [{"a": "x", "b": HIDDEN}]),
    ],
)  # fmt: skip
def test_what_is_shown(name: str, value: Any, state: Any, git: Any, expected: Any) -> None:
    found = shown(_KIND, name, value, state, git)
    assert found == expected
    assert shown(_KIND, name, found, found, git) == found


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("https://me:pw@host/", True),
        ("see (https://me:12345@host), and write", True),
        ("smtp://me:p/w@host", True),
        ("smtp://:pw@host", True),
        ("https://host/to?next=imap://me:p:w@host", True),
        ("https://me@host/", False),
        ("https://host:8080/@me", False),
        ("https://host:8080,me@host", False),
        ("https://[::1]:8080/@me", False),
        ("https://host/a:b@c", False),
        ("https://host/?a:b@c", False),
        ("me:pw@host", False),
        ("mail to: me@host // or: you@host", False),
        ("https://me:@host", False),
        ("https://me:***@host", False),
        ("https://me:<password>@host", False),
        ("https://me:${PASSWORD}@host", False),
    ],
)
def test_which_texts_have_a_password(text: str, *, is_one: bool) -> None:
    assert [*passwords_in([text], ("note",))] == [("note", 0)] * is_one


def _desired(**extra: Any) -> Desired:
    fields = {"name": "Relay", "billing_plancode": "UBM", "hostname": "mx.example.com", **extra}
    return Desired(_KIND, "relay", 7, {}, fields, Origin("monitors/a.yaml", 0, 1))


def _live(**fields: Any) -> Live:
    return Live(7, "email-smtp", {**_desired().fields, **fields})


def _plan(desired: Desired, live: Live, *records: Record) -> Any:
    known = {f"email-smtp/r-{number}": record for number, record in enumerate(records)}
    return decide(ACCOUNT, [desired], known, [live], SCHEMAS.kinds)


def test_a_key_of_the_account_is_not_shown_beside_what_the_manifest_names() -> None:
    live = _live(auth={"user": "old", "api_key": _KEY, "deep": [{"Token": _KEY, "n": 1}]})
    found = _plan(_desired(auth={"user": "new"}), live)
    (field,) = found.changes[0].fields
    assert field.before == {
        "user": HIDDEN,
        "api_key": HIDDEN,
        "deep": [{"Token": HIDDEN, "n": 1}],
    }
    assert _KEY not in plan_text(found, show_requests=True) + json.dumps(found.to_json())


def test_after_a_lost_state_the_old_value_of_a_secret_is_not_shown() -> None:
    found = _plan(_desired(hook="plain by now"), _live(hook=_KEY))
    assert _KEY not in plan_text(found) + json.dumps(found.to_json())
    assert '      hook: (hidden) → "plain by now"\n' in plan_text(found)


def test_a_secret_that_another_address_is_known_to_have_is_not_shown() -> None:
    record = Record(7, {}, {"note": "hmac"}, "", "run")
    found = _plan(_desired(note="plain by now"), _live(note=_KEY), record)
    assert _KEY not in plan_text(found) + json.dumps(found.to_json())


def test_what_is_hidden_is_no_drift_and_new_keys_are() -> None:
    applied = {"auth": {"user": "u", "api_key": HIDDEN}, "api_token": "in an older state"}
    live = _live(auth={"user": "u", "api_key": _KEY}, api_token=_KEY)
    assert drifted(_KIND, applied, live) == ()
    record = Record(7, applied, {}, "", "run")
    moved = _live(auth={"user": "v", "dsn": _KEY, "api_key": _KEY}, api_token=_KEY)
    found = find_drift(ACCOUNT, {"email-smtp/relay": record}, [moved], SCHEMAS.kinds)
    (field,) = found.monitors[0].fields
    assert field.after == {"user": "v", "dsn": HIDDEN, "api_key": HIDDEN}
    assert _KEY not in json.dumps(found.to_json())


def test_the_cause_is_told_from_what_may_be_shown() -> None:
    record = Record(7, {"auth": {"user": "u", "api_key": HIDDEN}}, {}, "", "run")
    for user, cause in (("u", Cause.EDIT), ("x", Cause.BOTH)):
        live = _live(auth={"user": user, "api_key": _KEY})
        found = decide(
            ACCOUNT,
            [_desired(auth={"user": "new"})],
            {"email-smtp/relay": record},
            [live],
            SCHEMAS.kinds,
        )
        assert found.changes[0].fields[0].cause is cause
