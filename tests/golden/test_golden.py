"""Golden folders: manifests and live in, everything that is printed out.

A case is a folder with `manifests/` and `live.json` (a list of monitors as GET returns them), and
`records.json` (those of the state) and `rules.json` (what the flags say) if it has any; or with
`manifests/` alone when they are invalid. `pytest tests/golden --update-golden` writes what is
printed; read the difference before committing it.
"""

import json
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from reconciler import render
from reconciler.cli.formats import Subject, formats, renderer
from reconciler.core.drift import Drift, find_drift, find_unmanaged
from reconciler.core.generation import Generation
from reconciler.core.listing import USUAL, WIDE, Listing, list_monitors
from reconciler.core.model import Account, Live
from reconciler.core.options import PlanOptions
from reconciler.core.overview import Holder, Overview, find_overview
from reconciler.core.plan import Plan
from reconciler.core.planner import decide
from reconciler.core.result import Outcome, Result, Status
from reconciler.core.state import State, first_record, record_from_json
from reconciler.errors import InvalidManifestsError
from reconciler.render.listings import list_csv, list_text
from reconciler.render.overviews import overview_text
from reconciler.render.view import View
from reconciler.usecases.effective import find_effective
from reconciler.usecases.load import load_fleet
from reconciler.usecases.plan import with_default_places

from build import SCHEMAS
from documents import check

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/manifests"))
INPUTS = {"live.json", "records.json", "rules.json"}
DETAILED = {"every-kind-of-change", "hostile-text", "known-state", "refusals", "restoring"}
"""Cases whose plans are shown in every format."""
EXTENSIONS = {
    "markdown": "md",
    "junit": "xml",
    "sarif": "json",
    "gitlab-codequality": "json",
    "gitlab-terraform": "json",
    "html": "html",
}


def printed(case: Path) -> dict[str, str]:
    """What the tool prints for a case, by golden file."""
    try:
        fleet = load_fleet(["manifests"], SCHEMAS)
    except InvalidManifestsError as error:
        as_json = render.findings_json(error.findings)
        check(as_json, "findings")
        return {
            "findings.txt": render.findings_text(error.findings),
            "findings.json": render.as_json(as_json),
            **others(Subject.FINDINGS, error.findings),
        }
    monitors = [
        Live(item["id"], item.get("type"), item)
        for item in json.loads((case / "live.json").read_text())
    ]
    records = {
        address: record_from_json(item) for address, item in given(case / "records.json").items()
    }
    rules = PlanOptions(**given(case / "rules.json"))
    account = Account("default", "https://alertsite.example.com/api/v3")
    plan = decide(account, fleet.desired, records, monitors, SCHEMAS.kinds, rules)
    plan = with_default_places(plan, fleet.desired)
    check(plan.to_json(), "plan")
    found = others(Subject.PLAN, plan) if case.name in DETAILED else {}
    if case.name in DETAILED:
        listing = list_monitors(account, fleet.desired, records, monitors, SCHEMAS.kinds)
        check(listing.to_json(), "list")
        found["list.txt"] = list_text(listing, USUAL)
        found["list.wide.txt"] = list_text(listing, WIDE, is_wide=True)
        found["list.csv"] = list_csv(listing, WIDE)
        found["list.json"] = render.as_json(listing.to_json())
    if case.name == "defaults":
        effective = find_effective(fleet, SCHEMAS, fleet.desired[0].address)
        check(effective.to_json(), "render")
        found["render.yaml"] = effective.to_yaml()
        found["render.json"] = render.as_json(effective.to_json())
    if case.name == "known-state":
        drift = find_drift(account, records, monitors, SCHEMAS.kinds)
        unmanaged = find_unmanaged(records, monitors, SCHEMAS.kinds, ())
        drift = drift._replace(unmanaged=unmanaged)
        status = overview_of(listing, plan, drift, monitors)
        check(status.to_json(), "status")
        found["status.txt"] = overview_text(status, age="3 h ago")
        found["status.json"] = render.as_json(status.to_json())
        result = result_of(plan)
        check(drift.to_json(), "drift")
        check(result.to_json(), "result")
        found["drift.txt"] = render.drift_text(drift)
        found["drift.json"] = render.as_json(drift.to_json())
        found |= others(Subject.DRIFT, drift) | others(Subject.RESULT, result)
    return {
        **found,
        "plan.txt": render.plan_text(plan),
        "requests.txt": render.plan_text(plan, show_requests=True),
        "plan.json": render.as_json(plan.to_json()),
    }


def others(subject: Subject, value: Any) -> dict[str, str]:
    """The value in all formats but text, JSON and HTML, which `test_golden_pages` has."""
    view = View(folder="/repo/fleet", root="/repo")
    return {
        f"{subject.value}.{name}.{EXTENSIONS.get(name, 'txt')}": renderer(name, subject)(
            value, view
        )
        for name in formats(subject)
        if name not in {"text", "json", "html"}
    }


def overview_of(listing: Listing, plan: Plan, drift: Drift, monitors: list[Live]) -> Overview:
    """How the account is of which all that is known, and whose lock somebody holds."""
    generation = Generation("0123456789abcdef0123456789abcdef01234567", dirty=True)
    run, moment = "20260102T030405Z-0a0b0c0d", "2026-01-02T03:04:05Z"
    records = {f"email-smtp/{number}": first_record(number, (), tracks=True) for number in range(9)}
    return find_overview(
        listing,
        plan,
        drift,
        monitors,
        SCHEMAS.kinds,
        files=1,
        where="manifests",
        state=State("", plan.account, 7, moment, run, records, generation=generation),
        location="file:state.json",
        holder=Holder(run, "ann", "build-1", "apply", moment),
    )


def result_of(plan: Plan) -> Result:
    """What might have become of a plan: each of its changes ends in another way."""
    statuses = cycle(Status)
    outcomes = (
        Outcome(change, status, "" if status is Status.DONE else "AlertSite: [1200] no such plan")
        for change, status in zip(plan.changes, statuses, strict=False)
    )
    return Result(plan.account, tuple(outcomes), run="20260102T030405Z-0a0b0c0d")


def given(path: Path) -> dict[str, Any]:
    """What a file says; nothing if the case has none."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(
    case: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case)
    found = {name: text + "\n" for name, text in printed(case).items()}
    if request.config.getoption("--update-golden"):
        for name, text in found.items():
            (case / name).write_text(text)
    expected = {
        path.name: path.read_text()
        for path in case.iterdir()
        if path.is_file() and path.name not in INPUTS
    }
    assert found == expected


def test_there_is_a_case_for_every_kind_of_output() -> None:
    names = {path.name for case in CASES for path in case.iterdir()}
    assert {"plan.txt", "requests.txt", "plan.json", "findings.txt", "findings.json"} <= names


def test_colour_only_repeats_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    case = HERE / "every-kind-of-change"
    monkeypatch.chdir(case)
    fleet = load_fleet(["manifests"], SCHEMAS)
    plan = decide(Account("default", "x"), fleet.desired, {}, [], SCHEMAS.kinds)
    coloured = render.plan_text(plan, colour=True)
    assert "\x1b[31m! email-imap/front" in coloured
    for code in ("0", "1", "31", "32", "33"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == render.plan_text(plan)
