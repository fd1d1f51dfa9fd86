"""Lists of monitors: whose each is, what is shown and found, and how."""

import csv
from io import StringIO
from typing import Any

import pytest

from reconciler.core.listing import Listing, Where, list_monitors
from reconciler.core.mask import HIDDEN
from reconciler.core.model import Live
from reconciler.core.siblings import Claims
from reconciler.core.standing import Standing
from reconciler.render.listings import list_csv, list_names, list_text

from build import ACCOUNT, FORGOTTEN, SCHEMAS, desired, live, record

_PLACES = [{"id": 30, "name": "Boston (MA)", "region": 1}, {"id": 10, "name": "Miami (FL)"}]


def listed(*monitors: Live, manifests: Any = (), records: Any = None, **more: Any) -> Listing:
    return list_monitors(ACCOUNT, manifests, records or {}, monitors, SCHEMAS.kinds, **more)


def found(listing: Listing, *conditions: tuple[str, str]) -> list[str]:
    wanted = [Where(*condition) for condition in conditions]
    return list_names(listing.only((), wanted, ())).split("\n")


def test_whose_each_monitor_is() -> None:
    listing = listed(
        live({"name": "A"}, id=1),
        live({"name": "B"}, id=2),
        live({"name": "C"}, id=3),
        live({"name": "D"}, id=4, type="website"),
        manifests=[desired(name="relay", id=1), desired(name="new", id=None)],
        records={"email-smtp/left": record(id=2), "email-smtp/gone": record(id=9)},
    )
    told = [(item.standing, item.address, item.id, item.is_live) for item in listing.monitors]
    assert told == [
        (Standing.ORPHANED, "email-smtp/left", 2, True),
        (Standing.MISSING, "email-smtp/new", None, False),
        (Standing.MANAGED, "email-smtp/relay", 1, True),
        (Standing.UNMANAGED, None, 3, True),
    ]
    assert listing.counts() == {"managed": 1, "unmanaged": 1, "orphaned": 1, "missing": 1}


@pytest.mark.parametrize("others", FORGOTTEN.values(), ids=FORGOTTEN)
def test_what_a_plan_forgets_is_no_orphan(others: Claims) -> None:
    monitors = [live({"name": "A"}, id=2)]
    moved = {"email-smtp/moved": record(id=2)}
    assert listed(*monitors, records=moved, others=others).monitors == ()
    assert listed(*monitors, records=moved, others=others, is_offline=True).monitors == ()


def test_a_monitor_of_another_account_with_the_same_login_is_not_ours() -> None:
    theirs = FORGOTTEN["its monitor is theirs"]
    listing = listed(live({}, id=1), live({}, id=2), others=theirs)
    assert [item.id for item in listing.monitors] == [1]


def test_a_value_is_found_as_manifests_write_it() -> None:
    listing = listed(live({"billing_plancode": "UBM - A/A", "note": "a b", "port": "587"}, id=1))
    for condition in (
        ("billing_plancode", "UBM - A/A"),
        ("billing_plancode", "ubm-a/a"),
        ("billing_plancode", "UBM - *"),
        ("note", "a b"),
        ("port", "587"),
    ):
        assert found(listing, condition) == ["1"], condition
    for condition in (
        ("billing_plancode", "UBM - B"),
        ("note", "ab"),
        ("note", ""),
        ("mode", "None"),
    ):
        assert found(listing, condition) == [""], condition


def test_monitors_are_found_by_name_id_and_label_whatever_the_case() -> None:
    listing = listed(
        live({"hostname": "MAIL-41.example.com", "locations": _PLACES, "home_location": 30}, id=1),
        live({"hostname": "mail-50.example.com", "enabled": False}, id=2),
        manifests=[desired(name="a", id=1, labels={"team": "core"}), desired(name="b", id=2)],
    )
    assert found(listing, ("hostname", "mail-4*")) == ["email-smtp/a"]
    assert found(listing, ("locations", "boston*")) == ["email-smtp/a"]
    assert found(listing, ("locations", "30")) == ["email-smtp/a"]
    assert found(listing, ("home_location", "Boston*")) == ["email-smtp/a"]
    assert found(listing, ("labels.team", "core")) == ["email-smtp/a"]
    assert found(listing, ("enabled", "false")) == ["email-smtp/b"]
    assert found(listing, ("locations", "")) == ["email-smtp/b"]
    assert found(listing, ("hostname", "mail-*"), ("id", "2")) == ["email-smtp/b"]


@pytest.mark.parametrize(
    ("target", "ids"),
    [("2", [2]), ("email-smtp/*", [1]), ("team=core", [1]), ("email-smtp/relay", [1]), ("3*", [])],
)
def test_targets(target: str, ids: list[int]) -> None:
    manifests = [desired(id=1, labels={"team": "core"})]
    listing = listed(live(id=1), live(id=2), manifests=manifests)
    assert [item.id for item in listing.only((), (), (target,)).monitors] == ids


def test_no_secret_is_shown_or_found() -> None:
    listing = listed(
        live({"pop3_password": "s3cret", "note": "n", "dsn": "smtp://u:s3cret@h"}, id=1),
        live({"api_key": "s3cret", "other": "s3cret"}, id=2),
        manifests=[desired(id=1, secrets={"note": {"secretRef": {"env": "NOTE"}}})],
    )
    assert [dict(item.fields) for item in listing.monitors] == [
        {"pop3_password": HIDDEN, "note": HIDDEN, "dsn": HIDDEN},
        {"api_key": HIDDEN, "other": HIDDEN},
    ]
    assert found(listing, ("dsn", "*s3cret*")) == [""]


def test_a_cell_of_csv_is_no_formula() -> None:
    names = ["=1+1", "+1", "-1", "@x", "a,b", 'say "x"', " =1", "\t=1", "a\nb"]
    listing = listed(*(live({"name": name}, id=id_) for id_, name in enumerate(names, 1)))
    rows = list(csv.reader(StringIO(list_csv(listing, ("id", "name")))))
    assert [row[1] for row in rows] == [
        "name", "'=1+1", "'+1", "'-1", "'@x", "a,b", 'say "x"', "'=1", "'=1", "a\\nb",
    ]  # fmt: skip


def test_a_table_cuts_what_is_long_and_a_wide_one_what_is_longer() -> None:
    listing = listed(live({"name": "n" * 50, "hostname": "h", "port": "25"}))
    assert list_text(listing, ("name", "server")).split("\n") == [
        f"{'NAME':40}  SERVER",
        f"{'n' * 39}…  h:25",
    ]
    assert "n" * 50 in list_text(listing, ("name",), is_wide=True)
    longest = listed(live({"name": "n" * 50_000}))
    assert list_text(longest, ("name",), is_wide=True).split("\n")[1] == f"{'n' * 199}…"
    assert list_text(listed(), ("name",)) == ""


def test_a_round_trip_that_alertsite_sends_itself() -> None:
    trip = live({"smtp_hostname": "", "pop3_hostname": "pop.example.com"}, type="email-round-trip")
    assert "(AlertSite) → pop.example.com" in list_text(listed(trip), ("server",))
