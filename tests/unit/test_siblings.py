"""Tests for what an account describes, as another one with the same login reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.errors import InvalidManifestsError
from reconciler.schema import installed_schemas
from reconciler.usecases.load import Sources, load
from reconciler.usecases.siblings import read_claims

from build import record

if TYPE_CHECKING:
    from reconciler.core.state import Record

SHARED, OWN = "monitors/_shared", "monitors/south"
SOURCES = Sources((SHARED, OWN), {"site": "acme"}, "south")
HEAD = "apiVersion: reconciler/v1\nkind: email-smtp\nmetadata: "
SPEC = "\nspec: {name: Relay, billing_plancode: P, hostname: h.example}\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


@pytest.mark.parametrize(
    ("metadata", "number"),
    [
        ("{name: relay, id: 7}", 7),
        ("{name: relay, id: 7.0}", 7),
        ("{name: relay, id: 0x7}", 7),
        ("{name: relay, ids: {north: 8, south: 7}}", 7),
        ("{name: relay, ids: {north: 8}}", None),
        ("{name: relay, ids: 7}", None),
        ("{name: relay, id: true}", None),
        ("{name: relay, id: seven}", None),
        ("{name: relay}", None),
        ("{name: other, previously: [former]}", 9),
        ("{name: other, previously: former}", None),
        ("{name: known}", 9),
    ],
)
def test_which_monitor_a_manifest_describes(metadata: str, number: int | None) -> None:
    write(f"{OWN}/relay.yaml", f"{HEAD}{metadata}{SPEC}")
    records = {"email-smtp/former": record(id=9), "email-smtp/known": record(id=9)}
    found = read_claims(SOURCES, lambda: records)
    assert list(found.ids) == ([] if number is None else [number])
    assert list(found.names) == ([("email-smtp", "relay")] if number is None else [])
    for claim in (*found.ids.values(), *found.names.values()):
        assert str(claim).endswith(f"of the account south ({OWN}/relay.yaml:1)")


def test_what_is_wrong_there_hides_nothing_else() -> None:
    write(f"{SHARED}/bad.yaml", f"{HEAD}{{name: bad, id: 1}}\nspec: {{nonsense: 1}}\n---\na: [\n")
    write(f"{SHARED}/worse.yaml", "\tno: yaml\n")
    write(f"{SHARED}/other.yaml", "- 1\n---\nkind: [1]\nmetadata: {id: 3}\n---\nkind: x\n")
    write(f"{SHARED}/_defaults.yaml", "kind: Defaults\nmetadata: {id: 4}\n")
    write(f"{OWN}/overrides.yaml", "kind: Override\nmetadata: {id: 5}\n")
    Path(OWN, "gone.yaml").symlink_to("nowhere")
    write(f"{OWN}/relay.yaml", f"{HEAD}{{name: relay}}{SPEC}".replace("Relay", "'${site} ${no}'"))
    found = read_claims(SOURCES, dict)
    assert list(found.ids) == [1]
    assert len(found.names) == 1


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("", ""),
        ("a: [", f"{OWN}/bad.yaml has errors"),
        ("# a: 1\n", f"{OWN}/bad.yaml has errors"),
        ("link", f"{OWN}/bad.yaml cannot be read"),
        ("none", f"{SHARED} is missing"),
    ],
)
def test_what_cannot_be_read_is_said(wrong: str, reason: str) -> None:
    write(f"{OWN}/relay.yaml", f"{HEAD}{{name: relay, id: 7}}{SPEC}")
    if wrong == "link":
        Path(OWN, "bad.yaml").symlink_to("nowhere")
    elif wrong not in {"", "none"}:
        write(f"{OWN}/bad.yaml", wrong)
    if wrong != "none":
        Path(SHARED).mkdir()
    found = read_claims(SOURCES, dict)
    assert list(found.ids) == [7]
    assert found.unread == (("south", reason) if reason else ())


@pytest.mark.parametrize("state", [{}, None])
def test_a_name_is_that_of_an_override(state: dict[str, Record] | None) -> None:
    write(f"{SHARED}/relay.yaml", f"{HEAD}{{name: relay, previously: [old]}}{SPEC}")
    override = "apiVersion: reconciler/v1\nkind: Override\naddress: email-smtp/relay\nspec: "
    write(f"{OWN}/relay.yaml", f"{override}{{name: 'Relay of ${{site}}'}}\n")
    found = read_claims(SOURCES, lambda: state)
    assert list(found.names) == [("email-smtp", "relay of acme")]
    assert list(found.addresses) == ["email-smtp/relay", "email-smtp/old"]
    assert {claim.is_unbound for claim in found.addresses.values()} == {state is not None}


def test_a_state_is_read_only_if_a_manifest_names_no_id() -> None:
    write(f"{OWN}/relay.yaml", f"{HEAD}{{name: relay, id: 7}}{SPEC}")
    read_claims(SOURCES, lambda: pytest.fail("it is not needed"))
    assert read_claims(SOURCES._replace(folders=("nowhere",)), dict).files == {}


@pytest.mark.parametrize("link", ["the file", "the folder", "none"])
def test_the_same_monitor_or_file_is_a_finding(link: str) -> None:
    write("monitors/north/own/relay.yaml", f"{HEAD}{{name: relay, id: 7}}{SPEC}")
    Path(OWN).mkdir(parents=True)
    if link == "the file":
        Path(OWN, "theirs.yaml").symlink_to("../north/own/relay.yaml")
    elif link == "the folder":
        Path("south").symlink_to("monitors/north/own")
    else:
        write(f"{OWN}/theirs.yaml", f"{HEAD}{{name: theirs, ids: {{south: 7}}}}{SPEC}")
    folder = "south" if link == "the folder" else OWN
    found = read_claims(Sources((folder,), {}, "south"), dict)
    sources = Sources(("monitors/north",), {}, "north", (), found)
    with pytest.raises(InvalidManifestsError) as caught:
        load(sources, installed_schemas())
    codes = [(item.code, item.position.line) for item in caught.value.findings]
    assert ("duplicate-id", 3) in codes
    assert (("shared-file", 1) in codes) == (link != "none")
    assert all("account south" in item.message for item in caught.value.findings)
