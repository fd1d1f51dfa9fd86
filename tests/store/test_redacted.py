"""No known secret gets into a store or a journal, and what is written stays what it is."""

import json
from collections.abc import Callable
from pathlib import Path

from reconciler.core.redactor import Redactor
from reconciler.core.state import UNTRACKED, Record, without_secrets
from reconciler.state_store import Journal, Key, open_store, read_journal

_SECRET = 'mailb0x "secret" ü'


def _knowing() -> Redactor:
    redactor = Redactor()
    redactor.know(_SECRET)
    return redactor


def test_a_file_holds_no_secret(tmp_path: Path) -> None:
    location = f"file:{tmp_path}/state.json"
    store = open_store(location, redactor=_knowing())
    for ensure in (True, False):
        held = store.read(Key.STATE)
        text = json.dumps({"message": f"<{_SECRET}>", "n": 1}, ensure_ascii=ensure)
        version = store.write(Key.STATE, text.encode(), held and held.version, "first")
        found = open_store(location).read(Key.STATE)
        assert found is not None
        assert json.loads(found.data) == {"message": "<(secret)>", "n": 1}
        assert found.version == version


def test_no_commit_holds_a_secret(
    clone: Callable[[], Path], bare: Path, git: Callable[..., str]
) -> None:
    store = open_store("git:origin", folder=clone(), redactor=_knowing())
    store.write(
        Key.STATE, json.dumps({"fields": {"note": [_SECRET]}}).encode(), None, f"apply: {_SECRET}"
    )
    objects = git(bare, "log", "-p", "refs/reconciler/state")
    assert '"(secret)"' in objects
    assert "apply: (secret)" in objects
    assert "mailb0x" not in objects


def test_a_journal_holds_no_secret(tmp_path: Path) -> None:
    store = open_store(f"file:{tmp_path}/state.json", redactor=_knowing())
    journal = Journal.create(store, "run")
    body = {"body": {"note": _SECRET, "map": {_SECRET: 1}}}
    journal.append([body, {"b": "plain ü"}])
    journal.close()
    assert read_journal(journal.path) == [
        {"body": {"note": "(secret)", "map": {"(secret)": 1}}},
        {"b": "plain ü"},
    ]


def test_what_the_document_says_itself_stays(tmp_path: Path) -> None:
    """A record under another address is lost, and its monitor is created again."""
    redactor = Redactor()
    words = ("helpdesk", "records", "fields", "update", "default", "before", "127.0.0.1")
    redactor.know(*words)
    document = {
        "account": {"name": "default", "url": "http://127.0.0.1:80"},
        "records": {
            "email-imap/helpdesk": {
                "fields": {"before": "helpdesk"},
                "previously": ["helpdesk"],
                "prior": {"before": {"value": {"helpdesk": 1}, "run": "update"}},
            }
        },
        "summary": {"update": 1},
        "changes": [{"address": "email-imap/helpdesk", "action": "update", "message": "update"}],
        "bindings": [{"address": "email-imap/helpdesk", "before": "email-imap/helpdesk"}],
    }
    store = open_store(f"file:{tmp_path}/state.json", redactor=redactor)
    store.write(Key.STATE, json.dumps(document).encode(), None, "first")
    found = store.read(Key.STATE)
    assert found is not None
    record = document["records"]["email-imap/helpdesk"]  # type: ignore[call-overload,index]
    record["fields"] = {"before": "(secret)"}
    record["prior"]["before"]["value"] = {"(secret)": 1}
    document["changes"][0]["message"] = "(secret)"  # type: ignore[index]
    assert json.loads(found.data) == document


def test_a_record_keeps_the_field_as_one_that_held_a_secret() -> None:
    record = Record(
        7,
        {"note": f"use {_SECRET}", "port": 587},
        {"password": "hmac"},
        "",
        "run",
        unseen={"mode": [_SECRET]},
        prior={"note": "x", "dsn": {"p": _SECRET}},
    )
    found = without_secrets(record, _knowing().holds)
    assert (found.fields, found.unseen, found.prior) == ({"port": 587}, {}, {})
    secrets = {"dsn": UNTRACKED, "mode": UNTRACKED, "note": UNTRACKED, "password": "hmac"}
    assert found.secrets == secrets
    assert without_secrets(found, _knowing().holds) is found
