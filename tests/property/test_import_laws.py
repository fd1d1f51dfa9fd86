"""Laws of importing: whatever AlertSite has, the manifests for it change nothing."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from reconciler.core.model import Live
from reconciler.core.naming import MAX_NAME, layout_of, slug
from reconciler.core.redactor import Redactor
from reconciler.core.state import Record, State
from reconciler.manifests.formatter import tidy
from reconciler.usecases.fmt import Ordering
from reconciler.usecases.import_ import ImportOptions, check, draft, write
from reconciler.usecases.load import Sources

from build import ACCOUNT, SCHEMAS

ORDERING = Ordering(SCHEMAS)
STATE = State("lineage", ACCOUNT)
SECRET = "S3CRET-VALUE"
KINDS = sorted(SCHEMAS.kinds)
NAMES = st.text(min_size=1, max_size=20) | st.sampled_from(
    ["Relay", "Relay", "München", "587", "yes", "a\nb\n", "- x: #y", "!", "x" * 300]
)
TEXTS = NAMES | st.sampled_from(["", "\ud800"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXTS | st.sampled_from(["secretRef", "api_key"]), inner, max_size=3)
    ),
    max_leaves=8,
)
NUMBERS = st.integers(1, 3) | st.sampled_from(["25", "", None, "x", 0, 2**60, 5.0])
FIELDS = {
    "hostname": st.sampled_from(
        ["mx.example.com", "IMAPS://X:993", "#x", "", "a b", "mx.example.com\n"]
    ),
    "smtp_hostname": st.sampled_from(["smtps://x:465", "y"]),
    "pop3_hostname": st.sampled_from(["pop3s://x:995", "y"]),
    "email": st.sampled_from(["a@b", "c@d", "none"]),
    "ipv4": st.sampled_from(["", None, "10.0.0.1", "x"]),
    "port": NUMBERS,
    "interval": NUMBERS,
    "timeout": st.sampled_from([30, "45", 300, ""]),
    "enabled": st.booleans() | st.sampled_from([None, "y", "0", 1, "maybe"]),
    "notify_on_error": st.sampled_from([True, "n", "true", 0]),
    "home_location": NUMBERS,
    "locations": st.lists(
        st.fixed_dictionaries(
            {"id": st.integers(1, 4) | st.integers(1, 4).map(str)},
            optional={"name": TEXTS, "weight": NUMBERS},
        )
    ),
    "custom_properties": st.lists(
        st.fixed_dictionaries(
            {"id": st.integers(1, 3), "value_id": NUMBERS, "value": TEXTS},
            optional={"created": TEXTS},
        ),
        max_size=2,
    ),
    "note": TEXTS,
    "alert_note": TEXTS,
    "mode": TEXTS,
    "allow_internal_testing": st.booleans(),
    "blackout_ids": st.just(["1"]),
}
REQUIRED = {
    "name": NAMES,
    "billing_plancode": st.sampled_from(["UBM - A/A", "UBM-A/A"]),
    "hostname": st.sampled_from(["mx.example.com", "imaps://x:993", "#x"]),
    "smtp_hostname": st.just("smtps://x:465"),
    "pop3_hostname": st.just("pop3s://x:995"),
    "email": st.just("a@b"),
}
UNKNOWN = TEXTS | st.sampled_from(["folder", "tls", "id2", "<<", "secretRef"])
TERMS = st.builds(
    ImportOptions,
    folder=st.just(""),
    sources=st.just(Sources(("",))),
    layout=st.sampled_from(
        ["{kind}/{name}.yaml", "{kind}.yaml", "all.yml", "{name}/{id}.yaml", "x-{name}.yaml"]
    ).map(layout_of),
    merge=st.booleans(),
    lift=st.booleans(),
    write_unknown=st.booleans(),
    targets=st.just(()),
    has_ids=st.booleans(),
)


@st.composite
def monitors(draw: Any, number: int) -> Live:
    kind = draw(st.sampled_from(KINDS))
    names = [
        name for name in FIELDS if name in SCHEMAS.kinds[kind].fields and draw(st.integers(0, 5))
    ]
    required = SCHEMAS.documents[kind]["properties"]["spec"]["required"]
    fields = {name: draw(FIELDS[name]) for name in names}
    if draw(st.integers(0, 9)) != 9:
        fields |= {name: draw(REQUIRED[name]) for name in required}
    for _ in range(draw(st.integers(0, 2))):
        fields.setdefault(draw(UNKNOWN), draw(JSON))
    if draw(st.booleans()):
        fields["pop3_password"] = SECRET
        fields["auth"] = [{"user": draw(TEXTS), "API_KEY": SECRET, "deep": {"passphrase": SECRET}}]
    kinds = draw(st.integers(0, 9))
    return Live(number, {9: "website", 8: None}.get(kinds, kind), fields)


@st.composite
def accounts(draw: Any) -> list[Live]:
    """Some monitors, and now and then many that are much alike."""
    found = [draw(monitors(number)) for number in range(1, draw(st.integers(1, 4)) + 1)]
    if draw(st.integers(0, 2)):
        for number in range(10, 10 + draw(st.integers(6, 20))):
            model = draw(st.sampled_from(found))
            port = {"port": draw(NUMBERS)} if draw(st.integers(0, 3)) == 0 else {}
            fields = {**model.fields, **port}
            found.append(Live(number, model.type, fields))
    return found


DEFAULTS = st.sampled_from(
    [
        "",
        "spec: {note: given, custom_properties: [{id: 1, value_id: 2}]}",
        "appliesTo: [email-imap, email-smtp]\nspec: {port: 25, enabled: true}",
        "spec: {allow_internal_testing: false, billing_plancode: UBM}",
    ]
)


@given(accounts(), TERMS, DEFAULTS)
def test_the_plan_after_an_import_is_empty(
    live: list[Live], terms: ImportOptions, defaults: str
) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = str(Path(root, "monitors"))
        terms = terms._replace(folder=folder, sources=Sources((folder,)))
        if defaults:
            text = f"apiVersion: reconciler/v1\nkind: Defaults\n{defaults}\n"
            Path(root, "_defaults.yaml").write_text(text)
        imported = draft(live, SCHEMAS, STATE, terms, Redactor())
        assert len(imported.drafts) + len(imported.skipped) == sum(
            item.type in {*KINDS, None} for item in live
        )
        write(imported, folder, nullcontext)
        state = STATE
        if imported.drafts:
            made = Record(0, {}, {}, "", "")
            checked = check(imported, live, ACCOUNT, SCHEMAS, STATE, terms.sources, made)
            plan = checked.plan
            state = STATE._replace(records=checked.records)
            assert checked.records.keys() == {item.address for item in imported.drafts}
            assert checked.others == 0
            assert (plan.changes, plan.refusals) == ((), ())
            assert plan.unchanged == len(imported.drafts)
        for text in imported.texts.values():
            assert SECRET not in text
            assert tidy(text.encode(), ORDERING.of).data == text.encode()

        again = draft(live, SCHEMAS, state, terms._replace(merge=True), Redactor())
        assert (again.drafts, again.texts) == ((), {})
        assert again.known == len(imported.drafts)
    event("lifted" if imported.shared else f"{len(imported.drafts)} drafts")


@given(st.text(), st.integers(1, 2**53))
def test_every_name_is_one_that_a_manifest_can_have(display: str, number: int) -> None:
    value = {
        "apiVersion": "reconciler/v1",
        "kind": "email-smtp",
        "metadata": {"name": slug(display, number)},
        "spec": {"name": "x", "billing_plancode": "x", "hostname": "x"},
    }
    assert SCHEMAS.accept(value)
    assert len(slug(display, number)) <= MAX_NAME
