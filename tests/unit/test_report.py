"""The fleet as it is, counted."""

from typing import Any

import pytest

from reconciler.core.cost import cost, regions_of
from reconciler.core.listing import list_monitors
from reconciler.core.model import Desired, Lifecycle, Live
from reconciler.core.report import Report, Tally, fleet_report
from reconciler.core.siblings import NOBODY, Claims
from reconciler.core.standing import Standing
from reconciler.core.state import Record, State
from reconciler.render import report_text
from reconciler.render.html import report_html
from reconciler.render.view import View

from build import ACCOUNT, FORGOTTEN, SCHEMAS, desired, live, record
from markup import Page

NOW = "2026-01-03T03:04:05Z"
TAMPA = {"id": 18, "name": "Tampa (FL)", "region": 1}
LONDON = {"id": 5010, "name": "London", "region": 2}


def report(
    manifests: list[Desired] | None = None,
    records: dict[str, Record] | None = None,
    monitors: list[Live] | None = None,
    others: Claims = NOBODY,
) -> Report:
    state = State("lineage", ACCOUNT, 1, "2026-01-02T03:04:05Z", records=records or {})
    age = {"2026-01-02T03:04:05Z": 86_400}.get
    given = (manifests or [], state, monitors or [], SCHEMAS.kinds)
    return fleet_report(ACCOUNT, *given, NOW, age, others)


def running(id: int = 1, **fields: Any) -> Live:
    given = {"name": f"Monitor {id}", "interval": 5, "locations": [TAMPA, LONDON]}
    return live(given | fields, id=id)


def test_each_monitor_has_one_standing() -> None:
    found = report(
        [desired(name="managed", id=1), desired(name="missing", id=None)],
        {"email-smtp/orphan": record(id=2)},
        [running(1), running(2), running(3), live(type="website", id=4)],
    )
    assert {(one.address, one.id): one.standing for one in found.monitors} == {
        ("email-smtp/managed", 1): Standing.MANAGED,
        ("email-smtp/missing", None): Standing.MISSING,
        ("email-smtp/orphan", 2): Standing.ORPHANED,
        ("", 3): Standing.UNMANAGED,
    }
    total = found.total
    assert (total.monitors, total.managed, total.orphaned, total.unmanaged) == (3, 1, 1, 1)
    assert total.missing == 1


def test_a_monitor_without_a_type_counts() -> None:
    found = report(monitors=[running(1)._replace(type=None)])
    (one,) = found.monitors
    assert (one.id, one.standing) == (1, Standing.UNMANAGED)
    assert list(found.by_kind()) == ["(unknown)"]


@pytest.mark.parametrize("others", FORGOTTEN.values(), ids=FORGOTTEN)
def test_what_a_plan_forgets_is_no_orphan(others: Claims) -> None:
    assert report([], {"email-smtp/moved": record(id=2)}, [running(2)], others).monitors == ()


def test_a_monitor_of_another_account_with_the_same_login_is_not_ours() -> None:
    found = report(monitors=[running(1), running(2)], others=FORGOTTEN["its monitor is theirs"])
    assert [one.id for one in found.monitors] == [1]
    assert found.total.measurements == 576


def test_a_record_binds_a_manifest_without_an_id() -> None:
    records = {"email-smtp/relay": record(id=7, run="run-7")}
    found = report([desired(id=None)], records, [running(7)])
    (one,) = found.monitors
    assert (one.standing, one.id, one.run) == (Standing.MANAGED, 7, "run-7")
    assert one.applied_age == 86_400


def test_drift_switches_and_protection_are_counted() -> None:
    manifest = desired(id=1)._replace(lifecycle=Lifecycle(protect=True))
    records = {
        "email-smtp/relay": record({"timeout": 30}, id=1),
        "email-smtp/old": record(id=2)._replace(protect=True),
    }
    found = report([manifest], records, [running(1, timeout=45), running(2, enabled="n")])
    total = found.total
    assert (total.drifted, total.disabled, total.protected) == (1, 1, 2)


def test_measurements_and_credits_go_by_location() -> None:
    found = report([], {}, [running(1), running(2, locations=[TAMPA], interval=10)])
    assert found.total.measurements == 288 * 2 + 144
    assert found.total.credits == (288 + 144) * 0.5 + 288
    places = found.by_location()
    assert list(places) == [18, 5010]
    assert places[18].monitors == 2
    assert places[18].measurements == 288 + 144
    regions = found.by_region()
    assert regions["US and Canada"].credits == (288 + 144) * 0.5
    assert regions["Other countries"].credits == 288
    assert regions["Other countries"].monitors == 1


def test_a_rotating_monitor_shares_its_runs_among_its_locations() -> None:
    found = report([], {}, [running(1, rotate_locations=True, monitor_location_count=1)])
    assert found.total.measurements == 288
    assert found.by_location()[18].measurements == 144


def test_what_does_not_run_costs_nothing() -> None:
    assert report([], {}, [running(1, enabled=False)]).total.measurements == 0


@pytest.mark.parametrize("locations", [None, "", [], [None, {}, {"id": "x"}, {"id": [1]}], 7])
def test_odd_locations_are_none(locations: object) -> None:
    found = report([], {}, [running(1, locations=locations)])
    assert found.monitors[0].locations == ()
    assert list(found.by_location()) == [None]
    assert found.by_region() == {}


def test_a_location_is_named_by_whoever_names_it() -> None:
    bare, text = [{"id": 18}], [{"id": "18", "name": "Tampa (FL)", "region": "1"}]
    found = report([], {}, [running(1, locations=bare), running(2, locations=text)])
    assert found.locations[18] == (18, "Tampa (FL)", 1)
    assert list(found.by_region()) == ["US and Canada"]


def test_a_region_that_nobody_tells_costs_as_elsewhere() -> None:
    found = report([], {}, [running(1, locations=[{"id": 18}])])
    assert found.by_region()["Unknown region"].credits == 288


def test_labels_count_each_of_their_monitors() -> None:
    manifests = [
        desired(name="a", id=1, labels={"team": "x", "env": "prod"}),
        desired(name="b", id=2, labels={"team": "x"}),
    ]
    found = report(manifests, {}, [running(1), running(2), running(3)]).by_label()
    assert {name: tally.monitors for name, tally in found.items()} == {
        "team=x": 2,
        "(no label)": 1,
        "env=prod": 1,
    }


def test_runs_are_what_is_left_of_them_the_latest_first() -> None:
    records = {
        "email-smtp/a": record(id=1, run="run-1"),
        "email-smtp/b": record(id=2, run="run-2")._replace(applied_at="2026-01-03T00:00:00Z"),
        "email-smtp/c": record(id=3, run="run-2"),
    }
    assert report([], records).runs == (
        ("run-2", "2026-01-03T00:00:00Z", 2),
        ("run-1", "2026-01-02T03:04:05Z", 1),
    )


def test_an_empty_account_is_a_report_too() -> None:
    found = report()
    assert found.total == Tally()
    assert "There are no email monitors" in Page(report_html(found, View())).text
    assert report_text(found).splitlines()[1].startswith("all ")


def test_the_page_shows_what_the_report_counts() -> None:
    labels = {"team": "<b>x</b>"}
    manifests = [desired(name="a", id=1, labels=labels), desired(name="lost", id=None)]
    records = {"email-smtp/a": record({"timeout": 30}, id=1), "email-smtp/old": record(id=2)}
    monitors = [running(1, timeout=45), running(2), running(3, name="<i>by hand</i>")]
    found = Page(report_html(report(manifests, records, monitors), View()))
    assert "3 email monitors, 33 % managed by Git" in found.text
    assert "1 in manifests is missing from AlertSite; 1 is orphaned" in found.text
    assert "managed 1 unmanaged 1 orphaned 1 missing 1" in found.text
    assert "1,728 measurements and 1,296.0 credits per day" in found.text
    assert "Tampa (FL) (18) 3 " in found.text
    assert "team=<b>x</b>" in found.text
    assert "<i>by hand</i>" in found.text
    assert not found.all("i")
    assert len(found.all("details", "row")) == 4
    anchors = [row.get("id") for row in found.all("details", "row")]
    assert len(set(anchors)) == 4


def test_a_fleet_without_labels_has_no_table_of_them() -> None:
    text = Page(report_html(report([], {}, [running(1)]), View())).text
    assert "By label" not in text
    assert "By kind" in text


def test_a_monitor_that_two_manifests_mean_counts_for_the_one_that_names_it() -> None:
    manifests = [desired(name="named", id=7), desired(name="other", id=None)]
    records = {"email-smtp/other": record(id=7)}
    monitors = [running(7)]
    counted = report(manifests, records, monitors)
    listed = list_monitors(ACCOUNT, manifests, records, monitors, SCHEMAS.kinds)
    for item in (*counted.monitors, *listed.monitors):
        is_named = item.address == "email-smtp/named"
        assert item.standing is (Standing.MANAGED if is_named else Standing.MISSING)
    assert (counted.total.monitors, counted.total.missing) == (1, 1)


def test_a_location_with_two_regions_costs_in_a_report_what_it_costs_in_the_status() -> None:
    monitors = [running(1, locations=[TAMPA]), running(2, locations=[{**TAMPA, "region": 2}])]
    found = report([], {}, monitors)
    assert list(found.by_region()) == ["Unknown region"]
    assert found.total.credits == cost(monitors, regions_of(monitors)).credits
