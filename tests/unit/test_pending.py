from collections.abc import Collection

import pytest

from reconciler.core.model import Live
from reconciler.core.pending import Resolution, reopened, resolve_pending_creates
from reconciler.core.state import PendingCreate, State

from build import ACCOUNT, SCHEMAS, live, record

RELAY, OTHER = "email-smtp/relay", "email-smtp/other"
BODY = {"name": "Relay of the house in Boston", "hostname": "mail.example.com"}
AT = "2026-01-02T03:04:05Z"


def state(**bodies: str) -> State:
    pending = {
        f"email-smtp/{name}": PendingCreate("run-1", AT, {**BODY, "name": body})
        for name, body in bodies.items()
    }
    return State(
        "lineage", ACCOUNT, pending_creates=pending, ids_before={"run-1": (1, 2)}, run="run-1"
    )


ONE = state(relay=BODY["name"])
MADE = live(BODY, id=7)


def resolve(
    known: State,
    *monitors: Live,
    named: Collection[int] = (),
    asked: Collection[str] = (RELAY, OTHER),
) -> Resolution:
    return resolve_pending_creates(known, monitors, SCHEMAS.kinds, named, asked)


def test_the_one_new_monitor_of_that_kind_and_name_is_it() -> None:
    found = resolve(ONE, live(BODY, id=1), live(BODY, type="email-pop", id=8), MADE)
    assert found.found == {RELAY: 7}
    assert found.missing == ()


def test_one_that_was_there_before_is_somebody_elses() -> None:
    found = resolve(ONE, live(BODY, id=1), live(BODY, id=2))
    assert (found.found, found.missing) == ({}, (RELAY,))


def test_a_bound_one_is_not_free() -> None:
    assert resolve(ONE, MADE, named={7}).missing == (RELAY,)
    bound = ONE._replace(records={OTHER: record(id=7)})
    assert resolve(bound, MADE).missing == (RELAY,)


def test_one_that_watches_something_else_is_not_it() -> None:
    other = live({"name": "Another", "hostname": "elsewhere.example.com"}, id=7)
    assert resolve(ONE, other).missing == (RELAY,)
    assert resolve(ONE, live({"name": BODY["name"]}, id=7)).found == {RELAY: 7}  # it does not say


def test_spellings_of_servers_are_the_same_name() -> None:
    known = state(relay="Café & Bar  relay ")
    for name in ("Cafe\u0301 & Bar relay", "Café &amp; Bar relay", " CAFÉ & bar relay"):
        assert resolve(known, live({**BODY, "name": name}, id=7)).found == {RELAY: 7}


def test_a_name_that_was_cut_counts_where_no_other_has_it() -> None:
    cut = live({**BODY, "name": BODY["name"][:20]}, id=8)
    assert resolve(ONE, cut).found == {RELAY: 8}
    assert resolve(ONE, cut, MADE).found == {RELAY: 7}
    assert resolve(ONE, live({"name": "Relay"}, id=8)).missing == (RELAY,)


@pytest.mark.parametrize(
    "name", [" relay/d  cafe\u0301 & co", "relay/numbr b re\u0301gion", "Relay / d   & co in it"]
)
def test_a_name_is_cut_as_the_server_stores_it(name: str) -> None:
    """Blanks count there that no comparison counts, and a letter may lose its accent."""
    cut = live({**BODY, "name": name[:16]}, id=7)
    assert resolve(state(relay=name), cut).found == {RELAY: 7}


def test_what_may_be_it_is_neither_bound_nor_taken_for_nothing() -> None:
    for odd in ({"hostname": "elsewhere.example.com"}, {"name": "ACME: something"}):
        found = resolve(ONE, live({**BODY, **odd}, id=7))
        assert (found.found, found.ambiguous, found.missing) == ({}, {RELAY: (7,)}, ())


def test_a_name_that_begins_like_another_is_not_taken_from_it() -> None:
    known = state(relay="A relay with a long name", other="A relay with a long name 2")
    first = live({**BODY, "name": "A relay with a long name"}, id=7)
    found = resolve(known, first)
    assert (found.found, found.missing) == ({RELAY: 7}, (OTHER,))


def test_several_are_ambiguous() -> None:
    found = resolve(ONE, MADE, MADE._replace(id=8))
    assert (found.found, found.ambiguous, found.missing) == ({}, {RELAY: (7, 8)}, ())


def test_what_no_manifest_asks_for_is_left_over() -> None:
    found = resolve(ONE, MADE, asked=())
    assert (found.found, found.leftover) == ({}, {RELAY: 7})


def test_a_kind_that_is_not_told_counts() -> None:
    assert resolve(ONE, MADE._replace(type=None)).found == {RELAY: 7}


def test_a_name_that_is_no_text_is_nobodys() -> None:
    assert resolve(ONE, live({"name": {"x": 1}}, id=7), live({}, id=8)).missing == (RELAY,)


class TestCrossedAnswers:
    THEIRS = {**BODY, "name": "Another relay"}

    def bound(self, *, other: bool = True) -> State:
        """The answers of two creates: the relay got 8, and the other one 7 or none."""
        records = {RELAY: record(id=8)._replace(unseen=BODY)}
        if other:
            return State(
                "lineage",
                ACCOUNT,
                records={**records, OTHER: record(id=7)._replace(unseen=self.THEIRS)},
            )
        return state(other=self.THEIRS["name"])._replace(records=records)

    def crossed(self, known: State, *monitors: Live, is_over: bool = True) -> set[str]:
        live = {item.id: item for item in monitors}
        return set(reopened(known, live, SCHEMAS.kinds, (), {RELAY, OTHER}, is_over=is_over))

    def test_both_are_pending_again(self) -> None:
        assert self.crossed(self.bound(), MADE, live(self.THEIRS, id=8)) == {RELAY, OTHER}

    def test_the_one_is_whose_answer_was_that_of_the_other(self) -> None:
        known, seen = self.bound(other=False), {7: MADE, 8: live(self.THEIRS, id=8)}
        found = reopened(known, seen, SCHEMAS.kinds, (), {RELAY, OTHER}, is_over=False)
        assert found == {RELAY: PendingCreate("run-1", AT, BODY)}

    def test_names_that_a_server_cuts_are_known_too(self) -> None:
        cut = live({**BODY, "name": BODY["name"][:20]}, id=7)
        theirs = live({**self.THEIRS, "name": "Another relay of the"}, id=8)
        sent = {**BODY, "name": "Another relay of the house"}
        known = state(other=sent["name"])._replace(records=self.bound(other=False).records)
        assert self.crossed(known, cut, theirs) == {RELAY}

    @pytest.mark.parametrize("name", [BODY["name"].upper(), BODY["name"][:20], "Something else"])
    def test_a_name_that_is_nobody_elses_is_believed(self, name: str) -> None:
        seen = live({**BODY, "name": name}, id=8)
        assert self.crossed(self.bound(), seen, live(self.THEIRS, id=7)) == set()

    def test_what_was_there_before_another_was_sent_is_not_what_that_has_made(self) -> None:
        known = self.bound(other=False)
        later = known.pending_creates[OTHER]._replace(run="run-2")
        known = known._replace(pending_creates={OTHER: later})
        renamed = live(self.THEIRS, id=8)
        for before, found in (((8,), set()), ((), {RELAY})):
            ids = {"run-1": (), "run-2": before}
            assert self.crossed(known._replace(ids_before=ids), renamed) == found

    def test_its_own_monitor_is_somewhere_else(self) -> None:
        known = self.bound(other=False)._replace(pending_creates={})
        stranger = live({"name": "A stranger's", "hostname": "elsewhere.example.com"}, id=8)
        like_it = live({**BODY, "name": "A stranger's"}, id=8)
        own = live(BODY, id=9)
        assert self.crossed(known, stranger, own) == {RELAY}
        assert self.crossed(known, own) == {RELAY}
        assert self.crossed(known, own, is_over=False) == set()  # it may come yet
        assert self.crossed(known, like_it, own) == set()  # somebody may have renamed it
        assert self.crossed(known, stranger) == set()
        for ids in ({"run-1": (1, 9)}, {}):  # it was there before, or may have been
            assert self.crossed(known._replace(ids_before=ids), stranger, own) == set()

    @pytest.mark.parametrize("gone", [7, 8])
    def test_of_two_that_were_crossed_one_may_be_gone(self, gone: int) -> None:
        known = self.bound()._replace(ids_before={"run-1": ()})
        both = {7: MADE, 8: live(self.THEIRS, id=8)}
        seen = [item for number, item in both.items() if number != gone]
        assert self.crossed(known, *seen) == {RELAY, OTHER}
        assert self.crossed(known, *seen, is_over=False) == {OTHER if gone == 8 else RELAY}

    def test_one_that_is_not_there_and_that_no_manifest_asks_for_is(self) -> None:
        known = self.bound(other=False)
        for described, is_over, found in (
            ((), False, [RELAY]),
            ((), True, []),
            ({RELAY}, False, []),
        ):
            assert [*reopened(known, {}, SCHEMAS.kinds, (), described, is_over=is_over)] == found

    def test_what_a_look_has_confirmed_is_not_doubted(self) -> None:
        known = self.bound(other=False)
        seen = known.records[RELAY]._replace(fields=BODY)
        known = known._replace(records={RELAY: seen})
        assert self.crossed(known, MADE, live(self.THEIRS, id=8)) == set()
