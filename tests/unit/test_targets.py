"""Ids in place of addresses."""

from reconciler.core.options import with_addresses

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
