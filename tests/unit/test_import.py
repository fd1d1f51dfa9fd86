"""What imported manifests are called, where they go, what they share and what they leave out."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.core.model import Live
from reconciler.core.naming import (
    MAX_NAME,
    NOT_INHERITED,
    Draft,
    Facts,
    Layout,
    Shared,
    check_layout,
    domain,
    free_name,
    layout_of,
    lifted,
    means,
    slug,
    variable,
)
from reconciler.core.redactor import Redactor
from reconciler.core.state import Record, State
from reconciler.errors import ConfigurationError, RefusedError, UsageError
from reconciler.usecases.import_ import Imported, ImportOptions, draft, write
from reconciler.usecases.load import Sources

from build import ACCOUNT, SCHEMAS

if TYPE_CHECKING:
    from pathlib import Path

KINDS = SCHEMAS.kinds
STATE = State("lineage", ACCOUNT)
SMTP = {"name": "Relay", "billing_plancode": "UBM", "hostname": "mx.example.com"}


def imported(tmp_path: Path, *live: Live, state: State = STATE, **terms: Any) -> Imported:
    asked = {"layout": "{kind}/{name}.yaml", "merge": False, "lift": False} | terms
    asked["layout"] = layout_of(asked["layout"])
    folder = str(tmp_path)
    options = ImportOptions(folder, Sources((folder,)), **asked)
    return draft(live, SCHEMAS, state, options, Redactor())


def smtp(number: int, **fields: Any) -> Live:
    return Live(number, "email-smtp", {**SMTP, **fields})


@pytest.mark.parametrize(
    ("display", "name"),
    [
        ("Production SMTP relay", "production-smtp-relay"),
        ("  Büro München (SMTP) ", "buro-munchen-smtp"),
        ("Łódź / Straße Øst", "lodz-strasse-ost"),
        ("\uff26\uff55\uff4c\uff4c \u2460", "full-1"),
        ("587", "587"),
        ("!!! ***", "monitor-7"),
        ("", "monitor-7"),
        ("東京メール", "monitor-7"),
        ("Почта 5", "monitor-7"),
        ("東京 mail", "mail"),
        ("x" * 300, "x" * 128),
        ("x" * 127 + " y", "x" * 127),
    ],
)
def test_slugs(display: str, name: str) -> None:
    assert slug(display, 7) == name


def test_a_name_that_is_taken_gets_a_number() -> None:
    taken = {"email-pop/a", "email-pop/a-2", f"email-pop/{'x' * MAX_NAME}"}
    assert free_name("a", "email-pop", taken) == "a-3"
    assert free_name("a", "email-imap", taken) == "a"
    assert free_name("x" * MAX_NAME, "email-pop", taken) == "x" * (MAX_NAME - 2) + "-2"


def test_variables() -> None:
    first = variable("email-pop", "a", ["auth", 0, "api key"], ())
    assert first == "EMAIL_POP_A_AUTH_0_API_KEY"
    assert variable("email-pop", "a", ["auth", 0, "api-key"], {first}) == f"{first}_2"


@pytest.mark.parametrize("layout", ["{kind}/{name}.yaml", "a.yml", "{id}/{id}.yaml", "{{x}}.yaml"])
def test_layouts(layout: str) -> None:
    check_layout(layout)


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        ("{team}.yaml", "the placeholders are {kind}, {name}, {id}"),
        ("{}.yaml", "the placeholders"),
        ("{name", "the placeholders"),
        ("{name!r}.yaml", "the placeholders"),
        ("{name:>9}.yaml", "the placeholders"),
        ("{kind.x}.yaml", "the placeholders"),
        ("", "below the folder"),
        ("/{name}.yaml", "below the folder"),
        ("../{name}.yaml", "below the folder"),
        ("a//{name}.yaml", "below the folder"),
        (".{name}.yaml", "visible"),
        ("{kind}/_defaults.yaml", "below the folder"),
        ("{name}.json", "end in .yaml or .yml"),
    ],
)
def test_what_is_no_layout(layout: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        check_layout(layout)


def drafts(count: int, folder: str = "a", kind: str = "email-smtp", **spec: Any) -> list[Draft]:
    return [
        Draft(kind, f"n-{number}", number, f"{folder}/{number}.yaml", {"name": "x", **spec}, {})
        for number in range(count)
    ]


def lift(*given: Draft, fixed: frozenset[str] = frozenset()) -> tuple[list[Any], list[Shared]]:
    kept, shared = lifted(given, KINDS, fixed)
    return [dict(item.spec) for item in kept], shared


def test_what_at_least_five_and_80_percent_say_is_shared() -> None:
    found = [*drafts(4, port=25), *drafts(1, port=587)]
    assert lift(*found)[1] == []
    found = [*drafts(8, port=25, timeout=30), *drafts(2, port=587, timeout=31)]
    specs, shared = lift(*found)
    assert shared == [Shared((), {"port": 25, "timeout": 30})]
    assert specs == [{"name": "x"}] * 8 + [{"name": "x", "port": 587, "timeout": 31}] * 2
    found = [*drafts(7, port=25), *drafts(3, port=587)]
    assert lift(*found)[1] == []


def test_what_few_leave_to_alertsite_is_not_inherited_by_them() -> None:
    specs, shared = lift(*drafts(8, port=25), *drafts(2))
    assert shared == [Shared((), {"port": 25})]
    assert specs[8:] == [{"name": "x", "port": NOT_INHERITED}] * 2
    assert lift(*drafts(7, port=25), *drafts(3))[1] == []


def test_names_servers_and_secrets_are_not_shared() -> None:
    secret = {"secretRef": {"env": "X"}}
    assert lift(*drafts(9, hostname="x", ipv4="10.0.0.1", note=secret))[1] == []


def test_what_has_a_default_already_is_not_shared_again() -> None:
    assert lift(*drafts(9, port=25), fixed=frozenset(["port"]))[1] == []


def test_the_same_value_in_another_spelling_is_shared() -> None:
    found = [
        *drafts(4, locations=[{"id": 10}, {"id": 20}], billing_plancode="UBM - A/A"),
        *drafts(4, locations=[{"id": 20}, {"id": 10}], billing_plancode="UBM-A/A"),
    ]
    specs, (shared,) = lift(*found)
    assert specs == [{"name": "x"}] * 8
    assert shared.spec == {"locations": [{"id": 10}, {"id": 20}], "billing_plancode": "UBM - A/A"}


def test_folders_share_together_and_kinds_apart_where_they_differ() -> None:
    found = [
        *drafts(5, folder="a", kind="email-smtp", port=25, timeout=30),
        *drafts(5, folder="b", kind="email-imap", port=25, timeout=30),
        *drafts(5, folder="c", kind="email-pop", port=110, timeout=30),
    ]
    _, shared = lift(*found)
    assert shared == [
        Shared((), {"timeout": 30}),
        Shared(("email-imap", "email-smtp"), {"port": 25}),
        Shared(("email-pop",), {"port": 110}),
    ]


def test_a_field_that_only_some_kinds_know_is_for_all_that_do() -> None:
    found = [*drafts(5, resolve_dns=True), *drafts(5, kind="email-round-trip", timeout=30)]
    _, shared = lift(*found)
    assert shared == [
        Shared((), {"resolve_dns": True}),
        Shared(("email-round-trip",), {"timeout": 30}),
    ]


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("mx1.mail.example.com", "example.com"),
        ("imaps://MX.Example.com:993/x", "example.com"),
        ("probe@mail.example.co.uk", "example.co.uk"),
        ("mail.example.nhs.uk", "example.nhs.uk"),
        ("example.de.", "example.de"),
        ("192.0.2.1", "other"),
        ("localhost", "other"),
        ("[2001:db8::1]:25", "other"),
        ("mx_1.example.com", "example.com"),
        ("x._defaults.yaml", "other"),
        ("../../etc", "other"),
        ("", "other"),
    ],
)
def test_domains(host: str, found: str) -> None:
    assert domain(host) == found


_FACTS = Facts(
    "email-smtp", "prod-relay", 7, "Prod: Relay", "mx.example.com", {"Team A": "Web / 1"}
)


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        ("{domain}/{name}.yaml", "example.com/prod-relay.yaml"),
        ("{name_prefix}/{kind}.yaml", "prod/email-smtp.yaml"),
        ("{property:Team A}/{id}.yaml", "web-1/7.yaml"),
        ("{property:Team B}/{id}.yaml", "other/7.yaml"),
        ("{{{name}}}.yaml", "{prod-relay}.yaml"),
    ],
)
def test_paths_by_what_a_monitor_has(layout: str, path: str) -> None:
    assert layout_of(layout).path(_FACTS) == path


def test_the_first_pattern_that_means_a_monitor_counts() -> None:
    rules = (("8", "no.yaml"), ("prod*", "a/{name}.yaml"), ("7", "b.yaml"))
    assert Layout(rules).path(_FACTS) == "a/prod-relay.yaml"
    assert Layout(rules[:1]).path(_FACTS) == "email-smtp/prod-relay.yaml"
    assert [means(_FACTS, each) for each in ("7", "PROD*", "prod: relay", "*/prod-*", "p")] == [
        True,
        True,
        True,
        True,
        False,
    ]


def test_fields_in_the_types_of_the_schema(tmp_path: Path) -> None:
    fields = {
        "port": "0587",
        "interval": 5.0,
        "timeout": "",
        "note": None,
        "alert_note": " as it is\n",
        "locations": [{"id": "20", "name": "Atlanta", "region": 1}, {"id": 10}],
        "custom_properties": [],
        "home_location": "x",
        "allow_internal_testing": True,
        "blackout_ids": ["1"],
        "folder": {"a": "", "b": [None]},
        "nothing": {},
    }
    found = imported(tmp_path, smtp(7, **fields))
    assert found.drafts[0].spec == {
        **SMTP,
        "port": 587,
        "interval": 5,
        "locations": [{"id": 10}, {"id": 20}],
        "alert_note": " as it is\n",
    }
    assert found.drafts[0].extra == {"folder": {"a": "", "b": [None]}}
    assert found.unknown == {"folder": [found.drafts[0].address]}
    assert [(told.field, told.text) for told in found.left_out] == [
        ("home_location", "spec.home_location must be an integer, not a string")
    ]


def test_fields_in_the_normal_form_where_the_schema_has_no_other(tmp_path: Path) -> None:
    fields = {
        "hostname": " MX.example.com\n",
        "note": "x" * 255 + "\r\n",
        "alert_note": "Runbook\r\n",
        "enabled": "n",
        "allow_internal_testing": "y",
        "notify_on_error": 1,
        "locations": [{"id": "10", "has_chrome": 1, "country": "US"}],
        "custom_properties": [{"id": "228", "value_id": "550", "created": "2026"}],
    }
    found = imported(tmp_path, smtp(7, **fields))
    assert found.left_out == ()
    assert found.drafts[0].spec == {
        **SMTP,
        "hostname": "mx.example.com",
        "note": "x" * 255,
        "alert_note": "Runbook\r\n",
        "enabled": False,
        "notify_on_error": True,
        "locations": [{"id": 10}],
        "custom_properties": [{"id": 228, "value_id": 550}],
    }


def test_secrets_become_references(tmp_path: Path) -> None:
    fields = {
        "pop3_password": "hunter2",
        "auth": [{"user": "u", "api_key": 5, "token": ""}],
        "api_keys": ["a"],
        "settings": {"has_token": True, "a": 1},
        "empty_secret": None,
    }
    found = imported(tmp_path, smtp(7, **fields), write_unknown=True)
    assert found.drafts[0].extra == {
        "auth": [
            {"user": "u", "api_key": {"secretRef": {"env": "EMAIL_SMTP_RELAY_AUTH_0_API_KEY"}}}
        ],
        "pop3_password": {"secretRef": {"env": "EMAIL_SMTP_RELAY_POP3_PASSWORD"}},
    }
    assert [told.field for told in found.secrets] == ["auth.0.api_key", "pop3_password"]
    assert [told.field for told in found.left_out] == ["api_keys", "settings"]
    assert "hunter2" not in "".join(found.texts.values())


_PLAUSIBLE = """
auth authorization bearer pw pass pin private_key privatekey access_key accesskey dsn session
session_id cookie conn connection_string url uri webhook hook sas signature sig hmac salt seed
cert certificate pem key keys psk jwt login community smtp_auth account
"""


def test_a_text_that_the_schema_does_not_know_is_a_to_do(tmp_path: Path) -> None:
    secret = {name: f"s3cret-{number}" for number, name in enumerate(_PLAUSIBLE.split())}
    nested = {"basic": {"user": ["s3cret-a"]}, "plain": {"a": 1, "b": [True, ""]}}
    monitor = smtp(7, **secret, **nested)
    found = imported(tmp_path, monitor)
    (text,) = found.texts.values()
    assert "s3cret" not in text
    assert found.drafts[0].extra.keys() <= {"plain", "pass"}
    assert found.held_back.keys() == {*secret, "basic"} - found.drafts[0].extra.keys()
    assert "\n# to do: AlertSite has strings in access_key, accesskey, account, auth, " in text

    written = imported(tmp_path, monitor, write_unknown=True)
    assert written.held_back == {}
    assert written.drafts[0].extra["dsn"] == secret["dsn"]


def test_no_field_holds_a_secret_of_this_run(tmp_path: Path) -> None:
    redactor = Redactor()
    redactor.know("the-l0gin-of-this-run")
    fields = {"note": "ask for the-l0gin-of-this-run", "dsn": "x:the-l0gin-of-this-run@h", "a": "b"}
    layout = layout_of("{name}.yaml")
    sources = Sources((str(tmp_path),))
    terms = ImportOptions(str(tmp_path), sources, layout, merge=False, lift=False)
    terms = terms._replace(write_unknown=True)
    found = draft([smtp(7, **fields)], SCHEMAS, STATE, terms, redactor)
    assert [told.field for told in found.left_out] == ["dsn", "note"]
    assert "l0gin" not in "".join(found.texts.values())


def test_what_was_applied_as_a_secret_stays_one(tmp_path: Path) -> None:
    record = Record(7, {}, {"hostname": "hmac", "login": "hmac"}, "", "run")
    state = STATE._replace(records={"email-smtp/known": record})
    (found,) = imported(tmp_path, smtp(7, login="me"), state=state).drafts
    assert found.address == "email-smtp/known"
    assert found.spec["hostname"] == {"secretRef": {"env": "EMAIL_SMTP_KNOWN_HOSTNAME"}}
    assert found.extra == {"login": {"secretRef": {"env": "EMAIL_SMTP_KNOWN_LOGIN"}}}


def test_what_yaml_cannot_hold_is_left_out(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    fields = {"note": "\ud800", "deep": deep, "mode": deep, "big": 10**120, "k" * 600: 1}
    found = imported(tmp_path, smtp(7, **fields, far=float("inf")))
    assert {told.field: told.text for told in found.left_out} == {
        "note": "it has characters that YAML does not allow",
        "deep": "it is nested too deeply",
        "mode": "it is nested too deeply",
        "big": "it has too many digits",
        "far": "it is not a finite number",
        "k" * 600: "the key is too long",
    }
    assert found.drafts[0].extra == {}


def test_names_are_unique_and_in_the_order_of_ids(tmp_path: Path) -> None:
    live = [smtp(9), smtp(7), Live(8, "email-imap", SMTP), smtp(10, name="relay 2")]
    found = imported(tmp_path, *live)
    assert [(item.id, item.name) for item in found.drafts] == [
        (7, "relay"),
        (8, "relay"),
        (9, "relay-2"),
        (10, "relay-2-2"),
    ]


def test_what_gets_no_manifest_is_told(tmp_path: Path) -> None:
    live = [
        Live(1, "website", {"name": "not ours"}),
        Live(2, None, SMTP),
        smtp(3, hostname=""),
        smtp(4, name="\ud800"),
    ]
    found = imported(tmp_path, *live)
    assert [told.subject for told in found.skipped] == [
        'monitor 2 (None, "Relay")',
        'monitor 3 (email-smtp, "Relay")',
        'monitor 4 (email-smtp, "\ud800")',
    ]
    assert [told.text for told in found.skipped] == [
        "AlertSite does not return its type",
        "AlertSite does not have what a manifest needs: missing key spec.hostname",
        (
            "AlertSite does not have what a manifest needs: missing key spec.name; "
            "it has characters that YAML does not allow"
        ),
    ]
    assert found.texts == {}


def write_manifest(tmp_path: Path, text: str, name: str = "old.yaml") -> None:
    (tmp_path / name).write_text(f"apiVersion: reconciler/v1\n{text}\n")


OLD = (
    "kind: email-smtp\nmetadata: {{name: {}}}\nspec: {{name: {}, billing_plancode: U, hostname: h}}"
)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    live = [smtp(number, name=f"R {number}") for number in range(1, 14)]
    found = imported(tmp_path, *live)
    write(found, str(tmp_path), nullcontext)
    names = [(f"mine-{number}", f"Mine {number}") for number in range(14)]
    other = [f"apiVersion: reconciler/v1\n{OLD.format(*name)}" for name in names]
    (tmp_path / "email-smtp" / "r-13.yaml").write_text(other[13])
    with pytest.raises(RefusedError, match="12 of the monitors already have manifests"):
        imported(tmp_path, *live)
    for number in range(1, 14):
        (tmp_path / "email-smtp" / f"r-{number}.yaml").write_text(other[number])
    with pytest.raises(RefusedError, match=r"existing files: .*/r-10.yaml and 3 more"):
        imported(tmp_path, *live)
    with pytest.raises(ConfigurationError, match=r"File exists \(.*r-1.yaml\); 0 of 13 files"):
        write(found, str(tmp_path), nullcontext)
    merged = imported(tmp_path, *live, merge=True)
    assert min(merged.texts) == "email-smtp/r-1-2.yaml"


def test_a_manifest_without_id_that_looks_alike_is_not_doubled(tmp_path: Path) -> None:
    write_manifest(tmp_path, OLD.format("mine", "Relay"))
    found = imported(tmp_path, smtp(7), smtp(8, name="Other"), merge=True)
    assert [item.id for item in found.drafts] == [8]
    assert "email-smtp/mine" in found.skipped[0].text
    assert "bind it with apply --adopt" in found.skipped[0].text

    state = STATE._replace(records={"email-smtp/mine": Record(7, {}, {}, "", "run")})
    found = imported(tmp_path, smtp(7), smtp(8, name="Mine"), state=state, merge=True)
    assert found.known == 1
    assert [item.name for item in found.drafts] == ["mine-2"]


def test_folders_with_manifests_get_no_defaults(tmp_path: Path) -> None:
    write_manifest(tmp_path, OLD.format("mine", "Mine"))
    live = [smtp(number, name=f"R {number}", port=25) for number in range(6)]
    flat = imported(tmp_path, *live, layout="{name}.yaml", merge=True, lift=True)
    assert flat.shared == ()
    assert flat.is_unshared
    new = imported(tmp_path / "new", *live, lift=True)
    assert (next(iter(new.texts)), new.is_unshared) == ("_defaults.yaml", False)


def test_what_defaults_would_give_is_kept_away(tmp_path: Path) -> None:
    write_manifest(
        tmp_path,
        "kind: Defaults\nspec: {note: given, custom_properties: [{id: 1, value_id: 2}]}",
        "_defaults.yaml",
    )
    (found,) = imported(tmp_path, smtp(7), merge=True).drafts
    assert found.spec == {
        **SMTP,
        "note": {"inherit": False},
        "custom_properties": {"inherit": False},
    }

    write_manifest(tmp_path, "kind: Defaults\nspec: {port: 25}", "_defaults.yaml")
    live = [smtp(7), smtp(8, port=25), smtp(9, port="587")]
    specs = [item.spec.get("port") for item in imported(tmp_path, *live, merge=True).drafts]
    assert specs == [{"inherit": False}, None, 587]


def test_a_secret_that_is_a_default_is_inherited(tmp_path: Path) -> None:
    text = "kind: Defaults\nspec: {alert_note: {secretRef: {env: NOTE}}}"
    write_manifest(tmp_path, text, "_defaults.yaml")
    live = [smtp(7, alert_note="hunter2"), smtp(8)]
    found = imported(tmp_path, *live, merge=True)
    assert [item.spec for item in found.drafts] == [SMTP, SMTP]
    assert "hunter2" not in "".join(found.texts.values())


def test_several_manifests_in_one_file(tmp_path: Path) -> None:
    live = [smtp(7), smtp(8, alert_note="a\nb\n"), Live(9, "email-imap", SMTP)]
    texts = imported(tmp_path, *live, layout="{kind}.yaml").texts
    assert list(texts) == ["email-smtp.yaml", "email-imap.yaml"]
    assert texts["email-smtp.yaml"].endswith(
        """\
schemas/email-smtp.schema.json
apiVersion: reconciler/v1
kind: email-smtp
metadata: {name: relay, id: 7}
spec:
  name: Relay
  billing_plancode: UBM
  hostname: mx.example.com
---
apiVersion: reconciler/v1
kind: email-smtp
metadata: {name: relay-2, id: 8}
spec:
  name: Relay
  billing_plancode: UBM
  hostname: mx.example.com
  alert_note: |
    a
    b
"""
    )
    assert not imported(tmp_path, *live, layout="all.yaml").texts["all.yaml"].startswith("#")


def test_what_is_staged_fits_where_it_will_be_moved(tmp_path: Path) -> None:
    (tmp_path / "monitors" / "email-smtp").mkdir(parents=True)
    write_manifest(tmp_path, OLD.format("r-1", "Mine"), "monitors/email-smtp/r-1.yaml")
    write_manifest(tmp_path, "kind: Defaults\nspec: {note: given}", "monitors/_defaults.yaml")
    live = [smtp(number, name=f"R {number}", port=25) for number in range(1, 7)]
    terms = ImportOptions(
        folder=str(tmp_path / "staged"),
        sources=Sources((str(tmp_path / "monitors"),)),
        layout=layout_of("{kind}/r.yaml"),
        merge=True,
        lift=True,
    )
    found = draft(live, SCHEMAS, STATE, terms, Redactor())
    assert [item.name for item in found.drafts][:2] == ["r-1-2", "r-2"]
    assert {str(item.spec["note"]) for item in found.drafts} == {"{'inherit': False}"}
    assert found.shared == ()

    write_manifest(tmp_path, OLD.format("x", "X"), "monitors/email-smtp/r.yaml")
    assert list(draft(live, SCHEMAS, STATE, terms, Redactor()).texts) == ["email-smtp/r-2.yaml"]
