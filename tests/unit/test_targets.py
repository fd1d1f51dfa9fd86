"""Which manifests and monitors targets mean."""

import pytest

from reconciler.core.model import Origin
from reconciler.core.targets import is_target, is_target_address, with_addresses

from build import desired, record

RECORDS = {"email-smtp/relay": record(id=7), "email-smtp/gone": record(id=8)}


def test_an_id_is_the_address_that_is_bound_to_it() -> None:
    targets = ("8", "email-smtp/*", "team=7", "9", "7")
    found = with_addresses(targets, (), RECORDS)
    assert found == ("email-smtp/gone", "email-smtp/*", "team=7", "9", "email-smtp/relay")


def test_the_word_of_a_manifest_counts_more() -> None:
    found = with_addresses(("7",), (desired(name="other", id=7),), RECORDS)
    assert found == ("email-smtp/other",)


def test_digits_of_other_scripts_are_no_id() -> None:
    target = "\N{ARABIC-INDIC DIGIT SEVEN}"
    assert with_addresses((target,), (), RECORDS) == (target,)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (["monitors/mail/"], True),
        (["monitors/mail"], True),
        (["./monitors/mail/a.yaml"], True),
        (["monitors/*/a.yaml"], True),
        (["monitors/mail/b.yaml"], False),
        (["monitors/mai"], False),
        (["*/mail*"], False),
        (["!email-smtp/relay"], False),
        (["!email-smtp/other"], True),
        (["team=mail", "!monitors/mail"], False),
        (["!team=web", "monitors/"], True),
        (["email-imap/*", "!email-smtp/x"], False),
        ([], True),
    ],
)
def test_paths_and_what_is_left_out(targets: list[str], *, expected: bool) -> None:
    item = desired(labels={"team": "mail"})._replace(origin=Origin("monitors/mail/a.yaml", 0, 1))
    assert is_target(item, targets) is expected


def test_a_file_is_meant_by_its_name_whatever_is_in_it() -> None:
    item = desired()._replace(origin=Origin("monitors/mail [1].yaml", 0, 1))
    assert is_target(item, ["monitors/mail [1].yaml"])
    assert is_target(item, ["monitors/mail*.yaml"])
    assert not is_target(item, ["monitors/mail [2].yaml"])


def test_what_is_left_out_of_addresses() -> None:
    addresses = ["email-smtp/a", "email-smtp/b", "email-imap/a"]
    targets = ("email-smtp/*", "!*/b")
    assert [item for item in addresses if is_target_address(item, targets)] == ["email-smtp/a"]


def test_an_id_can_be_left_out() -> None:
    assert with_addresses(("!8",), (), RECORDS) == ("!email-smtp/gone",)
