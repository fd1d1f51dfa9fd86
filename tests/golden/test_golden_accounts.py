"""What is printed of several accounts, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import render
from reconciler.core.report import Tally
from reconciler.core.rollup import PartResult, RollUp
from reconciler.render.rollups import rollup_markdown, rollup_sections, rollup_text

from documents import check

if TYPE_CHECKING:
    import pytest

FOLDER = Path(__file__).parent / "accounts"
CHANGES = {"create": 1, "update": 12, "delete": 0}
NONE = dict.fromkeys(CHANGES, 0)
HOSTILE = "no | `answer` <b>\x1b[31m\n::error::x"


def applied() -> RollUp:
    digest = f"sha256:{'0' * 64}"
    parts = (
        PartResult(
            "acme-prod", "apply", 0, seconds=12.3, changes=CHANGES, plan=digest, text="Done.\n"
        ),
        PartResult("acme-test", "apply", 0, seconds=0.42, changes=NONE, plan=digest),
        PartResult("beta", "apply", 6, HOSTILE, 75.0, part="results/beta.apply.json"),
        PartResult("delta", "apply", 7, seconds=3.0, changes=CHANGES, text="1 failed.\n"),
        PartResult("gamma", "apply", None, "an account of wave 1 is not done"),
        PartResult("kappa", "apply", 5, "the plan differs from the approved one", 1.0),
    )
    return RollUp("apply", parts)


def planned() -> RollUp:
    parts = (
        PartResult("acme", "plan", 0, seconds=0.3, changes=CHANGES, text="Plan: …\n"),
        PartResult("beta", "plan", 6, "AlertSite is not available", 9.0),
        PartResult("gamma", "plan", 2, seconds=0.2, changes=CHANGES),
    )
    return RollUp("plan", parts)


def losing(limit: int | None = 30) -> RollUp:
    """By which monitoring is lost: in `gamma` too much, in `sigma` more than anything allows."""
    parts = (
        PartResult("acme", "plan", 0, seconds=0.3, changes=CHANGES, text="Plan: …\n"),
        PartResult(
            *("beta", "plan", 0), changes=CHANGES, losses=2, lost=2, managed=20, limit=6
        )._replace(text="Coverage: 2 monitors lose monitoring (2 disabled); budget 6\n"),
        PartResult(
            *("gamma", "plan", 0), changes=CHANGES, losses=92, lost=94, managed=172, limit=10
        )._replace(text="Coverage: …; over the budget of 10\n"),
        PartResult(
            *("sigma", "plan", 0), changes=CHANGES, losses=7, lost=7, managed=9, limit=2, ceiling=3
        ),
    )
    return RollUp("plan", parts, limit=limit)


def listed() -> RollUp:
    parts = (
        PartResult("acme", "list", 0, seconds=0.1, text='{"monitors": []}', is_json=True),
        PartResult("beta", "list", 4, "AlertSite rejects the login", 0.2),
    )
    return RollUp("list", parts)


def looked() -> RollUp:
    """The status of each."""
    counts = {"managed": 1100, "unmanaged": 60, "orphaned": 40, "missing": 1}
    none = dict.fromkeys(counts, 0)
    watching = {"disabled": 2, "silenced": 0}
    parts = (
        PartResult("acme", "status", 0, seconds=0.1, changes=CHANGES, text="…\n")._replace(
            tally=counts | {"drifted": 3} | watching, note="2 refused; locked by ci for apply"
        ),
        PartResult("beta", "status", 4, "AlertSite rejects the login", 0.2),
        PartResult("gamma", "status", 0, seconds=0.1, changes=NONE, tally=none | watching),
    )
    return RollUp("status", parts)


def reported() -> RollUp:
    tally = Tally(1200, 1100, 60, 40, 5, 3, 12, 30, 345_600.0, 172_800.5)
    parts = (
        PartResult("acme", "report", 0, seconds=0.1, tally=tally._asdict(), text="…\n"),
        PartResult("beta", "report", 4, "AlertSite rejects the login", 0.2),
        PartResult("gamma", "report", 0, seconds=0.1, tally=Tally(7, 7)._asdict()),
    )
    return RollUp("report", parts)


def printed() -> dict[str, str]:
    return {
        "apply.txt": rollup_text(applied()),
        "apply-in-colour.txt": rollup_text(applied(), colour=True),
        "apply.json": render.as_json(applied().to_json()),
        "apply.md": rollup_markdown(applied()),
        "apply-cut.md": rollup_markdown(applied(), limit=600),
        "apply-sections.txt": rollup_sections(applied()),
        "plan.txt": rollup_text(planned()),
        "plan.md": rollup_markdown(planned()),
        "plan.json": render.as_json(planned().to_json()),
        "losing.txt": rollup_text(losing()),
        "losing-in-colour.txt": rollup_text(losing(1), colour=True),
        "losing.md": rollup_markdown(losing()),
        "losing.json": render.as_json(losing().to_json()),
        "report.txt": rollup_text(reported()),
        "report.md": rollup_markdown(reported()),
        "report.json": render.as_json(reported().to_json()),
        "status.txt": rollup_text(looked()),
        "list.txt": rollup_text(listed()),
        "list.json": render.as_json(listed().to_json()),
    }


def test_golden(request: pytest.FixtureRequest) -> None:
    found = {name: text + "\n" for name, text in printed().items()}
    if request.config.getoption("--update-golden"):
        for name, text in found.items():
            (FOLDER / name).write_text(text)
    assert found == {path.name: path.read_text() for path in FOLDER.iterdir()}


def test_the_json_fits_its_schema() -> None:
    for rollup in (applied(), planned(), losing(), listed(), reported(), looked()):
        check(rollup.to_json(), "rollup")
