"""The use cases, each readable as its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler import manifest
from reconciler.errors import (
    AlertSiteError,
    Diagnostic,
    ExitCode,
    InvalidManifestsError,
    Position,
    RefusedError,
    UsageError,
)
from reconciler.model import Desired, Origin
from reconciler.plan import Plan, decide, matches
from reconciler.result import Outcome, Result, Status, confirm

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from reconciler.alertsite import Reader, Writer
    from reconciler.model import Kind
    from reconciler.plan import Change
    from reconciler.schema import Schemas


class Fleet(NamedTuple):
    """Every manifest of a workspace, valid, with unique addresses and ids."""

    desired: tuple[Desired, ...]
    files: int


class Execution(NamedTuple):
    """How an apply proceeds.

    Attributes:
        stop: once set (by a signal), nothing new is started.
        progress: is told each outcome as it is known.
        settle: seconds to wait before each further look, when AlertSite does not show what it
            accepted; whether it shows it at once is not documented.
    """

    parallelism: int
    fail_fast: bool
    stop: threading.Event
    progress: Callable[[Outcome], None]
    settle: tuple[float, ...]


def load_fleet(paths: Sequence[str], schemas: Schemas) -> Fleet:
    """Finds, reads and checks the manifests.

    Raises:
        ConfigurationError: there are no manifests to read.
        InvalidManifestsError: with every finding of all files.
    """
    parser, locator = manifest.Parser(), manifest.Locator()
    desired: list[Desired] = []
    findings: list[Diagnostic] = []
    files = manifest.find(paths)
    for path in files:
        data = manifest.read(path)
        if isinstance(data, Diagnostic):
            findings.append(data)
            continue
        documents, faults = parser.parse(path, data)
        findings += faults
        for document in documents:
            if kind := schemas.accept(document.value):
                desired.append(_desired(kind, document))
            else:
                known = {fault.position for fault in faults}
                explained = _explain(document, locator, schemas)
                findings += [item for item in explained if item.position not in known]
    findings += _duplicates(desired, locator)
    if findings:
        raise InvalidManifestsError(tuple(sorted(set(findings))))
    return Fleet(tuple(desired), len(files))


def plan_workspace(
    fleet: Fleet, reader: Reader, schemas: Schemas, targets: Sequence[str] = ()
) -> Plan:
    """What would bring AlertSite to the fleet; reads once and writes nothing.

    Raises:
        UsageError: a target matches no manifest.
        AlertSiteError: AlertSite cannot be read.
    """
    for target in targets:
        if not any(matches(item, target) for item in fleet.desired):
            raise UsageError(
                f"--target {target} matches no manifest",
                "A target is an address such as email-smtp/prod-relay, a glob or label=value.",
            )
    live = reader.list_monitors(schemas.kinds)
    return decide(reader.account, fleet.desired, live, schemas.kinds, targets)


def refuse_refusals(plan: Plan) -> None:
    """Stops before anything is sent if the plan holds a refusal.

    Raises:
        RefusedError: naming how many there are.
    """
    if count := len(plan.refusals):
        what = "1 manifest is" if count == 1 else f"{count} manifests are"
        raise RefusedError(
            f"{what} refused, so nothing can be applied",
            "Mend what the plan says above, or leave it out with --target.",
        )


def refuse_stale(approved: Plan, current: Plan) -> None:
    """Stops if AlertSite has moved while a person was reading the plan.

    Raises:
        RefusedError: the two plans would not do the same.
    """
    if approved.digest != current.digest:
        raise RefusedError(
            "AlertSite changed while the plan was being approved, so nothing is applied",
            "Run the same command again and read the new plan.",
        )


def apply_plan(
    plan: Plan, writer: Writer, replan: Callable[[], Plan], execution: Execution
) -> Result:
    """Carries out the plan's changes, then reads AlertSite again to see what it kept.

    Args:
        plan: what to do, as it was approved.
        writer: what sends the requests.
        replan: plans the same manifests against a fresh read.
        execution: how to proceed.
    """
    from reconciler.executor import execute  # noqa: PLC0415 - 5 ms that planning saves

    def send(change: Change) -> None:
        writer.patch(change.path, change.body)

    outcomes = execute(
        plan.changes,
        send,
        parallelism=execution.parallelism,
        fail_fast=execution.fail_fast,
        stop=execution.stop,
        progress=execution.progress,
    )
    outcomes = _verify(outcomes, replan, execution)
    interrupted = execution.stop.is_set() and any(
        outcome.status is not Status.DONE for outcome in outcomes
    )
    return Result(plan.account, outcomes, interrupted=interrupted)


def _verify(
    outcomes: tuple[Outcome, ...], replan: Callable[[], Plan], execution: Execution
) -> tuple[Outcome, ...]:
    """The outcomes as AlertSite shows them, with a few more looks while it shows something else."""
    if not any(item.status in {Status.DONE, Status.UNCONFIRMED} for item in outcomes):
        return outcomes
    confirmed = outcomes
    for wait in (0.0, *execution.settle):
        execution.stop.wait(wait)
        try:
            confirmed = confirm(outcomes, replan())
        except Exception as error:  # noqa: BLE001 - a bug must not cost the report on what was done
            if confirmed is not outcomes:
                return confirmed
            return tuple(_unverified(item, error) for item in outcomes)
        if not any(map(_is_doubtful, outcomes, confirmed)):
            break
    return confirmed


def _is_doubtful(before: Outcome, confirmed: Outcome) -> bool:
    """Whether AlertSite showed something else than what it accepted, or may have received."""
    return confirmed.status is not Status.DONE and confirmed.status is not before.status


def _unverified(outcome: Outcome, error: Exception) -> Outcome:
    if outcome.status is not Status.DONE:
        return outcome
    known = isinstance(error, AlertSiteError)
    reason = str(error) if known else f"unexpected failure: {type(error).__name__}: {error}"
    message = f"AlertSite accepted the request and could not be read again: {reason}"
    code = error.exit_code if isinstance(error, AlertSiteError) else ExitCode.BUG
    return Outcome(outcome.change, Status.UNCONFIRMED, message, code)


def _desired(kind: Kind, document: manifest.Document) -> Desired:
    value = document.value
    metadata = value["metadata"]
    return Desired(
        kind=kind,
        name=metadata["name"],
        id=int(metadata["id"]) if "id" in metadata else None,  # JSON Schema takes 7.0 for one
        labels=metadata.get("labels", {}),
        fields=value["spec"] | value["extra"] if "extra" in value else value["spec"],
        origin=Origin(document.path, document.number, document.line),
    )


def _explain(
    document: manifest.Document, locator: manifest.Locator, schemas: Schemas
) -> Iterator[Diagnostic]:
    for problem in schemas.explain(document.value):
        position = locator.position(
            document.path, document.number, problem.pointer, of_key=problem.of_key
        )
        yield Diagnostic(position, problem.code, problem.message)


def _duplicates(desired: Sequence[Desired], locator: manifest.Locator) -> Iterator[Diagnostic]:
    def position(item: Desired, key: str) -> Position:
        return locator.position(item.origin.path, item.origin.document, ("metadata", key))

    addresses: dict[str, Desired] = {}
    ids: dict[int, Desired] = {}
    for item in desired:
        first = addresses.setdefault(item.address, item)
        if first is not item:
            other = position(first, "name")
            message = f"{item.address} is already described at {other}; give one another name"
            yield Diagnostic(position(item, "name"), "duplicate-address", message)
        if item.id is None:
            continue
        first = ids.setdefault(item.id, item)
        if first is not item:
            other = position(first, "id")
            message = f"monitor {item.id} is already bound by {first.address} at {other}"
            yield Diagnostic(position(item, "id"), "duplicate-id", message)
