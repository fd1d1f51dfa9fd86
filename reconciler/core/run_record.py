"""What one run has done: who, from where, and what every field was before and is since.

Rule: values and pure functions. A run record is written once, when its run ends, or by the run that
finds the journal of one that was killed. It holds what a plan and a result may show and nothing
else: no secret, and of a value that may be one only that it is hidden.

What `after` says is what AlertSite was seen to have, so that it can be compared later: whoever
takes a run back must know whether somebody has moved since.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.generation import Generation
from reconciler.core.json_text import corruption, decoded, encoded
from reconciler.core.mask import HIDDEN, shown
from reconciler.core.plan import Action
from reconciler.core.result import Status
from reconciler.core.state import is_known, record_to_json
from reconciler.errors import ExitCode, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconciler.core.model import JSON, Kind, Live
    from reconciler.core.plan import Change
    from reconciler.core.result import Outcome
    from reconciler.core.state import Record


FORMAT_VERSION = "1.1"
"""Of the record's JSON: the minor number grows with additions, the major with anything else."""
KEPT = 100
"""How many records a store keeps that keeps them as files."""
ONLY_THIS = "This run cannot be shown or undone; all others can."
"""What to say of a record that cannot be used."""
_KILLED = "the run was killed before it could verify this"
_TOOK_EFFECT = frozenset({Status.DONE, Status.NOT_KEPT, Status.UNCONFIRMED, Status.DOUBLED})


class About(NamedTuple):
    """Who runs what, and from where.

    Attributes:
        operation: `apply` or `undo`.
        began: RFC 3339 UTC.
        actor: who started it, as the pipeline or the operating system names them.
        pipeline: where a pipeline shows the run; empty if none does.
        generation: of the manifests.
        plan: the digest of the plan.
        undoes: the run that this one takes back; empty if it takes none.
        is_author: whether the pipeline names the actor, who then is not the user of the machine.
        account: the name of the account; empty in the record of a version that did not say it.
    """

    id: str
    operation: str
    began: str
    actor: str = ""
    pipeline: str = ""
    generation: Generation = Generation()
    plan: str = ""
    tool_version: str = ""
    undoes: str = ""
    is_author: bool = False
    account: str = ""


class RunField(NamedTuple):
    """One field that a run changed, or tried to.

    Attributes:
        before: the normalised value that AlertSite had, without what may be a secret.
        after: what AlertSite was seen to have since, or else what was sent.
        source: where the secret in it comes from; None if it holds none.
        was_applied: whether a manifest had named it before.
        set_key: the member that tells the elements apart, if the value is a list that is a set.
    """

    field: str
    before: JSON
    after: JSON
    source: str | None = None
    was_applied: bool = False
    set_key: str | None = None


class RunChange(NamedTuple):
    """What became of one monitor.

    Attributes:
        id: the monitor; None if none came into being.
        body: of one that was deleted, all that it had and that a manifest could say.
        record: of one that was deleted, what the state knew of it.
    """

    action: Action
    address: str
    id: int | None
    status: Status
    message: str = ""
    fields: tuple[RunField, ...] = ()
    body: Mapping[str, JSON] = {}
    record: Mapping[str, JSON] = {}

    @property
    def took_effect(self) -> bool:
        """Whether AlertSite has it, or may have it."""
        return self.status in _TOOK_EFFECT


class Rebinding(NamedTuple):
    """An address that is bound to another monitor than before; None stands for none."""

    address: str
    before: int | None
    after: int | None


class RunRecord(NamedTuple):
    """What one run has done; changes and bindings are sorted by address.

    Attributes:
        ended: RFC 3339 UTC; empty if the run was killed.
        exit_code: None if the run was killed.
        recovered_by: the run that has written this record in its place; empty if none had to.
    """

    about: About
    changes: tuple[RunChange, ...] = ()
    bindings: tuple[Rebinding, ...] = ()
    ended: str = ""
    exit_code: int | None = None
    recovered_by: str = ""

    @property
    def id(self) -> str:
        """The id of the run."""
        return self.about.id

    @property
    def is_something(self) -> bool:
        """Whether the run has sent anything, or bound anything otherwise."""
        return bool(self.changes or self.bindings)

    @property
    def counts(self) -> dict[str, int]:
        """What was done, and what was not."""
        done = [item.action for item in self.changes if item.status is Status.DONE]
        counts = {action.value: done.count(action) for action in Action}
        return counts | {"not_done": len(self.changes) - len(done)}

    def ending(self, outcomes: Iterable[Outcome], exit_code: ExitCode, at: str) -> RunRecord:
        """The record of a run that has ended, with what became of each change."""
        found = {item.change.address: item for item in outcomes}
        changes = []
        for change in self.changes:
            outcome = found[change.address]
            has = {item.field: item.before for item in outcome.not_kept}
            fields = tuple(
                item._replace(after=has.get(item.field, item.after)) for item in change.fields
            )
            changes.append(
                change._replace(
                    id=outcome.id, status=outcome.status, message=outcome.message, fields=fields
                )
            )
        return self._replace(changes=tuple(changes), exit_code=int(exit_code), ended=at)

    def binding(self, before: Mapping[str, Record], after: Mapping[str, Record]) -> RunRecord:
        """The record, with the addresses that are bound otherwise since."""
        bindings = []
        for address in sorted({*before, *after}):
            was = before[address].id if address in before else None
            now = after[address].id if address in after else None
            if was != now:
                bindings.append(Rebinding(address, was, now))
        return self._replace(bindings=tuple(bindings))

    def recovered(
        self, outcomes: Mapping[str, Record | None], records: Mapping[str, Record], run: str
    ) -> RunRecord:
        """The record of a run that was killed, as far as its journal and the state tell.

        One that has ended and could not be saved is known as it is.

        The journal's `outcomes` are a new record each, or None if a change had no effect; `run` is
        the run that writes this.
        """
        if self.ended:
            return self._replace(recovered_by=run)
        changes = []
        for item in self.changes:
            if item.address in outcomes and outcomes[item.address] is None:
                changes.append(item)  # as it was: not started, or without an effect
                continue
            bound = outcomes.get(item.address) or records.get(item.address)
            number = item.id
            if item.action is Action.CREATE and bound is not None and bound.run == self.id:
                number = bound.id
            changes.append(item._replace(id=number, status=Status.UNCONFIRMED, message=_KILLED))
        return self._replace(changes=tuple(changes), recovered_by=run)

    def touching(self, address: str, field: str | None = None) -> RunRecord | None:
        """The part of it that is about one address, or one field of it; None if there is none."""
        changes = [item for item in self.changes if item.address == address]
        if field is not None:
            changes = [
                item._replace(fields=tuple(each for each in item.fields if each.field == field))
                for item in changes
                if any(each.field == field for each in item.fields)
            ]
        bindings = [item for item in self.bindings if item.address == address and field is None]
        if not changes and not bindings:
            return None
        return self._replace(changes=tuple(changes), bindings=tuple(bindings))

    def to_json(self) -> dict[str, JSON]:
        """The record as `schemas/history.schema.json` describes it."""
        about = encoded(self.about)
        changes = encoded(self.changes)
        for item in changes:
            if item["action"] != Action.DELETE:
                del item["body"], item["record"]
        found = {
            "format_version": FORMAT_VERSION,
            **{name: about[name] for name in _ABOUT},
            "ended": self.ended,
            "exit_code": self.exit_code,
            "recovered_by": self.recovered_by,
            "summary": self.counts,
            "changes": changes,
            "bindings": encoded(self.bindings),
        }
        return found | {name: found[name] or None for name in _NULL_IF_EMPTY}

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> RunRecord:
        """What `to_json` gave, or an earlier version of it.

        Raises:
            StateError: it is something else, or of a newer format.
        """
        version = data.get("format_version") if isinstance(data, dict) else None
        if not is_known(str(version), FORMAT_VERSION):
            raise StateError(
                f"the run record has the format {version}, but this reconciler reads "
                f"{FORMAT_VERSION}",
                "Use the version of reconciler that wrote it, or a newer one.",
            )
        try:
            found = {"account": None, **data}  # which a record of 1.0 does not have
            found |= {name: found[name] or "" for name in _NULL_IF_EMPTY if name in found}
            about = {name: found[name] for name in _ABOUT}
            parts = {name: found[name] for name in cls._fields if name != "about"}
            return decoded(_EXAMPLE, {"about": about, **parts})
        except (KeyError, TypeError) as error:
            raise StateError(
                f"the run record is corrupt: {corruption(error)}",
                ONLY_THIS,
            ) from error


_ABOUT = (
    "id",
    "account",
    "operation",
    "undoes",
    "actor",
    "pipeline",
    "generation",
    "plan",
    "tool_version",
    "began",
)
"""What of `About` is in the JSON, in its order."""
_NULL_IF_EMPTY = ("account", "undoes", "pipeline", "ended", "recovered_by")
_EXAMPLE = RunRecord(
    About("", "", ""),
    (RunChange(Action.CREATE, "", None, Status.DONE, fields=(RunField("", None, None),)),),
    (Rebinding("", None, None),),
    exit_code=0,
)


def run_record(
    about: About,
    changes: Iterable[Change],
    live: Mapping[int, Live],
    kinds: Mapping[str, Kind],
    known: Callable[[str], Record | None],
) -> RunRecord:
    """The record of a run that has sent nothing yet; `known` gives the record of an address."""
    return RunRecord(
        about,
        tuple(
            _planned(change, live.get(change.id or 0), kinds.get(change.kind), known)
            for change in changes
        ),
    )


def to_text(record: RunRecord) -> str:
    """The record as a store keeps it."""
    return json.dumps(record.to_json(), ensure_ascii=False, indent=1) + "\n"


def _planned(
    change: Change, live: Live | None, kind: Kind | None, known: Callable[[str], Record | None]
) -> RunChange:
    record = known(change.address)
    applied = {*record.fields, *record.secrets} if record is not None else set()
    hidden = record.secrets if record is not None and change.action is Action.UPDATE else {}
    fields = tuple(
        RunField(
            item.field,
            # What was a secret until now is not shown as what it was, and not as unset either.
            HIDDEN
            if item.field in hidden and item.source is None
            else _spelled(kind, item.field, live, item.before),
            item.after,
            item.source,
            item.field in applied and change.action is Action.UPDATE,
            item.set_key,
        )
        for item in change.fields
        if item.sent_with is None
    )
    found = RunChange(change.action, change.address, change.id, Status.NOT_STARTED, fields=fields)
    if change.action is not Action.DELETE or live is None or kind is None:
        return found
    kept = record_to_json(record) if record is not None else {}
    return found._replace(body=_body(kind, live, record), record=kept)


def _body(kind: Kind, live: Live, record: Record | None) -> dict[str, JSON]:
    """All of a monitor that a manifest could say, without what may be a secret."""
    managed = record.fields if record is not None else {}
    secret = record.secrets if record is not None else {}
    body = {}
    for name in sorted(live.fields.keys() & {*kind.fields, *managed}):
        field = kind.field(name)
        value = field.normalise(live.fields[name])
        is_said = field.is_shown and not field.is_read_only and name not in secret
        if value is not None and is_said:
            may_show = shown(kind, name, value, managed.get(name))
            body[name] = _spelled(kind, name, live, may_show)
    return body


def _spelled(kind: Kind | None, name: str, live: Live | None, value: JSON) -> JSON:
    """A normalised text as AlertSite spells it: what no comparison minds may matter there."""
    raw = live.fields.get(name) if live is not None else None
    if kind is None or not isinstance(raw, str) or not isinstance(value, str):
        return value
    return raw if kind.field(name).normalise(raw) == value else value
