"""Why a monitor and its fields are as they are: what is said of each situation."""

import json
import re
from typing import Any

import pytest

from reconciler.core.inventory import Inventory
from reconciler.core.mask import HIDDEN
from reconciler.core.model import Desired, Ignored, Lifecycle, Live
from reconciler.core.options import PlanOptions
from reconciler.core.planner import decide
from reconciler.core.state import Record
from reconciler.core.why import ID, AddressFacts, Next, Tracking, Why, explain_why, fields_of
from reconciler.render import why_text

from build import ACCOUNT, ORIGIN, SCHEMAS, desired, live, record
from documents import check

ADDRESS = "email-smtp/relay"
REF = {"secretRef": {"env": "PASSWORD"}}
LOCATIONS = [{"id": 20}, {"id": 10}]


def ask(
    *names: str,
    manifest: Desired | None = None,
    known: Record | None = None,
    has: Live | None = None,
    others: list[Desired] | None = None,
    rules: PlanOptions | None = None,
    former: str | None = None,
    is_offline: bool = False,
) -> Why:
    """What is said of these fields, or of all that are managed."""
    monitors = [has] if has else []
    records = {former or ADDRESS: known} if known else {}
    manifests = [*([manifest] if manifest else []), *(others or [])]
    rules = rules or PlanOptions()
    plan = decide(ACCOUNT, manifests, records, monitors, SCHEMAS.kinds, rules)
    places = {}
    if manifest:
        wanted = {**manifest.fields, **manifest.secrets}
        places = {name: f"{ORIGIN.path}:{n}:3" for n, name in enumerate(wanted, start=7)}
        places |= {ID: f"{ORIGIN.path}:4:3"} if manifest.id else {}
    subject = AddressFacts(
        address=ADDRESS,
        kind=SCHEMAS.kinds["email-smtp"],
        desired=manifest,
        record=Inventory(manifests, records, monitors).records.get(ADDRESS),
        live=has,
        plan=plan,
        places=places,
        former=former,
        tracks=rules.fingerprint is not None,
        is_offline=is_offline,
    )
    if is_offline:
        subject = subject._replace(live=None)
    found = explain_why(subject, names or fields_of(subject)[0])
    check(json.loads(json.dumps(found.to_json())), "why")
    return found


def text(why: Why, *, only: bool = True, age: str = "3 d ago") -> str:
    return why_text(why, only=only, age=age)


# What the manifest wants, what was applied, what AlertSite has; what is said of it.
CAUSES: dict[str, tuple[Any, Any, Any, str]] = {
    "fits": (587, {"port": 587}, "587", "unchanged: AlertSite already matches"),
    "no record": (587, None, 25, "edit, no earlier apply on record"),
    "first time": (587, {}, 25, "edit, new in the manifest"),
    "edited": (587, {"port": 25}, 25, "edit, changed in the manifest since the last apply"),
    "drifted": (587, {"port": 587}, 25, "drift, changed in AlertSite since the last apply"),
    "both": (587, {"port": 1}, 25, "both, changed here and in AlertSite since the last apply"),
}


@pytest.mark.parametrize(("wants", "applied", "has", "said"), CAUSES.values(), ids=CAUSES)
def test_the_cause_of_an_update(
    wants: int, applied: dict[str, Any] | None, has: Any, said: str
) -> None:
    known = None if applied is None else record(applied)
    why = ask("port", manifest=desired({"port": wants}), known=known, has=live({"port": has}))
    assert text(why).endswith(said)
    if "unchanged" not in said:
        assert f"next       change {has} → {wants}: " in text(why)


def test_a_field_alone_answers_every_question() -> None:
    manifest = desired({"port": 587})._replace(inherited={"port": ORIGIN})
    why = ask("port", manifest=manifest, known=record({"port": 25}), has=live({"port": 25}))
    assert text(why).splitlines() == [
        "email-smtp/relay.port",
        "  value      587",
        "  from       monitors/a.yaml:7:3 (default)",
        "  applied    25, 2026-01-02T03:04:05Z (3 d ago) by run run-1",
        "  live       25",
        "  next       change 25 → 587: edit, changed in the manifest since the last apply",
    ]


def test_a_monitor_has_a_line_for_each_field() -> None:
    fields = {"name": "Relay", "port": 587, "locations": LOCATIONS, "home_location": 10}
    ignore = Ignored("name", "a test", "2026-12-31")
    manifest = desired(fields)._replace(
        lifecycle=Lifecycle(ignore=(ignore,)), inherited={"port": ORIGIN}
    )
    has = live({"name": "x", "port": 25, "locations": [{"id": 10}], "home_location": 10})
    why = ask(manifest=manifest, known=record({"port": 587, "note": "x"}), has=has)
    default = "monitors/a.yaml:8:3 (default)"
    assert text(why, only=False).splitlines() == [
        "email-smtp/relay",
        "  manifest   monitors/a.yaml:1",
        "  monitor    id 1, bound by metadata.id (monitors/a.yaml:4:3) and the state",
        "  applied    2026-01-02T03:04:05Z (3 d ago) by run run-1",
        "  lifecycle  without its manifest, --prune deletes it; name ignored until 2026-12-31",
        "  next       change locations, port",
        "",
        "  home_location  10                        sent with locations              line 10",
        '  locations      [{"id": 20}, {"id": 10}]  change from [{"id": 10}] (edit)  line 9',
        '  name           "Relay"                   ignored until 2026-12-31         line 7',
        '  note           was "x"                   released',
        f"  port           587                       change from 25 (drift){' ' * 11}{default}",
    ]


def test_long_values_are_cut_in_the_list_only() -> None:
    manifest = desired({"note": "x" * 99})
    assert f'"{"x" * 38}…' in text(ask(manifest=manifest, has=live()), only=False)
    assert "x" * 99 in text(ask("note", manifest=manifest, has=live()))


def test_a_field_that_goes_with_another() -> None:
    manifest = desired({"locations": LOCATIONS, "home_location": 10})
    why = ask("home_location", manifest=manifest, has=live({"home_location": 10}))
    assert text(why).endswith("next       unchanged, sent with locations")


def test_a_field_that_goes_with_another_and_is_not_in_the_manifest() -> None:
    has = live({"home_location": "10"})
    manifest = desired({"locations": LOCATIONS})
    (field,) = ask("home_location", manifest=manifest, has=has).fields
    assert (field.next, field.sent_with, field.live) == (Next.SENT_WITH, "locations", 10)
    assert text(ask("home_location", manifest=manifest, has=has)).endswith(
        "next       unchanged, sent with locations"
    )


@pytest.mark.parametrize("has", [25, 587])
def test_an_ignored_field(has: int) -> None:
    ignore = Ignored("port", "a migration", "2026-12-31")
    manifest = desired({"port": 587})._replace(lifecycle=Lifecycle(ignore=(ignore,)))
    why = ask("port", manifest=manifest, has=live({"port": has}))
    assert f"live       {has}\n" in text(why)
    assert text(why).endswith("next       not compared until 2026-12-31: a migration")


class TestNotInTheManifest:
    def test_one_that_was_applied_once_is_released(self) -> None:
        why = ask("note", manifest=desired({"port": 1}), known=record({"note": "x"}), has=live())
        assert why.fields[0].next is Next.RELEASED
        assert 'value      none\n  applied    "x", 2026-01-02' in text(why)

    def test_another_is_not_managed_and_shows_what_is_live(self) -> None:
        has = live({"locations": [{"id": "10", "name": "Fort Lauderdale"}]})
        why = ask("locations", manifest=desired({"port": 1}), has=has)
        assert why.fields[0].next is Next.NOT_MANAGED
        assert 'live       [{"id": 10}]\n' in text(why)
        assert "not managed: the manifest does not set it" in text(why)

    def test_what_looks_like_a_secret_is_hidden_at_any_depth(self) -> None:
        has = live({"password": "s3cret", "login": [{"user": "u", "token": "s3cret"}]})
        why = ask("password", "login", manifest=desired({"port": 1}), has=has)
        assert [field.live for field in why.fields] == [[{"user": HIDDEN, "token": HIDDEN}], HIDDEN]
        assert "live       (hidden)" in text(ask("password", manifest=desired(), has=has))
        assert "s3cret" not in repr(why.fields) + json.dumps(why.to_json()) + text(why, only=False)


class TestNew:
    def test_it_says_so(self) -> None:
        why = ask(manifest=desired({"name": "Relay"}, id=None))
        assert why.next is Next.CREATE
        head = text(why, only=False)
        assert "monitor    none yet: neither the manifest nor the state binds one" in head
        assert "applied    never, according to the state" in head
        assert "next       add\n" in head

    def test_one_that_was_deleted_says_that(self) -> None:
        why = ask(manifest=desired({"name": "Relay"}, id=None), known=record({"name": "Relay"}))
        assert "id 1, bound by the state; AlertSite does not list it" in text(why, only=False)
        assert "next       add (deleted-outside-git)" in text(why, only=False)
        field = text(ask("name", manifest=why.subject.desired, known=record({"name": "Relay"})))
        assert "live       none: AlertSite has no such monitor" in field
        assert field.endswith("next       sent when the monitor is created")


class TestRefused:
    def test_the_reason_and_the_next_step_are_said(self) -> None:
        why = ask(manifest=desired({"name": "Relay"}, id=5), has=live({"name": "Relay"}, id=6))
        assert (why.next, why.fields[0].next) == (Next.REFUSED, Next.REFUSED)
        for shown in (text(why), text(why, only=False)):
            assert "refused: AlertSite has no monitor with the id 5" in shown
            assert "Correct metadata.id" in shown

    def test_the_lifecycle_of_a_protected_orphan(self) -> None:
        known = record({"port": 1})._replace(protect=True)
        why = ask(known=known, has=live(), rules=PlanOptions(prune=True))
        assert why.next is Next.REFUSED
        assert "--prune refuses to retire it" in text(why, only=False)


class TestOrphan:
    def test_what_is_remembered_is_said(self) -> None:
        known = record({"port": 587, "note": "x"})._replace(retire="disable")
        why = ask(known=known, has=live({"port": 25}))
        assert text(why, only=False).splitlines() == [
            "email-smtp/relay",
            "  manifest   none",
            "  monitor    id 1, bound by the state",
            "  applied    2026-01-02T03:04:05Z (3 d ago) by run run-1",
            "  lifecycle  without its manifest, --prune disables it",
            "  next       nothing: an orphan is left as it is; apply --prune retires it",
            "",
            '  note  was "x"  orphan',
            "  port  was 587  orphan",
        ]
        field = text(ask("port", known=known, has=live({"port": 25})))
        assert "applied    587" in field
        assert "live       25" in field
        assert "orphan" in field

    def test_one_without_a_monitor_is_forgotten(self) -> None:
        why = ask("port", known=record({"port": 587}))
        assert text(why).endswith("forget the record: it has no manifest and no monitor of its own")


class TestSecrets:
    MANIFEST = desired({"name": "Relay"}, secrets={"login": REF})

    @staticmethod
    def fingerprint(number: int, field: str, value: Any) -> str:
        return f"{number} {field} {value}"

    def ask(self, sent: str | None, *, tracks: bool = True, has: Any = None) -> Why:
        rules = PlanOptions(fingerprint=self.fingerprint if tracks else None)
        known = record(secrets={} if sent is None else {"login": sent})
        monitor = live({"name": "Relay", "login": has})
        return ask("login", manifest=self.MANIFEST, known=known, has=monitor, rules=rules)

    @pytest.mark.parametrize(
        ("sent", "tracks", "tracking", "following"),
        [
            ("1 login " + str(REF), True, Tracking.SENT, "not sent"),
            ("another", True, Tracking.CHANGED, "sent again"),
            (None, True, Tracking.UNSENT, "sent"),
            (None, False, Tracking.UNSENT, "sent"),
            ("another", False, Tracking.UNTRACKED, "not sent"),
            ("", False, Tracking.UNTRACKED, "not sent"),
        ],
    )
    def test_what_is_known_of_them(
        self, sent: str | None, tracking: Tracking, following: str, *, tracks: bool
    ) -> None:
        why = self.ask(sent, tracks=tracks)
        assert (why.fields[0].tracking, why.fields[0].source) == (tracking, "env:PASSWORD")
        assert "value      a secret from env:PASSWORD" in text(why)
        assert "live       never compared" in text(why)
        assert text(why).endswith(f"next       {following}")
        assert why.fields[0].cause is None

    def test_what_alertsite_shows_of_one_is_not_repeated(self) -> None:
        why = self.ask(None, has="s3cret")
        assert why.fields[0].live == HIDDEN
        assert "s3cret" not in repr(why.fields) + text(why) + text(why, only=False)

    def test_what_was_one_is_not_shown_either(self) -> None:
        manifest = desired({"hostname": "mx.example.com"})
        known = record(secrets={"hostname": "hmac"})
        has = live({"hostname": "s3cret"})
        why = ask("hostname", manifest=manifest, known=known, has=has)
        assert "applied    a secret, 2026" in text(why)
        assert 'change (hidden) → "mx.example.com"' in text(why)
        assert "s3cret" not in text(why) + text(why, only=False)

    def test_the_list_is_brief(self) -> None:
        shown = {
            sent: text(self.ask(sent, tracks=tracks), only=False).splitlines()[-1]
            for sent, tracks in (("x", True), (None, True), ("y", False))
        }
        assert "sent (changed)" in shown["x"]
        assert "sent (unsent)" in shown[None]
        assert "not tracked" in shown["y"]


class TestOffline:
    def test_live_is_not_asked(self) -> None:
        known = record({"port": 25})
        has = live(known.fields)
        why = ask("port", manifest=desired({"port": 587}), known=known, has=has, is_offline=True)
        assert "live       not read (--offline)" in text(why)
        assert "change 25 → 587: edit" in text(why)
        assert "change from 25 (edit)" in text(why, only=False)
        assert "does not list it" not in text(why, only=False)

    def test_what_fits_is_as_last_applied(self) -> None:
        known = record({"port": 25})
        why = ask("port", manifest=desired({"port": 25}), known=known, has=live(known.fields),
                  is_offline=True)  # fmt: skip
        assert text(why).endswith("unchanged: as last applied")


def test_a_former_name_is_said() -> None:
    manifest = desired({"name": "Relay"}, id=None)._replace(previously=("old",))
    why = ask(
        manifest=manifest, known=record(), has=live({"name": "Relay"}), former="email-smtp/old"
    )
    assert "renamed    it was email-smtp/old; the next apply moves the record" in text(
        why, only=False
    )


def test_a_record_that_was_found_again_has_no_time() -> None:
    why = ask(manifest=desired({"name": "Relay"}), known=record()._replace(applied_at=""),
              has=live({"name": "Relay"}))  # fmt: skip
    assert "applied    at an unknown time by run run-1" in text(why, only=False)


def test_what_others_wrote_cannot_steer_a_terminal() -> None:
    manifest = desired({"\x1b[1mx": "\x1b[2m"})
    for shown in (text(ask(manifest=manifest, has=live()), only=False),
                  text(ask("\x1b[1mx", manifest=manifest, has=live()))):  # fmt: skip
        assert "\x1b" not in shown


def test_colour_only_repeats_the_words() -> None:
    why = ask("port", manifest=desired({"port": 587}), has=live({"port": 25}))
    for only in (True, False):
        coloured = why_text(why, only=only, age="3 d ago", colour=True)
        assert "\x1b[33m" in coloured
        assert re.sub("\x1b\\[[0-9]+m", "", coloured) == text(why, only=only)
