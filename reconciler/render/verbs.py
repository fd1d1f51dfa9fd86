"""The one word for each thing that is done, in all that people read.

The words for requests are Terraform's. JSON has the names of the actions instead, which stay.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.core.plan import Action, BindingAction


class Verb(NamedTuple):
    """What is done to a monitor or a record.

    Attributes:
        symbol: what stands before its lines.
        word: as in `3 to add`.
        done: as in `3 added`.
    """

    symbol: str
    word: str
    done: str


VERBS: dict[Action | BindingAction, Verb] = {
    Action.CREATE: Verb("+", "add", "added"),
    Action.UPDATE: Verb("~", "change", "changed"),
    Action.DELETE: Verb("-", "destroy", "destroyed"),
    BindingAction.ADOPT: Verb("=", "adopt", "adopted"),
    BindingAction.BIND: Verb("=", "recover", "recovered"),
    BindingAction.FORGET: Verb(".", "forget", "forgotten"),
    BindingAction.MOVE: Verb("=", "rename", "renamed"),
    BindingAction.UNBIND: Verb(".", "unbind", "unbound"),
}
