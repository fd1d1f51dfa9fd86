"""Which word is taken for a misspelt one, and which is too far away."""

import pytest

from reconciler.core.nearest import did_you_mean, nearest

VERBS = ("plan", "apply", "render", "report", "drift", "init", "undo", "import", "list", "status")
FIELDS = ("id", "name", "port", "hostname", "interval", "locations", "enabled")
ADDRESSES = ("email-imap/inbox", "email-smtp/inbound-mx", "email-smtp/relay", "email-smtp/*")


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("pln", VERBS, "plan"),
        ("paln", VERBS, "plan"),
        ("statsu", VERBS, "status"),
        ("prot", FIELDS, "port"),
        ("intervall", FIELDS, "interval"),
        ("host", FIELDS, "hostname"),
        ("email-smtp/rely", ADDRESSES, "email-smtp/relay"),
        ("email-smpt/relay", ADDRESSES, "email-smtp/relay"),
        ("email-smtp", ADDRESSES, "email-smtp/*"),
    ],
)
def test_a_slip_of_the_fingers_is_recognised(word: str, known: tuple[str, ...], meant: str) -> None:
    assert nearest(word, known) == meant


@pytest.mark.parametrize(
    ("word", "known"),
    [
        *((word, VERBS) for word in ("rename", "revert", "edit", "unlock", "taint", "re", "")),
        *((word, FIELDS) for word in ("kind", "username", "url", "")),
        *((f"email-smtp/{name}", ADDRESSES) for name in ("a", "x", "outbox", "")),
        ("email-pop/q", ADDRESSES),
        ("/", ADDRESSES),
        ("st", ("state", "status")),
        ("stat", ("statement", "station-three")),
    ],
)
def test_a_far_word_is_not_offered(word: str, known: tuple[str, ...]) -> None:
    assert nearest(word, known) == ""
    assert did_you_mean(word, known) == ""


def test_an_address_without_its_kind_is_meant_whole() -> None:
    assert did_you_mean("relay", ADDRESSES) == "; did you mean email-smtp/relay?"
