"""What may be shown and kept of a value that AlertSite has.

Rule: pure. A field with a secretRef is never compared or shown (`diff`, `planner`). This is about
all others: what AlertSite holds beside them may be a secret that no manifest names, such as the API
key in a mapping of which the manifest names the user.

Three things hide a live value. A key whose name looks like that of a secret does, at any depth;
what such a name is, the schema says. A text with the password of a URL is hidden, whatever vouches
for it: no manifest may hold one. And a text in a field that the schema does not know (`extra`) is
hidden, unless Git or the state vouch for it: the manifest has that very text, or the state has a
plain value at the same place, which somebody once wrote in the clear. So when the state is lost,
the old value of a field that held a secretRef is not shown, whatever the field is called. All else
in the fields that the schema knows is what AlertSite shows to all its users.

It is idempotent: what is hidden vouches for nothing. So a record may hold hidden values, and is
compared with live by what may be shown of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.core.model import scalars_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.core.model import JSON, Kind


HIDDEN = "(hidden)"
"""Stands for a value that may be a secret."""
_NO_USER = re.compile(r"[\[/?#]")
_NO_PASSWORD = re.compile(r"[0-9]*[/?#,;)].*|\W*|<.*>|\(.*\)|\$?\{.*\}")
"""A port and what follows it, or what a text has in place of a password."""


def shown(kind: Kind, name: str, value: JSON, state: JSON = None, git: JSON = None) -> JSON:
    """The value of a field without what may be a secret.

    Args:
        kind: the monitor's.
        name: the field's.
        value: what AlertSite has, or what a record says that it had.
        state: what was last applied to the field; None if nothing is known.
        git: what the manifest says of the field; None if it does not name it.
    """
    if value is None:
        return None
    if kind.hides(name):
        return HIDDEN
    known = None if name in kind.fields else {"", *scalars_in(git)}

    def masked(value: JSON, state: JSON, key: str) -> JSON:
        """The value without what may be a secret; `state` is what vouches for it."""
        if isinstance(value, dict):
            before = state if isinstance(state, dict) else {}
            return {
                key: HIDDEN if kind.hides(key) and item else masked(item, before.get(key), key)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [masked(item, _any_of(state), key) for item in value]
        if isinstance(value, str) and _has_password(key, value):
            return HIDDEN
        is_open = known is None or not isinstance(value, str) or value in known
        is_vouched = state is not None and not isinstance(state, dict | list) and state != HIDDEN
        return value if is_open or is_vouched else HIDDEN

    return masked(value, state, name)


def passwords_in(value: JSON, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The keys and indices that lead to each text with the password of a URL."""
    if isinstance(value, dict | list):
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from passwords_in(item, (*path, step))
    elif isinstance(value, str) and "@" in value:
        key = next((step for step in reversed(path) if isinstance(step, str)), "")
        if _has_password(key, value):
            yield path


def _has_password(key: str, text: str) -> bool:
    """Whether a text has `//USER:PASSWORD@`; a host may have that without the slashes.

    In time proportional to its length: a server may have chosen it.
    """
    if "@" not in text:
        return False
    if "host" in key.lower():
        text = f"//{text}"
    for word in text.split():
        for part in word.split("//")[1:]:
            user, colon, password = part.rpartition("@")[0].partition(":")
            if colon and not _NO_USER.search(user) and not _NO_PASSWORD.fullmatch(password):
                return True
    return False


def _any_of(state: JSON) -> JSON:
    """What the elements of a list vouch for together."""
    if not isinstance(state, list) or not state:
        return None
    if all(isinstance(item, dict) for item in state):
        return {key: item for element in state for key, item in element.items()}
    return state[0]
