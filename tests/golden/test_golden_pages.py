"""Golden pages: what `render/html` makes of values, but for style and script.

`pytest tests/golden --update-golden` writes them; read the difference before committing it.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.core.diff import Cause, FieldChange
from reconciler.core.drift import Drift, Drifted
from reconciler.core.generation import Generation
from reconciler.core.plan import (
    Action,
    Binding,
    BindingAction,
    BudgetLimits,
    Change,
    Coverage,
    Loss,
    Measurements,
    Note,
    NoteCode,
    Plan,
    Reason,
    Refusal,
)
from reconciler.core.report import fleet_report
from reconciler.core.result import Outcome, Result, Status
from reconciler.core.state import State
from reconciler.render.html import drift_html, plan_html, report_html, result_html
from reconciler.render.view import Made, View

from build import ACCOUNT, ORIGIN, SCHEMAS, desired, live, record

FOLDER = Path(__file__).parent / "pages"
VIEW = View(
    made=Made(
        "c0ffee",
        "run-1",
        "2026-01-02T03:04:05Z",
        "1.0",
        "reconciler apply plan.json",
        "reconciler apply",
    )
)
TIMEOUT = FieldChange("timeout", 30, 33, default="monitors/_defaults.yaml:9:3")
PORT = FieldChange("port", 25, 587, cause=Cause.DRIFT)
PLACES = FieldChange("locations", [{"id": 10}], [{"id": 30}], set_key="id")
HOME = FieldChange("home_location", 30, 30, sent_with="locations")
NOTE = FieldChange("note", None, "<b>x</b> & y")
LOCATIONS = [{"id": 18, "name": "Tampa (FL)", "region": 1}, {"id": 5010, "region": 2}]


def change(name: str, number: int, *fields: FieldChange, action: Action = Action.UPDATE) -> Change:
    body = {field.field: field.after for field in fields}
    address, labels = f"email-smtp/{name}", {"team": "mail"}
    id_ = None if action is Action.CREATE else number
    return Change(action, address, "email-smtp", id_, body, fields, ORIGIN, labels=labels)


def plan() -> Plan:
    changes = [change(f"equal-{number:02}", number, TIMEOUT) for number in range(21)]
    changes += [
        change("moved", 31, PORT),
        change("places", 32, PLACES, HOME),
        change("new", 33, NOTE, action=Action.CREATE),
        change("old", 34, action=Action.DELETE)._replace(reason=Reason.REPLACED, origin=None),
    ]
    losses = (Loss("email-smtp/old", 34, ("deleted",)),)
    return Plan(
        ACCOUNT,
        tuple(sorted(changes, key=lambda item: item.address)),
        (Binding("email-smtp/adopted", BindingAction.ADOPT, 41),),
        (Refusal("email-smtp/twin", "ambiguous", "there are two", "Name its id.", ORIGIN),),
        (Note("email-smtp/orphan", NoteCode.ORPHAN, 51),),
        unchanged=5,
        coverage=Coverage(30, losses, Measurements(100, 50), (), BudgetLimits(9)),
    )


def pages() -> Mapping[str, str]:
    failed = Outcome(change("moved", 31, PORT), Status.FAILED, "AlertSite said no")
    done = Outcome(change("new", 33, NOTE, action=Action.CREATE), Status.DONE, created=33)
    result = Result(ACCOUNT, (failed, done), run="run-2", generation=Generation("c0ffee"))
    gone = Drifted("email-smtp/gone", 2, "2026-01-01T00:00:00Z", "run-1", ())
    moved = Drifted("email-smtp/moved", 31, "2026-01-01T00:00:00Z", "run-1", (PORT,))
    records = {
        "email-smtp/relay": record({"port": 25}, id=1),
        "email-smtp/orphan": record(id=2)._replace(protect=True),
    }
    report = fleet_report(
        ACCOUNT,
        [desired(id=1, labels={"team": "mail"}), desired(name="missing", id=None)],
        State("lineage", ACCOUNT, 3, "2026-01-02T03:04:05Z", records=records),
        [
            live({"name": "Relay", "port": 26, "interval": 5, "locations": LOCATIONS}, id=1),
            live({"name": "Orphan", "enabled": False}, id=2),
            live({"name": "<i>by hand</i>"}, id=3),
        ],
        SCHEMAS.kinds,
        "2026-01-03T03:04:05Z",
        {"2026-01-02T03:04:05Z": 86_400}.get,
    )
    return {
        "plan.html": plan_html(plan(), VIEW),
        "no-changes.html": plan_html(Plan(ACCOUNT, unchanged=3), VIEW),
        "result.html": result_html(result, VIEW),
        "drift.html": drift_html(Drift(ACCOUNT, (gone, moved), 3), VIEW),
        "fleet.html": report_html(report, VIEW),
    }


def test_golden_pages(request: pytest.FixtureRequest) -> None:
    found = {name: without_style_and_script(text) for name, text in pages().items()}
    if request.config.getoption("--update-golden"):
        for name, text in found.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
    assert found == {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}


def without_style_and_script(text: str) -> str:
    """What stays the same when a page only looks otherwise."""
    text = re.sub(r"(?s)<(style|script)>.*?</\1>", r"<\1>…</\1>", text)
    return re.sub(r"sha256-[A-Za-z0-9+/=]+", "sha256-…", text)
