"""What history prints of runs: as lines, whole, as JSON and as the message of a commit.

`pytest tests/golden --update-golden` writes what is printed; read the difference before
committing it.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler import render
from reconciler.core.generation import Generation
from reconciler.core.plan import Action
from reconciler.core.result import Status
from reconciler.core.run_record import (
    About,
    Rebinding,
    RunChange,
    RunField,
    RunRecord,
    to_text,
)
from reconciler.errors import StateError
from reconciler.render.history import history_text, run_text, save_message
from reconciler.state_session import stored_run

from documents import check

FOLDER = Path(__file__).parent / "history"
SITES = {
    "before": [{"id": 10}, {"id": 20}],
    "after": [{"id": 10}, {"id": 30}],
}


def apply() -> RunRecord:
    relay = (
        RunField("note", None, 'two\nlines, "::error::" and \x1b[31m'),
        RunField("port", 25, 587, was_applied=True),
        RunField("locations", SITES["before"], SITES["after"], set_key="id"),
        RunField("password", None, {"secretRef": {"env": "WORD"}}, source="env:WORD"),
    )
    made = (RunField("name", None, "New"), RunField("port", None, 995))
    return RunRecord(
        About(
            "20260102T030405Z-0a0b0c0d",
            "apply",
            "2026-01-02T03:04:05Z",
            "ann",
            "https://ci.example.com/jobs/7",
            Generation("0123456789abcdef0123456789abcdef01234567"),
            "sha256:" + "0" * 64,
            "1.0.0",
            is_author=True,
        ),
        (
            RunChange(Action.CREATE, "email-pop/new", 7, Status.DONE, fields=made),
            RunChange(
                Action.DELETE,
                "email-pop/old",
                6,
                Status.FAILED,
                "AlertSite: [1200] not allowed",
                body={"name": "Old"},
                record={"id": 6, "fields": {}, "secrets": {}, "applied_at": "", "run": ""},
            ),
            RunChange(Action.UPDATE, "email-smtp/relay", 5, Status.DONE, fields=relay),
        ),
        (Rebinding("email-imap/box", None, 4), Rebinding("email-pop/new", None, 7)),
        "2026-01-02T03:05:00Z",
        7,
    )


def undo() -> RunRecord:
    about = apply().about._replace(
        id="20260102T040000Z-0a0b0c0e", operation="undo", undoes=apply().id, generation=Generation()
    )
    back = (RunField("port", 587, 25, was_applied=True),)
    return RunRecord(
        about,
        (RunChange(Action.UPDATE, "email-smtp/relay", 5, Status.UNCONFIRMED, fields=back),),
        recovered_by="20260102T050000Z-0a0b0c0f",
    )


def printed() -> dict[str, str]:
    runs = [undo(), apply()]
    touching = [run.touching("email-smtp/relay", "port") for run in runs]
    document = {"runs": [run.to_json() for run in runs]}
    check(document, "history")
    return {
        "history.txt": history_text(runs, whole=False),
        "history-of-a-field.txt": history_text([run for run in touching if run], whole=True),
        "history.json": render.as_json(document),
        "run.txt": run_text(apply()),
        "commit.txt": save_message(apply()),
        "commit-of-a-killed-undo.txt": save_message(undo()),
    }


def test_golden(request: pytest.FixtureRequest) -> None:
    found = {name: text + "\n" for name, text in printed().items()}
    if request.config.getoption("--update-golden"):
        for name, text in found.items():
            (FOLDER / name).write_text(text)
    assert found == {path.name: path.read_text() for path in FOLDER.iterdir()}


def test_a_run_with_many_equal_changes_is_short_and_what_failed_is_last() -> None:
    fields = (RunField("interval", 5, 10, was_applied=True),)
    done = [
        RunChange(Action.UPDATE, f"email-smtp/m{n:04}", n, Status.DONE, fields=fields)
        for n in range(2000)
    ]
    done[3] = done[3]._replace(status=Status.FAILED, message="no")
    made = [
        RunChange(
            Action.CREATE,
            f"email-pop/n{n:02}",
            9000 + n,
            Status.DONE,
            fields=(RunField("name", None, f"N{n}"), RunField("port", None, 995)),
        )
        for n in range(30)
    ]
    text = run_text(apply()._replace(changes=(*made, *done), bindings=()))
    assert text.split("\n\n")[1] == (
        "  + 30 monitors (email-pop 30)\n"
        "      port: 995\n"
        "      name: different for each\n"
        "      email-pop/n00, email-pop/n01, email-pop/n02 and 27 more\n"
        "  ~ 1,999 monitors (email-smtp 1,999)\n"
        "      interval: 5 → 10\n"
        "      email-smtp/m0000, email-smtp/m0001, email-smtp/m0002 and 1,996 more\n"
        "  ~ email-smtp/m0003 (id 3) failed: no\n"
        "      interval: 5 → 10\n"
        "  2,029 changes are folded: --json lists each."
    )


@pytest.mark.parametrize("run", [apply(), undo()], ids=["apply", "undo"])
def test_what_is_written_is_read(run: RunRecord) -> None:
    read = RunRecord.from_json(json.loads(to_text(run)))
    assert read == run._replace(about=run.about._replace(is_author=False))


def test_a_run_record_of_the_first_format_is_read() -> None:
    """It had no account."""
    data = apply().to_json()
    del data["account"]
    read = stored_run(json.dumps({**data, "format_version": "1.0"}).encode())
    about = apply().about._replace(is_author=False, account="")
    assert read == apply()._replace(about=about)


@pytest.mark.parametrize(
    "broken", [b"[]", b"{", b'{"format_version": "2.0"}', b'{"format_version": "1.0"}']
)
def test_what_is_no_run_record_is_said_so(broken: bytes) -> None:
    with pytest.raises(StateError, match="the run record"):
        stored_run(broken)


@pytest.mark.parametrize(
    "change",
    [
        {"undoes": ["x"]},
        {"actor": 5},
        {"operation": True},
        {"format_version": "1.7", "new": 1},
        {"changes": [{**apply().to_json()["changes"][0], "address": 5}]},
    ],
)
def test_what_is_wrong_in_a_run_record_is_seen_when_it_is_read(change: dict[str, Any]) -> None:
    data = apply().to_json()
    assert stored_run(json.dumps(data).encode()).to_json() == data
    with pytest.raises(StateError, match="the run record") as caught:
        stored_run(json.dumps(data | change).encode())
    assert "runs/0" not in str(caught.value)
    assert caught.value.hint


def test_json_is_as_the_store_has_it() -> None:
    data: Any = json.loads(to_text(apply()))
    assert data == apply().to_json()
