"""What becomes of a comment and of labels."""

from __future__ import annotations

import pytest

from reconciler.core.model import Account
from reconciler.core.plan import Action, Change, Coverage, Loss, Plan
from reconciler.core.review import (
    CHANGES,
    DESTROY,
    LOSS,
    Behavior,
    Comment,
    Labels,
    Steps,
    is_current,
    labels,
    marked,
    ours,
    steps,
)

_OLD = Comment(1, marked("old", "default"))
_NOW = Comment(2, marked("now", "default"))


@pytest.mark.parametrize(
    ("own", "behavior", "expected"),
    [
        ((), Behavior.UPDATE, Steps(create=True)),
        ((), Behavior.NEW, Steps(create=True)),
        ((), Behavior.DELETE_AND_NEW, Steps(create=True)),
        ((_OLD,), Behavior.UPDATE, Steps(update=1)),
        ((_OLD,), Behavior.NEW, Steps(create=True)),
        ((_OLD,), Behavior.DELETE_AND_NEW, Steps(create=True, delete=(1,))),
        ((_NOW,), Behavior.UPDATE, Steps()),
        ((_NOW,), Behavior.NEW, Steps()),
        ((_NOW,), Behavior.DELETE_AND_NEW, Steps()),
        ((_OLD, _NOW), Behavior.UPDATE, Steps()),
        ((_OLD, _NOW), Behavior.DELETE_AND_NEW, Steps(delete=(1,))),
        ((_NOW, _OLD), Behavior.UPDATE, Steps(update=1)),
        ((_NOW, _OLD), Behavior.NEW, Steps(create=True)),
    ],
)
def test_steps(own: tuple[Comment, ...], behavior: Behavior, expected: Steps) -> None:
    assert steps(own, "now", behavior) == expected


def test_the_marker_survives_what_a_platform_does_to_a_text() -> None:
    body = marked("one\ntwo", "default")
    assert is_current(Comment(1, body.replace("\n", "\r\n") + "\n"), "one\ntwo")
    assert not is_current(Comment(1, body), "one\nthree")
    assert not is_current(Comment(1, "one\ntwo"), "one\ntwo")


@pytest.mark.parametrize("account", ["default", "a b", "--> <script>", "ä\n", "a%20b"])
def test_an_account_has_its_own_comments_whatever_its_name(account: str) -> None:
    body = marked("text", account)
    assert body.count("-->") == 1
    assert body.count("\n") == 1
    comments = (Comment(1, body), Comment(2, marked("text", "other")), Comment(3, f" {body}"))
    assert ours(comments, account) == comments[:1]


def _plan(*actions: Action) -> Plan:
    changes = tuple(
        Change(action, f"email-smtp/m{number}", "email-smtp", number, {}, (), None)
        for number, action in enumerate(actions)
    )
    return Plan(Account("default", "https://example.com"), changes)


def test_a_plan_by_which_monitoring_is_lost_has_a_label() -> None:
    losses = (Loss("email-smtp/m0", 0, ("disabled",)),)
    plans = [_plan(), _plan(Action.UPDATE)._replace(coverage=Coverage(1, losses))]
    assert labels(plans, frozenset()) == Labels((CHANGES, LOSS), ())
    assert labels(plans[:1], frozenset({LOSS})) == Labels((), (LOSS,))


@pytest.mark.parametrize(
    ("actions", "present", "expected"),
    [
        ((), (), Labels((), ())),
        ((), (CHANGES, DESTROY, "mine"), Labels((), (CHANGES, DESTROY))),
        ((Action.UPDATE,), (), Labels((CHANGES,), ())),
        ((Action.UPDATE,), (CHANGES, DESTROY), Labels((), (DESTROY,))),
        ((Action.DELETE,), (CHANGES,), Labels((DESTROY,), ())),
        ((Action.DELETE, Action.CREATE), ("mine",), Labels((CHANGES, DESTROY), ())),
    ],
)
def test_labels(actions: tuple[Action, ...], present: tuple[str, ...], expected: Labels) -> None:
    assert labels([_plan(*actions)], frozenset(present)) == expected
