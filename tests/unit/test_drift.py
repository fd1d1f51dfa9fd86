from reconciler.core.drift import Drift, find_drift
from reconciler.core.grouping import drift_groups
from reconciler.core.state import Sending
from reconciler.render.drifts import drift_text
from reconciler.render.html import drift_html
from reconciler.render.markdown import drift_markdown
from reconciler.render.notifications import MessageOrigin, drift_message
from reconciler.render.view import View

from build import ACCOUNT, SCHEMAS, live, record
from documents import check
from markup import Page

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


def test_what_lost_monitoring_by_it_is_said_in_the_words_of_a_plan() -> None:
    records = {
        "email-smtp/gone": record({"enabled": True}, id=1),
        "email-smtp/off": record({"enabled": True, "interval": 5}, id=2),
        "email-smtp/on": record({"enabled": False, "interval": 15}, id=3),
    }
    monitors = [live({"enabled": False, "interval": 15}, id=2), live({"enabled": True}, id=3)]
    found = find_drift(ACCOUNT, records, monitors, SCHEMAS.kinds)
    assert {item.address: item.causes for item in found.monitors} == {
        "email-smtp/gone": ("vanished",),
        "email-smtp/off": ("disabled", "stretched"),
        "email-smtp/on": ("stretched",),
    }
    check(found.to_json(), "drift")
    assert found.to_json()["summary"] == {"drifted": 3, "lost": 3, "kept": 0}
    assert found.to_json()["monitors"][0]["causes"] == ["vanished"]


def many(count: int = 24) -> Drift:
    """So many monitors that were disabled by hand, one that is gone, one whose note is another."""
    names = [f"email-smtp/m{number:02}" for number in range(1, count + 1)]
    records = {
        name: record({"enabled": True}, id=number) for number, name in enumerate(names, 1)
    } | {
        "email-imap/gone": record({"enabled": True}, id=90),
        "email-smtp/moved": record({"note": "x"}, id=91),
        "email-smtp/same": record({"note": "x"}, id=92),
    }
    monitors = [live({"enabled": False}, id=number) for number in range(1, count + 1)]
    monitors += [live({"note": "y"}, id=91), live({"note": "x"}, id=92)]
    return find_drift(ACCOUNT, records, monitors, SCHEMAS.kinds)


def test_the_coverage_that_was_lost_and_the_next_step_are_said_everywhere() -> None:
    found = many()
    lost = "25 monitors have lost monitoring in AlertSite (24 disabled, 1 vanished)"
    for text in (
        drift_text(found),
        drift_markdown(found, View()),
        Page(drift_html(found, View())).text,
    ):
        assert lost in text
        assert "reconciler pull copies" in text
    message = drift_message("default", MessageOrigin("r1"), found.monitors, 2)
    assert message is not None
    assert message.title == (
        "AlertSite, default: 26 monitors have drifted, 25 have lost monitoring (24 "
        "disabled, 1 vanished)"
    )
    assert "email-smtp/m01: enabled (disabled)" in message.body


def test_drift_without_loss_says_nothing_of_coverage() -> None:
    found = find_drift(
        ACCOUNT, {"email-smtp/a": record({"note": "x"}, id=1)}, [live({"note": "y"}, id=1)], {}
    )
    for text in (drift_text(found), drift_markdown(found, View())):
        assert "lost monitoring" not in text
    message = drift_message("default", MessageOrigin("r1"), found.monitors, 2)
    assert message is not None
    assert message.title == "AlertSite, default: 1 monitor has drifted"


def test_equal_drift_of_many_is_folded_and_what_lost_monitoring_comes_first() -> None:
    found = many()
    assert [len(group.monitors) for group in drift_groups(found.monitors)] == [1, 24, 1]
    assert len(drift_groups(many(18).monitors)) == 20
    for text in (drift_text(found), drift_markdown(found, View())):
        assert "24 monitors: email-smtp 24" in text
        assert "m24" not in text
        assert "email-imap/gone (id 90" in text
    assert "24 monitors are folded: --json lists each" in drift_text(found)
    page = Page(drift_html(found, View()))
    assert len(page.all("details", "group")) == 1
    assert len(page.all("li", "row")) == 24
