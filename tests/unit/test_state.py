import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import Account, canonical
from reconciler.core.state import (
    PendingCreate,
    Prior,
    Record,
    Sending,
    State,
    StateDelta,
    from_text,
    head_line,
    ids_line,
    intent_line,
    outcome_line,
    pending_to_json,
    record_from_json,
    record_to_json,
    recover,
    to_text,
)
from reconciler.errors import StateError

from build import ACCOUNT, record
from documents import check

ADDRESS = "email-smtp/relay"
EMPTY = State("lineage", ACCOUNT)
STATE = State("lineage", ACCOUNT, 3, "2026-01-02T03:04:05Z", "run-1", {ADDRESS: record()})
NAMES = st.from_regex(r"email-(smtp|imap)/[a-z0-9]{1,5}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
RECORDS = st.builds(
    Record,
    st.integers(1, 2**53),
    st.dictionaries(st.text(), VALUES, max_size=3),
    st.dictionaries(st.text(), st.just("hmac-sha256:" + "0" * 64), max_size=2),
    st.just("2026-01-02T03:04:05Z"),
    st.text(),
    st.booleans(),
    st.sampled_from(["delete", "disable"]),
    st.dictionaries(st.text(), VALUES, max_size=2),
    st.lists(st.text(), max_size=2).map(tuple),
    st.dictionaries(st.text(), st.builds(Prior, VALUES, st.text(), VALUES), max_size=2),
    st.booleans(),
    st.dictionaries(st.text(), st.just("2026-01-02"), max_size=1),
    st.lists(st.text(), max_size=2).map(tuple),
    st.dictionaries(st.text(), VALUES, max_size=2),
    st.builds(Sending, st.text(), st.dictionaries(st.text(), VALUES, max_size=2)),
)
PENDING = st.builds(
    PendingCreate,
    st.sampled_from(["run-1", "run-2"]),
    st.just("2026-01-02T03:04:05Z"),
    st.dictionaries(st.text(), VALUES, max_size=2),
)
STATES = st.builds(
    State,
    st.text(min_size=1),
    st.builds(Account, st.text(), st.text()),
    st.integers(0, 10**9),
    st.sampled_from(["", "2026-01-02T03:04:05Z"]),
    st.text(),
    st.dictionaries(NAMES, RECORDS, max_size=4),
    st.dictionaries(NAMES, PENDING, max_size=2),
    st.dictionaries(
        st.sampled_from(["run-1", "run-2"]), st.lists(st.integers(), max_size=3).map(tuple)
    ),
    st.lists(st.text(), max_size=2).map(tuple),
)
CREATE = PendingCreate("run-2", "2026-01-02T03:04:05Z", {"name": "Relay"})


class TestText:
    @given(STATES)
    def test_it_is_read_as_it_was_written_and_fits_its_schema(self, state: State) -> None:
        text = to_text(state).encode("utf-8", "surrogatepass")
        assert from_text(text) == state
        check(json.loads(to_text(state)), "state")

    def test_each_record_is_a_line_so_that_a_diff_shows_what_moved(self) -> None:
        other = STATE._replace(records={**STATE.records, "email-pop/a": record(id=2)})
        lines = to_text(other).splitlines()
        assert [line for line in lines if line not in to_text(STATE).splitlines()] == [
            f'"email-pop/a": {canonical(record_to_json(record(id=2)))},'
        ]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "corrupt"),
            ("[]", "no format_version"),
            ("{", "corrupt"),
            ("[" * 100_000, "corrupt"),
            ('{"format_version": 1}', "no format_version"),
            ('{"format_version": "3.0"}', "has format 3.0"),
            ('{"format_version": "2.5"}', "has format 2.5"),
            ('{"format_version": "1.1"}', "has format 1.1"),
            ('{"format_version": "one"}', "has format one"),
            ('{"format_version": "1.0"}', "corrupt: lineage is missing$"),
            ('{"format_version": "2.0"}', "corrupt: lineage is missing$"),
            (
                to_text(STATE).replace('"id":1', '"id":"1"'),
                f"corrupt: the record of {ADDRESS} is not complete, or a value has the wrong type$",
            ),
            (
                to_text(STATE).replace('"id":1', '"number":1'),
                f"corrupt: the record of {ADDRESS} is not complete, or a value has the wrong type$",
            ),
            (
                to_text(STATE._replace(records={ADDRESS: record(secrets={"password": 7})})),  # type: ignore[dict-item]
                f"corrupt: the record of {ADDRESS} is not complete, or a value has the wrong type$",
            ),
            (to_text(STATE).replace('"serial": 3', '"serial": "3"'), "serial must be a number$"),
            (
                re.sub(r'"records": \{.*\}', '"records": []}', to_text(STATE), flags=re.DOTALL),
                "corrupt: a value has the wrong type$",
            ),
            (to_text(STATE)[:-20], "corrupt: it is incomplete: it ends in line [0-9]+, column"),
        ],
    )
    def test_what_is_no_state_is_refused(self, text: str, words: str) -> None:
        with pytest.raises(StateError, match=words):
            from_text(text.encode())


class TestTransition:
    def test_it_adds_replaces_and_takes_out(self) -> None:
        moved = StateDelta(
            {ADDRESS: None, "email-pop/a": record(id=2)}, {"email-pop/b": CREATE}, {"run-2": (1,)}
        )
        state = moved.of(STATE)
        assert state.records == {"email-pop/a": record(id=2)}
        assert state.pending_creates == {"email-pop/b": CREATE}
        assert state.ids_before == {"run-2": (1,)}
        assert StateDelta({}, {"email-pop/b": None}).of(state) == state._replace(
            pending_creates={}, ids_before={}
        )
        assert state.serial == STATE.serial

    def test_the_ids_before_stay_while_an_answer_is_only_a_claim(self) -> None:
        claimed = record(run="run-2")._replace(fields={}, unseen={"port": 25})
        state = StateDelta({ADDRESS: claimed}, {}, {"run-2": (1,)}).of(EMPTY)
        assert state.ids_before == {"run-2": (1,)}
        seen = StateDelta({ADDRESS: claimed._replace(fields={"port": 25}, unseen={})}).of(state)
        assert seen.ids_before == {}

    def test_on_top_of_somebody_elses_state_nothing_of_theirs_is_lost(self) -> None:
        theirs = STATE._replace(records={**STATE.records, "email-pop/theirs": record(id=9)})
        state = StateDelta({"email-pop/ours": record(id=8)}).of(theirs)
        assert set(state.records) == {ADDRESS, "email-pop/theirs", "email-pop/ours"}


class TestRecover:
    HEAD = head_line(STATE, "run-2")
    NEW = record({"port": 587}, run="run-2")

    def lines(self, *lines: Any) -> list[Any]:
        return json.loads(json.dumps([self.HEAD, *lines]))

    def test_an_outcome_becomes_a_record(self) -> None:
        line = outcome_line(ADDRESS, self.NEW, record())
        found = recover(STATE, [self.lines(intent_line(ADDRESS, None, record()), line)])
        assert (found.runs, found.outcomes) == (("run-2",), 1)
        assert found.delta.of(STATE).records[ADDRESS] == self.NEW

    def test_one_that_the_state_has_already_counts_no_more(self) -> None:
        saved = STATE._replace(records={ADDRESS: self.NEW})
        found = recover(saved, [self.lines(outcome_line(ADDRESS, self.NEW, record()))])
        assert found.outcomes == 0
        assert found.delta.of(saved) == saved

    def test_one_that_somebody_has_replaced_since_does_not_come_back(self) -> None:
        later = STATE._replace(records={ADDRESS: record({"port": 465}, run="run-3")})
        found = recover(later, [self.lines(outcome_line(ADDRESS, self.NEW, record()))])
        assert found.delta.of(later) == later

    @pytest.mark.parametrize(("run", "counts"), [("", True), ("run-2", True), ("run-3", False)])
    def test_one_whose_monitor_a_later_run_has_begun_to_change(
        self, run: str, counts: bool
    ) -> None:
        going = record()._replace(sending=Sending(run, {"port": 465}))
        state = STATE._replace(records={ADDRESS: going})
        found = recover(state, [self.lines(outcome_line(ADDRESS, self.NEW, going))])
        assert found.delta.of(state).records[ADDRESS] == (self.NEW if counts else going)

    @pytest.mark.parametrize(("run", "counts"), [("run-2", True), ("run-3", False)])
    def test_one_without_an_effect_takes_back_what_was_to_be(self, run: str, counts: bool) -> None:
        going = record()._replace(sending=Sending(run, {"port": 465}), deleting=True)
        state = STATE._replace(records={ADDRESS: going})
        found = recover(state, [self.lines(outcome_line(ADDRESS, None, going))])
        assert found.delta.of(state).records[ADDRESS] == (record() if counts else going)

    def test_a_create_without_an_outcome_is_pending(self) -> None:
        lines = self.lines(ids_line([1, 2]), intent_line(ADDRESS, CREATE, None))
        state = recover(EMPTY, [lines]).delta.of(EMPTY)
        assert state == EMPTY._replace(
            pending_creates={ADDRESS: CREATE}, ids_before={"run-2": (1, 2)}
        )

    @pytest.mark.parametrize(
        "wrong", [{"body": "text"}, {"run": 5}, {"at": None}, {"replaces": 0}, {"replaces": []}]
    )
    def test_a_create_that_is_none_is_refused(self, wrong: dict[str, Any]) -> None:
        line = intent_line(ADDRESS, CREATE, None)
        with pytest.raises(TypeError, match=r"pending create|must be a mapping"):
            recover(EMPTY, [self.lines(line | {"creates": line["creates"] | wrong})])

    @pytest.mark.parametrize("wrong", [{"id": 7}, 0, []])
    def test_a_create_of_what_is_no_record_says_so(self, wrong: Any) -> None:
        text = to_text(STATE._replace(pending_creates={ADDRESS: CREATE}))
        data = json.loads(text)
        data["pending_creates"][ADDRESS]["replaces"] = wrong
        replaced = f"the record that the pending create of {ADDRESS} replaces is not complete"
        with pytest.raises(StateError, match=replaced):
            from_text(json.dumps(data).encode())

    @pytest.mark.parametrize("wrong", [["1"], 5, "12", None])
    def test_ids_that_are_none_are_refused(self, wrong: Any) -> None:
        """Else they would be saved, and no run could read the state."""
        with pytest.raises(TypeError, match="must be a"):
            recover(EMPTY, [self.lines({"ids_before": wrong}, intent_line(ADDRESS, CREATE, None))])

    def test_what_does_not_count_leaves_a_create_pending(self) -> None:
        """A record of what was found again, of which the journal does not know that it was."""
        seen = outcome_line(ADDRESS, record(id=7, run="run-2"), record(id=7, run="run-2"))
        state = EMPTY._replace(pending_creates={ADDRESS: CREATE})
        assert recover(state, [self.lines(seen)]).delta.of(state) == state

    def test_a_create_that_somebody_bound_since_is_not(self) -> None:
        bound = STATE._replace(records={ADDRESS: record(run="run-3")})
        found = recover(bound, [self.lines(intent_line(ADDRESS, CREATE, record()))])
        assert found.delta.of(bound) == bound

    @pytest.mark.parametrize("made", [record(id=7, run="run-2"), None])
    def test_one_with_an_outcome_does_not(self, made: Record | None) -> None:
        lines = self.lines(intent_line(ADDRESS, CREATE, None), outcome_line(ADDRESS, made, None))
        state = EMPTY._replace(pending_creates={ADDRESS: CREATE})
        state = recover(state, [lines]).delta.of(state)
        assert state.pending_creates == {}
        assert (ADDRESS in state.records) is (made is not None)

    def test_what_was_to_be_created_again_and_was_not_is_missing_still(self) -> None:
        create = CREATE._replace(replaces=record())
        intent = intent_line(ADDRESS, create, record())
        waiting = recover(STATE, [self.lines(intent)]).delta.of(STATE)
        assert (waiting.records, waiting.pending_creates) == ({}, {ADDRESS: create})
        text = to_text(waiting)
        check(json.loads(text), "state")
        assert from_text(text.encode()) == waiting
        lines = self.lines(intent, outcome_line(ADDRESS, None, None))
        for state in (STATE, waiting):
            assert recover(state, [lines]).delta.of(state) == STATE

    def test_an_id_that_was_given_again_is_bound_once(self) -> None:
        create = CREATE._replace(replaces=record(id=7))
        state = STATE._replace(records={}, pending_creates={ADDRESS: create})
        made = outcome_line("email-pop/new", record(id=7, run="run-2"), None)
        lines = self.lines(made, outcome_line(ADDRESS, None, None))
        assert set(recover(state, [lines]).delta.of(state).records) == {"email-pop/new"}

    def test_an_id_that_a_new_monitor_has_is_no_longer_that_of_a_record(self) -> None:
        new = record(id=record().id, run="run-2")._replace(unseen={"name": "New"})
        intents = (intent_line(address, CREATE, None) for address in ("email-pop/new", ADDRESS))
        made = outcome_line("email-pop/new", new, None)
        assert recover(STATE, [self.lines(made)]).delta.of(STATE).records == {"email-pop/new": new}
        again = outcome_line(ADDRESS, record(id=8, run="run-2"), None)
        state = STATE._replace(records={}, pending_creates={ADDRESS: CREATE})
        found = recover(state, [self.lines(*intents, again, made)]).delta.of(state)
        assert {address: item.id for address, item in found.records.items()} == {
            ADDRESS: 8,
            "email-pop/new": new.id,
        }
        seen = outcome_line("email-pop/new", new._replace(fields=new.unseen, unseen={}), new)
        nothing = outcome_line(ADDRESS, None, record())
        for lines in ((made, seen), (nothing, made)):
            found = recover(STATE, [self.lines(*lines)]).delta.of(STATE)
            assert set(found.records) == {"email-pop/new"}

    def test_a_journal_without_a_line_is_that_of_a_run_that_sent_nothing(self) -> None:
        assert recover(STATE, [[]]).runs == ()

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"lineage": "x"}, "lineage x, not lineage"),
            ({"account": {"name": "x", "url": "y"}}, r"account x \(y\), not https://"),
            ({"journal": "1.0"}, "an earlier version"),
            ({"journal": "3.0"}, "format 3.0, but .* the version that wrote it"),
            ({"journal": None}, "not a journal"),
        ],
    )
    def test_a_foreign_journal_is_refused(self, change: dict[str, Any], words: str) -> None:
        with pytest.raises(StateError, match=words):
            recover(STATE, [[{**self.HEAD, **change}]])


def test_a_state_of_the_first_format_is_read() -> None:
    old = {
        "format_version": "1.0",
        "lineage": "lineage",
        "serial": 3,
        "account": "https://example.com/api/v3",
        "saved_at": "2026-01-02T03:04:05Z",
        "run": "run-2",
        "creating": {ADDRESS: "Relay"},
        "records": {"email-pop/a": record_to_json(record(id=2))},
    }
    state = from_text(json.dumps(old).encode())
    assert state.account == ACCOUNT
    assert state.records == {"email-pop/a": record(id=2)}
    assert state.pending_creates == {ADDRESS: CREATE}
    check(json.loads(to_text(state)), "state")


_AT = "2026-01-02T03:04:05Z"
_RECORD_2_0 = {
    "applied_at": _AT,
    "deleting": True,
    "fields": {"name": "N", "timeout": 45},
    "id": 1,
    "ignore": {"note": "2026-02-01"},
    "previously": ["old"],
    "protect": True,
    "retire": "disable",
    "run": "run-1",
    "secrets": {"password": ""},
    "unseen": {"port": 25},
}
_STATE_2_0 = {
    "lineage": "lineage",
    "serial": 3,
    "account": ACCOUNT._asdict(),
    "saved_at": _AT,
    "run": "run-1",
    "pending_creates": {"email-smtp/new": {"at": _AT, "body": {"name": "M"}, "run": "run-1"}},
    "ids_before": {"run-1": [1, 2]},
    "applied_plans": ["sha256:1"],
}
_STATE_2_1 = {
    **_STATE_2_0,
    "generation": {"commit": "c0ffee00" * 5, "dirty": True},
    "losses": [{"address": "email-pop/x", "at": _AT, "causes": ["deleted"], "id": 7}],
    "budget": {"monitors": 3, "percent": 5},
}
_RECORD_2_2 = {
    **_RECORD_2_0,
    "left": {"interval": 5},
    "made_with": ["name"],
    "prior": {"timeout": {"run": "run-0", "sent": 45, "value": 30}},
}
_STATE_2_2 = {**_STATE_2_1, "unmanaged": [9]}
_RECORD_2_3 = {**_RECORD_2_2, "sending": {"fields": {"port": 26}, "run": "run-1"}}
_STATE_2_4 = {
    **_STATE_2_2,
    "pending_creates": {
        "email-smtp/new": {
            "at": _AT,
            "body": {"name": "M"},
            "replaces": {**_RECORD_2_3, "id": 3},
            "run": "run-1",
        }
    },
}
_FORMATS = {
    "2.0": (_STATE_2_0, _RECORD_2_0),
    "2.1": (_STATE_2_1, _RECORD_2_0),
    "2.2": (_STATE_2_2, _RECORD_2_2),
    "2.3": (_STATE_2_2, _RECORD_2_3),
    "2.4": (_STATE_2_4, _RECORD_2_3),
}
"""What each minor format wrote, of which all have to be read; the last is that of this code."""
_JOURNALS = {"2.0": "2.0", "2.1": "2.1", "2.2": "2.3", "2.3": "2.4"}
"""The formats of journals, and of the states whose records each had last."""


def _with_defaults(data: dict[str, Any]) -> dict[str, Any]:
    usual = {"generation": {"commit": "", "dirty": False}, "losses": [], "budget": {}}
    return {**usual, **data}


@pytest.mark.parametrize("version", _FORMATS)
def test_a_state_of_each_earlier_format_is_read_with_all_that_it_says(version: str) -> None:
    head, held = _FORMATS[version]
    data = {"format_version": version, **head, "records": {ADDRESS: held}}
    state = from_text(json.dumps(data).encode())
    written = json.loads(to_text(state))
    assert written == _with_defaults(data) | {"format_version": "2.4"}
    check(written, "state")


@pytest.mark.parametrize("version", _JOURNALS)
def test_a_journal_of_each_earlier_format_is_read(version: str) -> None:
    head, held = _FORMATS[_JOURNALS[version]]
    text = json.dumps({"format_version": "2.4", **head, "records": {ADDRESS: held}})
    create = {**head["pending_creates"]["email-smtp/new"], "run": "run-2"}
    about = [] if version == "2.0" else [{"about": {"format_version": "1.0"}}]
    lines = [
        {"journal": version, "run": "run-2", "lineage": "lineage", "account": ACCOUNT._asdict()},
        *about,
        {"ids_before": [1, 2]},
        {"intent": "email-pop/new", "creates": create, "replaces": None},
        {"intent": ADDRESS, "creates": None, "replaces": "run-1"},
        {"outcome": ADDRESS, "record": {**held, "run": "run-2"}, "replaces": "run-1"},
    ]
    state = from_text(text.encode())
    if state.records[ADDRESS].sending.run:  # as the run itself had left it
        going = state.records[ADDRESS]._replace(sending=Sending("run-2", {"port": 26}))
        state = state._replace(records={ADDRESS: going})
    found = recover(state, [lines]).delta.of(state)
    assert record_to_json(found.records[ADDRESS]) == record_to_json(
        record_from_json({**held, "run": "run-2"})
    )
    pending = pending_to_json(found.pending_creates["email-pop/new"])
    assert json.loads(json.dumps(pending)) == create
    assert found.ids_before["run-2"] == (1, 2)


def test_the_last_plans_that_were_applied_are_remembered() -> None:
    state = EMPTY
    for number in (*range(150), 149, 60):
        state = StateDelta(applied_plan=f"sha256:{number}").of(state)
    assert len(state.applied_plans) == 100
    assert state.applied_plans[-2:] == ("sha256:149", "sha256:60")
    assert "sha256:49" not in state.applied_plans
