"""Golden texts of plans and results that are too long to be read one by one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import render
from reconciler.core.grouping import Detail
from reconciler.core.model import Live, Origin
from reconciler.core.options import PlanOptions
from reconciler.core.planner import decide
from reconciler.core.result import Outcome, Result, Status

from build import ACCOUNT, SCHEMAS, desired, live, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.core.model import Desired
    from reconciler.core.plan import Plan

HERE = Path(__file__).parent / "long"
_KINDS = ("email-smtp", "email-smtp", "email-imap", "email-smtp", "email-pop")
_TEAMS = ("mail-core", "mail-core", "support", "campaigns")
_LOCATIONS = [{"id": 10, "name": "Fort Lauderdale (FL)"}, {"id": 20, "name": "Atlanta (GA)"}]
_BOSTON, _CHICAGO = {"id": 72, "name": "Boston (MA)"}, {"id": 50, "name": "Chicago (IL)"}


def manifest(number: int, fields: Mapping[str, Any], **more: Any) -> Desired:
    kind, team = _KINDS[number % len(_KINDS)], _TEAMS[number % len(_TEAMS)]
    folder = f"monitors/{team}" if number % 7 else f"monitors/{team}/emea"
    found = desired(
        fields,
        **{"kind": kind, "name": f"m{number:03}", "id": number, "labels": {"team": team}} | more,
    )
    return found._replace(origin=Origin(f"{folder}/{found.name}.yaml", 0, 1))


def seen(manifests: Iterable[Desired], fields: Mapping[str, Any]) -> list[Live]:
    """The monitors of those manifests, with those fields."""
    return [live(fields, type=item.kind.name, id=item.id or 0) for item in manifests]


def equal() -> Plan:
    """One default that is changed for 461 monitors."""
    manifests = [manifest(number, {"timeout": 33}) for number in range(1, 462)]
    plan = decide(ACCOUNT, manifests, {}, seen(manifests, {"timeout": 30}), SCHEMAS.kinds)
    default = "monitors/_defaults.yaml:9:3"
    changes = (
        change._replace(fields=tuple(item._replace(default=default) for item in change.fields))
        for change in plan.changes
    )
    return plan._replace(changes=tuple(changes))


def mixed() -> Plan:
    """Some of everything, and much of some."""
    usual = [manifest(number, {"timeout": 33}) for number in range(1, 41)]
    sets = [
        manifest(number, {"locations": [{"id": 20}, {"id": 72}], "home_location": 20})
        for number in range(41, 65)
    ]
    moved = [manifest(number, {"note": "ours"}, kind="email-smtp") for number in (70, 71)]
    off = [manifest(number, {"enabled": False}) for number in range(80, 83)]
    new = [
        manifest(number, {"name": f"M{number}", "interval": 5}, id=None) for number in range(90, 99)
    ]
    foreign = manifest(130, {"name": "Ours"}, id=None, kind="email-imap")
    lonely = {f"email-smtp/gone-{number}": record(id=number) for number in range(300, 325)}
    monitors = [
        *seen(usual, {"timeout": 30}),
        *seen(sets[:2], {"locations": _LOCATIONS, "home_location": 20}),
        *seen(sets[2:12], {"locations": [*_LOCATIONS[1:], _CHICAGO], "home_location": 20}),
        *seen(sets[12:], {"locations": _LOCATIONS[1:], "home_location": 20}),
        *seen(moved, {"note": "theirs"}),
        *seen(off, {"enabled": True}),
        live({"name": "Ours"}, type="email-imap", id=400),
        live({"name": "Ours"}, type="email-imap", id=401),
        live({"locations": [_BOSTON]}, type="email-imap", id=402),
        *(live({}, id=item.id) for item in lonely.values()),
        live({}, id=500),
    ]
    records = lonely | {
        "email-smtp/m070": record({"note": "ours"}, id=70),
        "email-smtp/m071": record({"note": "before"}, id=71),
        "email-smtp/gone": record(id=500),
    }
    manifests = [*usual, *sets, *moved, *off, *new, foreign]
    rules = PlanOptions(prune=True, keep=[*lonely])
    return decide(ACCOUNT, manifests, records, named(monitors), SCHEMAS.kinds, rules)


def named(monitors: Iterable[Live]) -> list[Live]:
    """The monitors, each with a name of its own: else they would look like doubles."""
    return [
        item._replace(fields={"name": f"Monitor {item.id}", **item.fields}) for item in monitors
    ]


def lists() -> Plan:
    """Many bindings, notes and losses."""
    adopted = [
        manifest(number, {"name": f"A{number}"}, id=None, kind="email-pop")
        for number in range(200, 230)
    ]
    off = [manifest(number, {"enabled": False}) for number in range(1, 23)]
    slow = manifest(60, {"interval": 60}, kind="email-smtp")
    lonely = {f"email-smtp/gone-{number}": record(id=number) for number in range(300, 325)}
    gone = {f"email-smtp/lost-{number}": record(id=900 + number) for number in range(4)}
    released = [manifest(number, {}, kind="email-smtp") for number in range(40, 45)]
    monitors = [
        *(live({"name": f"A{n}"}, type="email-pop", id=n) for n in range(200, 230)),
        *seen(off, {"enabled": True}),
        *seen([slow], {"interval": 5, "locations": _LOCATIONS}),
        *seen(released, {"note": "x"}),
        *(live({}, id=item.id) for item in lonely.values()),
        live({"name": "Monitor 60"}, id=1000),
    ]
    records = lonely | gone | {item.address: record({"note": "x"}, id=item.id) for item in released}
    manifests = [*adopted, *off, slow._replace(fields={**slow.fields, "name": "Monitor 60"})]
    manifests += released
    rules = PlanOptions(adopt=True)
    return decide(ACCOUNT, manifests, records, named(monitors), SCHEMAS.kinds, rules)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Any:
    """Compares a text with the file of that name."""

    def compare(name: str, text: str) -> None:
        path = HERE / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text + "\n")
        assert path.read_text() == text + "\n"

    return compare


def test_equal_changes_fit_on_a_screen(golden: Any) -> None:
    text = render.plan_text(equal())
    assert len(text.split("\n")) <= 15
    golden("equal.txt", text)
    golden("equal-summary.txt", render.plan_text(equal(), detail=Detail.SUMMARY))


def test_a_mixed_plan_shows_what_is_unusual_first(golden: Any) -> None:
    golden("mixed.txt", render.plan_text(mixed()))
    golden("mixed-summary.txt", render.plan_text(mixed(), detail=Detail.SUMMARY))
    requests = render.plan_text(mixed(), detail=Detail.GROUPED, show_requests=True)
    golden("mixed-requests.txt", requests)
    golden("mixed-end.txt", render.summary_text(mixed()))


def test_long_lists_are_folded(golden: Any) -> None:
    golden("lists.txt", render.plan_text(lists()))
    golden("lists-end.txt", render.summary_text(lists()))


@pytest.mark.parametrize("plan", [mixed(), lists()], ids=["mixed", "lists"])
def test_full_detail_names_every_monitor(plan: Plan) -> None:
    text = render.plan_text(plan, detail=Detail.FULL)
    for item in (*plan.changes, *plan.refusals, *plan.bindings, *plan.notes, *plan.coverage.losses):
        assert f"{item.address} " in text


@pytest.mark.parametrize("detail", Detail)
def test_colour_only_repeats_the_words(detail: Detail) -> None:
    coloured = render.plan_text(mixed(), colour=True, detail=detail)
    assert "\x1b[31m" in coloured
    for code in ("0", "1", "31", "32", "33", "35", "36"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == render.plan_text(mixed(), detail=detail)


def test_old_and_new_values_have_colours() -> None:
    text = render.plan_text(equal(), colour=True)
    assert "timeout: \x1b[31m30\x1b[0m → \x1b[32m33\x1b[0m" in text


def test_short_lists_are_not_folded() -> None:
    plan = lists()
    few = plan._replace(changes=(), bindings=plan.bindings[:20], notes=plan.notes[:20])
    text = render.plan_text(few)
    for item in (*few.bindings, *few.notes):
        assert f"{item.address} " in text


def test_a_long_result_puts_failures_last(golden: Any) -> None:
    changes = mixed().changes
    status = [Status.FAILED, Status.DONE, Status.DONE, Status.NOT_KEPT, Status.DONE, Status.MOVED]
    status += [Status.UNCONFIRMED, *[Status.DONE] * 30]
    waiting = [Status.NOT_STARTED] * (len(changes) - len(status))
    messages = {
        Status.FAILED: "AlertSite refused PATCH /monitors: port must be a number",
        Status.UNCONFIRMED: "no response in time",
        Status.NOT_STARTED: "the run was interrupted",
        Status.MOVED: "timeout changed in AlertSite since the plan was made",
    }
    outcomes = [
        Outcome(
            change,
            which,
            messages.get(which, ""),
            not_kept=change.fields if which is Status.NOT_KEPT else (),
            moved=change.fields if which is Status.MOVED else (),
        )
        for change, which in zip(changes, status + waiting, strict=True)
    ]
    text = render.result_text(Result(ACCOUNT, tuple(outcomes), interrupted=True))
    golden("result.txt", text)
