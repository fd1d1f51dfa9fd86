"""Putting the keys of manifests in order: what stands before, and what stands after."""

from __future__ import annotations

import pytest

from reconciler.manifests.edits import NotEditableError
from reconciler.manifests.formatter import Tidied, tidy
from reconciler.usecases.fmt import Ordering

from build import SCHEMAS

ORDERING = Ordering(SCHEMAS)
HEAD = "apiVersion: reconciler/v1\nkind: email-smtp\n"


def tidied(text: str) -> Tidied:
    return tidy(text.encode(), ORDERING.of)


# The text before and the text after, behind HEAD.
ORDERS = {
    "comments move with their key": (
        """\
spec:
  # about the port
  # and more
  port: 25 # submission
  name: x
    # deeper than its key
""",
        """\
spec:
  name: x
    # deeper than its key
  # about the port
  # and more
  port: 25 # submission
""",
    ),
    "what a blank line keeps from the next key stays above": (
        "spec:\n  # head\n\n  port: 25\n  # port: 26\n\n  name: x\n  # end\n",
        "spec:\n  # head\n\n  name: x\n  port: 25\n  # port: 26\n  # end\n",
    ),
    "values of several lines": (
        "spec:\n  note: |\n    a\n\n    b\n\n  locations:\n  - id: 1\n\n  - id: 2\n  name: x\n",
        "spec:\n  name: x\n\n  locations:\n  - id: 1\n\n  - id: 2\n  note: |\n    a\n\n    b\n",
    ),
    "texts that keep blank lines": (
        "spec:\n  note: |+\n    a\n\n  port: 25\n\n  name: x\n\nextra: {}\n",
        "spec:\n  name: x\n  port: 25\n  note: |+\n    a\n\nextra: {}\n",
    ),
    "no last line break": ("spec:\n  port: 25\n  name: x", "spec:\n  name: x\n  port: 25\n"),
    "a last text without line break": (
        "spec:\n  port: 25\n  name: |\n    x",
        None,
    ),
    "explicit keys": (
        "spec:\n  ? port\n  : 25\n  ? name\n  : x\n",
        "spec:\n  ? name\n  : x\n  ? port\n  : 25\n",
    ),
    "brackets": (
        "spec: { port: 25, 'name': x , mode: y}\n",
        "spec: { 'name': x, port: 25 , mode: y}\n",
    ),
    "brackets with comments": ("spec: {port: 25, # c\n  name: x}\n", None),
    "anchors": (
        "spec:\n  mode: &m x\n  name: *m\n",
        None,
    ),
    "anchors that may move": (
        "spec:\n  mode: *m\n  name: &m x\n".replace("*m", "y"),
        "spec:\n  name: &m x\n  mode: y\n",
    ),
    "anchors that are given twice": ("spec:\n  port: &m 1\n  name: &m x\n", None),
    "sections and their insides": (
        (
            "extra: {b: 1, a: 2}\n# about it\nmetadata: {id: 1, name: x}\n"
            "lifecycle:\n  retire: delete\n  protect: true\n"
        ),
        (
            "# about it\nmetadata: {name: x, id: 1}\n"
            "lifecycle:\n  protect: true\n  retire: delete\nextra: {b: 1, a: 2}\n"
        ),
    ),
    "CRLF": ("spec:\r\n  port: 25\r\n  name: x\r\n", "spec:\r\n  name: x\r\n  port: 25\r\n"),
    "in order": (
        "spec:\n\n\n  name: x\n\n\n  port: 25\n",
        "spec:\n\n\n  name: x\n\n\n  port: 25\n",
    ),
    "what stands behind another document": (
        "spec:\n  port: 25\n  name: x\n--- # next\n\n# a\nspec: {port: 1}\nkind: email-pop\n...\n",
        "spec:\n  name: x\n  port: 25\n--- # next\n\n# a\nkind: email-pop\nspec: {port: 1}\n...\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), ORDERS.values(), ids=ORDERS)
def test_orders(before: str, after: str | None) -> None:
    found = tidied(HEAD + before)
    assert found.data.decode() == HEAD + (before if after is None else after)
    assert bool(found.left) == (after is None)


def test_what_stands_above_the_first_key_stays_above() -> None:
    head = "\ufeff# yaml-language-server: $schema=x\n# about kinds?\n"
    text = f"{head}kind: email-smtp\n# a\napiVersion: 1\n"
    assert tidied(text).data.decode() == f"{head}# a\napiVersion: 1\nkind: email-smtp\n"


def test_defaults_have_an_order_too() -> None:
    text = "spec: {interval: 5, port: 25}\nappliesTo: [email-smtp]\nkind: Defaults\n"
    assert tidied(text).data.decode() == (
        "kind: Defaults\nappliesTo: [email-smtp]\nspec: {port: 25, interval: 5}\n"
    )


@pytest.mark.parametrize("text", ["spec: {a: 1}\nkind: other\n", "- 1\n", "x\n", "", "spec: &a\n"])
def test_what_is_no_manifest_is_left_alone(text: str) -> None:
    assert tidied(text) == Tidied(text.encode(), ())


def test_a_file_with_findings_is_not_touched() -> None:
    with pytest.raises(NotEditableError, match="findings"):
        tidied("a: 1\na: 2\n")
