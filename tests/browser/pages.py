"""The pages that browsers are shown: of each kind one that a team may have, and one that is bad."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from reconciler.context import seconds_since
from reconciler.core.drift import find_drift
from reconciler.core.generation import Generation
from reconciler.core.model import Lifecycle
from reconciler.core.options import PlanOptions
from reconciler.core.plan import Refusal
from reconciler.core.planner import decide
from reconciler.core.report import fleet_report
from reconciler.core.result import Outcome, Result, Status
from reconciler.core.state import State
from reconciler.core.watch import Round, Seen, Shown
from reconciler.render.html import drift_html, plan_html, report_html, result_html
from reconciler.render.html.watches import watch_html
from reconciler.render.view import Made, View

from build import ACCOUNT, ORIGIN, SCHEMAS, desired, live, record

if TYPE_CHECKING:
    from reconciler.core.model import Desired, Live
    from reconciler.core.plan import Plan
    from reconciler.core.state import Record

MADE = Made(
    "c0ffee1234ab",
    "20260102T030405Z-1a2b3c4d",
    "2026-01-02T03:04:05Z",
    "1.0.0",
    "reconciler apply plan.json",
    "reconciler apply",
)
VIEW = View(made=MADE)
HOSTILE = (
    "</style></script><script>alert(1)</script><img src=x onerror=alert(2)>"
    "<a href='javascript:alert(3)'>x</a><details open ontoggle=alert(4)>\"' &lt;b&gt; \u202e"
)
TAMPA = {"id": 18, "name": "Tampa (FL)", "region": 1}
BOSTON = {"id": 72, "name": "Boston (MA)", "region": 1}
LONDON = {"id": 5010, "name": "London", "region": 2}
SYDNEY = {"id": 7010, "name": "Sydney", "region": 2}
TEAMS = ("mail-core", "support", "marketing", "emea")


def ids(*places: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": place["id"]} for place in places]


def monitor(number: int, **fields: Any) -> Live:
    given = {
        "name": f"Relay {number}",
        "interval": 5,
        "timeout": 30,
        "port": 587,
        "enabled": True,
        "note": "",
        "locations": [TAMPA, LONDON] if number % 3 else [TAMPA, BOSTON, SYDNEY],
    }
    return live(given | fields, id=number)


def manifest(number: int, **fields: Any) -> Desired:
    labels = {"team": TEAMS[number % 4], "tier": "critical" if number % 5 else "standard"}
    found = desired(fields, name=f"relay-{number:04}", id=number, labels=labels)
    path = f"monitors/{TEAMS[number % 4]}/relays.yaml"
    return found._replace(origin=ORIGIN._replace(path=path, line=number))


def plan() -> Plan:
    """Of each sort of change some, and many that are alike."""
    manifests = [manifest(number, timeout=33) for number in range(1, 41)]
    manifests += [
        manifest(41, locations=ids(TAMPA, SYDNEY), port=25),
        manifest(42, timeout=45, note="The relay pair tolerates the loss of one member."),
        manifest(43, interval=10),
        manifest(44, interval=5),
    ]
    manifests.append(
        desired(
            {"name": "New relay", "hostname": "mx.example.com", "locations": ids(TAMPA)},
            name="relay-new",
            id=None,
            labels={"team": "support"},
        )
    )
    monitors = [monitor(number) for number in range(1, 45)]
    monitors += [monitor(50), monitor(51), monitor(60)]
    records = {
        "email-smtp/relay-0042": record({"timeout": 45}, id=42),
        "email-smtp/relay-old": record(id=50),
        "email-smtp/relay-kept": record(id=51),
    }
    rules = PlanOptions(prune=True, keep=("email-smtp/relay-kept",))
    return decide(ACCOUNT, manifests, records, monitors, SCHEMAS.kinds, rules)


def refused() -> Plan:
    found = plan()
    refusal = Refusal(
        "email-smtp/relay-twin",
        "ambiguous",
        "two monitors of AlertSite have its kind and name: 70 and 71",
        "Name one of them with metadata.id.",
        ORIGIN,
    )
    return found._replace(refusals=(refusal,))


def large(count: int) -> Plan:
    """Changes of which no two are alike."""
    numbers = range(1, count + 1)
    manifests = [manifest(number, note=f"Note {number}", timeout=31) for number in numbers]
    return decide(ACCOUNT, manifests, {}, map(monitor, numbers), SCHEMAS.kinds)


def result() -> Result:
    outcomes = [Outcome(change, Status.DONE) for change in plan().changes]
    message = "AlertSite answered 400: invalid_request - The interval is not allowed."
    outcomes[0] = outcomes[0]._replace(status=Status.FAILED, message=message)
    field = outcomes[1].change.fields[0]
    outcomes[1] = outcomes[1]._replace(
        status=Status.NOT_KEPT,
        message="AlertSite accepted the request but has another value",
        not_kept=(field,),
    )
    return Result(ACCOUNT, tuple(outcomes), run=MADE.run, generation=Generation("c0ffee1234ab"))


def records_of(count: int) -> dict[str, Record]:
    return {
        f"email-smtp/relay-{number:04}": record(
            {"timeout": 30}, id=number, run=f"2026010{1 + number % 3}T030405Z-0000000{number % 3}"
        )._replace(applied_at=f"2025-{12 - number % 4:02}-0{1 + number % 3}T03:04:05Z")
        for number in range(1, count + 1)
    }


def fleet(count: int = 30, text: str = "") -> str:
    manifests = [
        manifest(number)._replace(lifecycle=Lifecycle(protect=number % 7 == 0))
        for number in range(1, count + 1)
    ]
    manifests.append(desired(name="relay-lost", id=None))
    if text:
        manifests[0] = manifests[0]._replace(labels={text: text})
    monitors = [
        monitor(number, enabled=bool(number % 11), timeout=30 if number % 9 else 60)
        for number in range(1, count + 10)
    ]
    if text:
        place = {"id": 1, "name": text, "region": text}
        monitors += [monitor(10**6, name=text, locations=[place])]
    records = records_of(count) | {"email-smtp/relay-orphan": record(id=count + 3)}
    state = State("lineage", ACCOUNT, 7, "2026-01-01T00:00:00Z", records=records)
    now = datetime.fromisoformat(MADE.read_at)
    report = fleet_report(
        ACCOUNT,
        manifests,
        state,
        monitors,
        SCHEMAS.kinds,
        MADE.read_at,
        lambda moment: seconds_since(moment, now),
    )
    return report_html(report, VIEW)


def drift() -> str:
    monitors = [monitor(number, timeout=30 if number % 2 else 60) for number in range(1, 12)]
    return drift_html(find_drift(ACCOUNT, records_of(12), monitors, SCHEMAS.kinds), VIEW)


def watched(text: str = "") -> str:
    """What a watcher shows first: accounts that are fine, differ, failed, and were never seen.

    Args:
        text: what is told from outside; that of a team if it is empty.
    """
    at = MADE.read_at
    seen = (
        Seen("acme", at, unchanged=1234),
        Seen("globex-prod", at, 2, drifted=12, edits=3, held=12, refused=1, unchanged=310),
        Seen("initech", at, 6, text or "AlertSite is not available", is_seen=False),
        Seen("umbrella", at, 5, text or "the budget of the account is 10", edits=40, unchanged=2),
    )
    problem = text or "cannot fetch origin: the host is not known"
    last = Round(at, text or MADE.commit, problem, seen)
    pages = {item.account: b"" for item in seen if item.is_seen}
    return watch_html(Shown(is_leading=True, last=last, pages=pages), MADE.version)


def hostile() -> str:
    """A plan in which every text is an attack."""
    text = HOSTILE
    one = desired({"note": text, f"x{text}": {text: [text]}}, labels={text: text})
    one = one._replace(name=text, origin=ORIGIN._replace(path=text))
    place = {"id": 18, "name": text}
    has = live({"note": f"{text}!", f"x{text}": {text: text}, "locations": [place]})
    found = decide(ACCOUNT._replace(name=text, url=text), [one], {}, [has], SCHEMAS.kinds)
    refusal = Refusal(text, text, text, text, ORIGIN._replace(path=text))
    return plan_html(found._replace(refusals=(refusal,)), View(made=Made(*[text] * 6)))


def pages() -> dict[str, str]:
    """Every kind of page, by name."""
    return {
        "plan": plan_html(plan(), VIEW),
        "refused": plan_html(refused(), VIEW),
        "empty": plan_html(plan()._replace(changes=(), notes=()), VIEW),
        "result": result_html(result(), VIEW),
        "drift": drift(),
        "fleet": fleet(),
        "watch": watched(),
        "waiting": watch_html(Shown(), MADE.version),
    }
