"""What may be shown and kept of a value that AlertSite has.

Rule: pure. A field with a secretRef is never compared or shown (`diff`, `planner`). This is about
all others: what AlertSite holds beside them may be a secret that no manifest names, such as the API
key in a mapping of which the manifest names the user.

Two things hide a live value. A key whose name looks like that of a secret does, at any depth; what
such a name is, the schema says. And a text in a field that the schema does not know (`extra`) is
hidden, unless Git or the state vouch for it: the manifest has that very text, or the state has a
plain value at the same place, which somebody once wrote in the clear. So when the state is lost,
the old value of a field that held a secretRef is not shown, whatever the field is called. The
fields that the schema knows are those that AlertSite shows to all its users.

It is idempotent: what is hidden vouches for nothing. So a record may hold hidden values, and is
compared with live by what may be shown of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.model import scalars_in

if TYPE_CHECKING:
    from reconciler.core.model import JSON, Kind


HIDDEN = "(hidden)"
"""Stands for a value that may be a secret."""


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

    def masked(value: JSON, state: JSON) -> JSON:
        """The value without what may be a secret; `state` is what vouches for it."""
        if isinstance(value, dict):
            before = state if isinstance(state, dict) else {}
            return {
                key: HIDDEN if kind.hides(key) and item else masked(item, before.get(key))
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [masked(item, _any_of(state)) for item in value]
        is_open = known is None or not isinstance(value, str) or value in known
        is_vouched = state is not None and not isinstance(state, dict | list) and state != HIDDEN
        return value if is_open or is_vouched else HIDDEN

    return masked(value, state)


def _any_of(state: JSON) -> JSON:
    """What the elements of a list vouch for together."""
    if not isinstance(state, list) or not state:
        return None
    if all(isinstance(item, dict) for item in state):
        return {key: item for element in state for key, item in element.items()}
    return state[0]
