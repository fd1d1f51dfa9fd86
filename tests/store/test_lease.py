import json
from typing import Any

import pytest

from reconciler.state_store import Lease
from reconciler.state_store.lock import lease_of


def lease(**changes: Any) -> Lease:
    since = "2026-01-02T03:04:05Z"
    return Lease("run-1", "ann", "a", "apply", since, "", 60.0)._replace(**changes)


def test_it_is_said_in_words() -> None:
    assert str(lease()) == "run run-1 (ann on a, since 2026-01-02T03:04:05Z)"
    assert lease().unlock == "reconciler state unlock run-1"


def test_of_several_accounts_it_names_one() -> None:
    found = lease(account="acme")
    assert str(found) == "run run-1 of the account acme (ann on a, since 2026-01-02T03:04:05Z)"
    assert found.unlock == "reconciler state unlock run-1 -a acme"
    assert lease_of(found.encoded()) == found


def test_no_two_renewals_are_the_same() -> None:
    kept = [lease()]
    for _ in range(5):
        kept.append(kept[-1].renewed())
    assert len({each.encoded() for each in kept}) == 6
    assert {each._replace(renewals=0) for each in kept} == {lease()}


def test_one_of_an_earlier_version_is_a_lease() -> None:
    earlier = {**lease()._asdict(), "expires_at": "2026-01-02T03:05:05.678Z"}
    del earlier["renewals"], earlier["account"]
    assert lease_of(json.dumps(earlier).encode()) == lease()


def test_it_comes_back_as_it_was_kept() -> None:
    assert lease_of(lease().encoded()) == lease()
    more = {**json.loads(lease().encoded()), "added": "later"}
    assert lease_of(json.dumps(more).encode()) == lease()


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": 1},
        {"holder": "a\x1b[31m"},
        {"acquired_at": "soon"},
        {"acquired_at": "2026-01-02T03:04:05"},
        {"account": None},
        {"renewals": "1"},
        {"renewals": True},
        {"length": 0},
        {"length": "60"},
        {"length": float("inf")},
        {"length": float("nan")},
        {"process": None},
    ],
)
def test_what_is_no_lease_is_none(changes: dict[str, Any]) -> None:
    assert lease_of(json.dumps({**lease()._asdict(), **changes}).encode()) is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000])
def test_nor_is_what_is_no_json_of_that_form(data: bytes) -> None:
    assert lease_of(data) is None
