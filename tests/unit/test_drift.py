from reconciler.core.drift import find_drift
from reconciler.core.state import Sending

from build import ACCOUNT, SCHEMAS, live, record
from documents import check

RECORDS = {
    "email-smtp/kept": record({"port": 587, "locations": [{"id": 1}, {"id": 2}]}, id=1),
    "email-smtp/moved": record({"port": 587, "note": "x"}, id=2),
    "email-smtp/gone": record({"port": 587}, id=3),
}
LIVE = [
    live({"port": "587", "locations": [{"id": 2}, {"id": "1"}], "note": "not ours"}, id=1),
    live({"port": 25, "note": "x", "name": "not ours"}, id=2),
    live({"port": 1}, id=9),
]


def test_only_what_was_applied_and_is_otherwise_now() -> None:
    found = find_drift(ACCOUNT, RECORDS, LIVE, SCHEMAS.kinds)
    gone, moved = found.monitors
    assert (gone.address, gone.fields, found.kept) == ("email-smtp/gone", (), 1)
    assert [(item.field, item.before, item.after) for item in moved.fields] == [("port", 587, 25)]
    check(found.to_json(), "drift")
    assert [item["is_deleted"] for item in found.to_json()["monitors"]] == [True, False]


def test_targets_are_addresses_or_globs() -> None:
    found = find_drift(ACCOUNT, RECORDS, LIVE, SCHEMAS.kinds, ["*/mo*", "email-smtp/kept"])
    assert ([item.address for item in found.monitors], found.kept) == (["email-smtp/moved"], 1)


def test_a_kind_that_has_no_schema_any_more_is_compared_as_it_stands() -> None:
    records = {"email-old/a": record({"port": 587}, id=1)}
    assert find_drift(ACCOUNT, records, [live({"port": 587})], {}).kept == 1


def test_what_alertsite_did_not_keep_is_counted_until_it_shows() -> None:
    late = record({"port": 25, "note": "x"}, id=1)._replace(unseen={"port": 587})
    for port, not_kept in ((25, 1), (587, 0)):
        monitors = [live({"port": port, "note": "x"}, id=1)]
        found = find_drift(ACCOUNT, {"email-smtp/a": late}, monitors, SCHEMAS.kinds)
        assert (found.monitors, found.kept, found.not_kept) == ((), 1, not_kept)


def test_what_a_record_ignores_is_left_out_until_its_day() -> None:
    kept = record({"port": 587, "note": "x"}, id=1)._replace(ignore={"port": "2026-01-31"})
    records = {"email-smtp/a": kept}
    moved = [live({"port": 25, "note": "x"}, id=1)]
    for today, count in (("2026-01-31", 0), ("2026-02-01", 1)):
        found = find_drift(ACCOUNT, records, moved, SCHEMAS.kinds, today=today)
        assert len(found.monitors) == count


def test_what_a_killed_run_has_sent_or_deleted_is_not_drift() -> None:
    records = {
        "email-smtp/moved": record({"port": 25}, id=2)._replace(sending=Sending("", {"port": 587})),
        "email-smtp/gone": record({"port": 25}, id=3)._replace(deleting=True),
    }
    found = find_drift(ACCOUNT, records, [live({"port": 587}, id=2)], SCHEMAS.kinds)
    assert (found.monitors, found.kept) == ((), 1)
    (moved,) = find_drift(ACCOUNT, records, [live({"port": 1}, id=2)], SCHEMAS.kinds).monitors
    assert [(item.before, item.after) for item in moved.fields] == [(25, 1)]
