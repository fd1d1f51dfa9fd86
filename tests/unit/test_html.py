"""What pages say, read without style and script."""

import re
from pathlib import Path

import pytest

from reconciler.core.diff import Cause, FieldChange
from reconciler.core.drift import Drift, Drifted
from reconciler.core.generation import Generation
from reconciler.core.names import Name
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
    Refusal,
)
from reconciler.core.result import Outcome, Result, Status
from reconciler.render import html
from reconciler.render.html import drift_html, plan_html, result_html
from reconciler.render.html.page import filters
from reconciler.render.html.rows import command
from reconciler.render.view import Made, View

from build import ACCOUNT, ORIGIN
from markup import Page, hash_of

MADE = Made(
    "c0ffee",
    "run-1",
    "2026-01-02T03:04:05Z",
    "1.0",
    "reconciler apply plan.json",
    "reconciler apply",
)
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;{{ 7*7 }}{% x %}\u202e"


def change(
    name: str = "relay",
    *fields: FieldChange,
    action: Action = Action.UPDATE,
    id: int | None = 1,
    **labels: str,
) -> Change:
    body = {field.field: field.after for field in fields}
    kind = "email-smtp"
    return Change(action, f"{kind}/{name}", kind, id, body, fields, ORIGIN, labels=labels)


PORT = FieldChange("port", 25, 587)
TIMEOUT = FieldChange("timeout", 30, 33)


def page(plan: Plan, made: Made = MADE) -> Page:
    return Page(plan_html(plan, View(made=made)))


def test_a_plan_says_verdict_numbers_and_where_it_comes_from() -> None:
    plan = Plan(ACCOUNT, (change("relay", PORT),), unchanged=17, unmanaged=2)
    found = page(plan)
    assert found.text.count("1 change is ready to apply") == 2  # the title too
    assert "to add 0 to change 1 to destroy 0 unchanged 17" in found.text
    assert "2 email monitors without a manifest: never touched." in found.text
    for text in ("c0ffee", "run-1", "2026-01-02T03:04:05Z", plan.digest, str(ACCOUNT)):
        assert text in found.text


def test_what_is_not_known_is_left_out() -> None:
    text = page(Plan(ACCOUNT), Made()).text
    assert "Commit" not in text
    assert "Run" not in text
    assert "Apply" not in text
    assert "No changes" in text


def test_a_change_has_a_link_a_command_and_before_and_after() -> None:
    found = page(Plan(ACCOUNT, (change("relay", PORT),)))
    (row,) = found.all("details", "row")
    assert row.get("id") == "email-smtp/relay"
    assert "#email-smtp/relay" in {link.get("href") for link in found.all("a")}
    assert "25 → 587" in found.text
    assert "reconciler apply --target email-smtp/relay" in found.text
    assert "reconciler apply plan.json" in found.text


def test_what_retires_is_applied_with_prune() -> None:
    plan = Plan(ACCOUNT, (change("old", action=Action.DELETE),))
    assert "reconciler apply --prune --target email-smtp/old" in page(plan).text


def test_a_set_is_shown_as_what_comes_and_goes_by_name() -> None:
    was, will = [{"id": 10}, {"id": 20}], [{"id": 20}, {"id": 30}]
    field = FieldChange("locations", was, will, set_key="id")
    names = (Name("locations", "id", 10, "Tampa"), Name("locations", "id", 30, "Boston"))
    text = page(Plan(ACCOUNT, (change("relay", field),), names=names)).text
    assert "- Tampa (10)" in text
    assert "+ Boston (30)" in text
    assert "20" not in text.split("locations")[2].split("Link")[0]


def test_a_set_that_is_sent_though_it_is_as_wanted_is_shown_by_name() -> None:
    places, names = [{"id": 10}], (Name("locations", "id", 10, "Tampa"),)
    field = FieldChange("locations", places, places, set_key="id")
    again = field._replace(cause=Cause.UNSETTLED, applied=[{"id": 20}])
    text = page(Plan(ACCOUNT, (change("relay", again),), names=names)).text
    assert "locations Tampa (10) sent again" in text
    along = field._replace(sent_with="home_location")
    text = page(Plan(ACCOUNT, (change("relay", along),), names=names)).text
    assert "locations Tampa (10) (unchanged, sent with home_location)" in text


def test_secrets_are_only_named() -> None:
    field = FieldChange("password", None, {"secretRef": {"env": "PW"}}, source="env:PW")
    assert "changed (source env:PW)" in page(Plan(ACCOUNT, (change("relay", field),))).text


def test_many_equal_changes_are_one_fold_with_a_link_for_each() -> None:
    changes = tuple(change(f"relay-{i:03}", TIMEOUT, id=i, team=f"t{i % 2}") for i in range(461))
    found = page(Plan(ACCOUNT, changes))
    assert len(found.all("details", "group")) == 1
    assert found.text.count("30 → 33") == 2  # the line of the fold and its table
    assert len(found.all("li", "row")) == 461
    assert "461 monitors" in found.text


def test_what_is_unusual_is_first_and_open() -> None:
    drifted = TIMEOUT._replace(cause=Cause.DRIFT)
    changes = [change(f"relay-{i:03}", TIMEOUT, id=i) for i in range(30)]
    changes.append(change("zebra", drifted, id=99))
    found = page(Plan(ACCOUNT, tuple(changes)))
    first = found.all("details")[0]
    assert first.get("id") == "email-smtp/zebra"
    assert ("open", "") in first.attributes
    assert "drift: changed in AlertSite" in found.text


def test_many_that_are_unusual_alike_are_one_fold_that_says_what_they_lose() -> None:
    slower = FieldChange("interval", 5, 10)
    changes = tuple(change(f"relay-{i:04}", slower, id=i) for i in range(5000))
    losses = tuple(
        Loss(item.address, item.id or 0, ("thinned",), {"interval": "thinned"}) for item in changes
    )
    found = page(Plan(ACCOUNT, changes, coverage=Coverage(5000, losses)))
    (fold,) = found.all("details", "group")
    assert "Review these first" in found.text
    assert "loses: thinned" in found.text
    assert len(found.all("li", "row")) == 5000
    assert not found.all("details", "row")
    assert fold


def test_many_deletes_are_one_fold() -> None:
    gone = tuple(change(f"relay-{i}", action=Action.DELETE, id=i) for i in range(25))
    found = page(Plan(ACCOUNT, gone))
    assert len(found.all("details", "group")) == 1
    assert "its manifest is gone" in found.text
    assert len(found.all("li", "row")) == 25


def test_filters_have_counts_and_only_those_that_tell_rows_apart() -> None:
    changes = (
        change("a", TIMEOUT._replace(cause=Cause.DRIFT), team="x"),
        change("b", TIMEOUT, id=2, team="x"),
        change("c", PORT, id=None, action=Action.CREATE, team="y"),
    )
    found = page(Plan(ACCOUNT, changes))
    assert "Action All update 2 create 1" in found.text
    assert "Cause All edit 2 drift 1" in found.text
    assert "Label All team=x 2 team=y 1" in found.text
    assert "Account All" not in found.text
    tokens = {chip.get("value") for chip in found.all("input") if chip.get("value")}
    rows = [set(row.get("class").split()) for row in found.all("details", "row")]
    assert all(tokens & row for row in rows)
    for token in tokens:
        assert f".filters:has(#{token}:checked) ~ * .row:not(.{token})" in found.style


def test_only_the_most_frequent_options_are_shown() -> None:
    rows: list[dict[str, list[str]]] = [{"Label": [f"n={i}", "same"]} for i in range(20)]
    (found,) = filters(rows).filters
    assert found.options[0].label == "same"
    assert len(found.options) == 12
    assert found.left_out == 9


def test_losses_stand_on_top_with_the_budget() -> None:
    losses = (Loss("email-smtp/relay", 1, ("retargeted",), {"port": "retargeted"}),)
    coverage = Coverage(1, losses, Measurements(10, 5), allowance=BudgetLimits(0))
    found = page(Plan(ACCOUNT, (change("relay", PORT),), coverage=coverage))
    assert "This plan loses more monitoring than the budget allows" in found.text
    assert "1 monitor loses monitoring" in found.text
    assert "The budget allows 0, so apply refuses it without --allow-loss 1." in found.text
    assert "retargeted (port)" in found.text
    assert "10 → 5 measurements per day (-5)" in found.text


def test_a_loss_that_no_row_shows_is_named_at_the_top() -> None:
    released = tuple(
        Loss(f"email-smtp/r{number:02}", number, ("released",), {"port": "released"})
        for number in range(30)
    )
    changed = tuple(
        Loss(f"email-smtp/c{number:02}", 100 + number, ("disabled",)) for number in range(30)
    )
    coverage = Coverage(60, (*changed, *released))
    changes = tuple(change(f"c{number:02}", PORT, id=100 + number) for number in range(30))
    plan = page(Plan(ACCOUNT, changes, coverage=coverage))
    assert all(loss.address in plan.text for loss in released)
    assert "and 10 more, each marked below" in plan.text
    done = Page(result_html(Result(ACCOUNT, (), losses=released), View()))
    assert all(loss.address in done.text for loss in released)


def test_refusals_bindings_and_notes_are_said() -> None:
    plan = Plan(
        ACCOUNT,
        refusals=(Refusal("email-smtp/b", "ambiguous", "two are alike", "Name its id.", ORIGIN),),
        bindings=(Binding("email-smtp/c", BindingAction.ADOPT, 7),),
        notes=(Note("email-smtp/d", NoteCode.ORPHAN, 8),),
    )
    text = page(plan).text
    assert "1 manifest is refused" in text
    assert "two are alike" in text
    assert "Name its id." in text
    assert "= email-smtp/c (id 7) adopted" in text
    assert ". email-smtp/d (id 8) orphan" in text
    assert "Apply all of it" not in text


def result() -> Result:
    failed = Outcome(change("a", PORT), Status.FAILED, "AlertSite said no")
    kept = Outcome(change("b", PORT, id=2), Status.NOT_KEPT, "it moved", not_kept=(PORT,))
    done = Outcome(change("c", action=Action.DELETE, id=3), Status.DONE)
    return Result(ACCOUNT, (failed, kept, done), run="run-9", generation=Generation("c0ffee"))


def test_a_result_shows_what_is_not_done_first() -> None:
    found = Page(result_html(result(), View(made=MADE)))
    assert "2 of 3 changes are not done" in found.text
    assert "added 0 changed 0 destroyed 1 not done 2" in found.text
    assert "AlertSite said no" in found.text
    assert "sent 587, AlertSite has 25" in found.text
    assert "run-9" in found.text
    opened = [("open", "") in row.attributes for row in found.all("details", "row")]
    assert opened == [True, True, False]


def test_a_result_that_nobody_remembers_says_so() -> None:
    text = Page(result_html(result()._replace(is_recorded=False), View())).text
    assert "The state could not be saved" in text


def test_drift_shows_what_was_applied_and_what_is_live() -> None:
    monitors = (
        Drifted("email-smtp/a", 1, "2026-01-01T00:00:00Z", "run-1", (PORT,)),
        Drifted("email-smtp/b", 2, "2026-01-01T00:00:00Z", "run-1", ()),
    )
    text = Page(drift_html(Drift(ACCOUNT, monitors, 3), View(made=MADE))).text
    assert "2 monitors are not as last applied" in text
    assert "25 → 587" in text
    assert "Deleted in AlertSite." in text
    assert "No drift" in Page(drift_html(Drift(ACCOUNT, (), 3), View())).text


def test_a_page_allows_its_own_style_and_script_and_nothing_else() -> None:
    found = page(Plan(ACCOUNT, (change("relay", PORT),)))
    policy = next(item.get("content") for item in found.all("meta") if item.get("http-equiv"))
    assert policy == (
        f"default-src 'none'; img-src data:; style-src {hash_of(found.style)}; "
        f"script-src {hash_of(found.script)}; base-uri 'none'; form-action 'none'"
    )
    assert len(found.all("style")) == len(found.all("script")) == 1
    assert len(found.script.encode()) <= 3 * 1024
    for element in found.elements:
        for name, value in element.attributes:
            assert not name.startswith("on")
            assert name not in {"style", "src", "srcset", "action"}
            assert name != "href" or value.startswith("#") or value == "data:,"


def test_hostile_text_stays_text() -> None:
    field = FieldChange(HOSTILE, HOSTILE, [HOSTILE], cause=Cause.BOTH, applied=HOSTILE)
    plain = FieldChange("note", "a", ["b"], cause=Cause.BOTH, applied="c")

    def whole(text: str, item: FieldChange) -> Page:
        one = change(text, item, **{text: text})._replace(origin=ORIGIN._replace(path=text))
        refusal = Refusal(text, text, text, text, ORIGIN)
        losses = (Loss(one.address, 1, (text,), {text: text}, {text: text}),)
        plan = Plan(
            ACCOUNT._replace(name=text, url=text),
            (one,),
            (Binding(text, BindingAction.MOVE, 1, text),),
            (refusal,),
            (Note(text, NoteCode.RELEASED, 1, text),),
            coverage=Coverage(1, losses),
        )
        return Page(plan_html(plan, View(made=Made(*[text] * len(Made._fields)))))

    found, expected = whole(HOSTILE, field), whole("x", plain)
    assert [item.tag for item in found.elements] == [item.tag for item in expected.elements]
    assert [[name for name, _ in item.attributes] for item in found.elements] == [
        [name for name, _ in item.attributes] for item in expected.elements
    ]
    assert (found.style, found.script) == (expected.style, expected.script)
    assert "<script>alert(1)</script>" in found.text
    assert "{{ 7*7 }}{% x %}" in found.text
    assert "\u202e" not in found.text


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("email-smtp/relay", "x --target email-smtp/relay"),
        ("email-smtp/it's $(x)", "x --target 'email-smtp/it'\"'\"'s $(x)'"),
        ("email-smtp/a[1]*", "x --target 'email-smtp/a[[]1][*]'"),
    ],
)
def test_a_command_names_one_address_and_nothing_else(address: str, expected: str) -> None:
    assert command("x", address) == expected
    assert command("", address) == ""


def test_templates_trust_style_and_script_alone() -> None:
    folder = Path(html.__file__).parent / "templates"
    trusted = [
        found
        for path in folder.glob("*.html")
        for found in re.findall(r"(\w+)\s*\|\s*safe", path.read_text())
    ]
    assert sorted(trusted) == ["script", "style"]
