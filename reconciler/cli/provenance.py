"""Where a page comes from, and which commands apply what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler import __version__
from reconciler.cli import console
from reconciler.errors import without_logins
from reconciler.render.view import Made

if TYPE_CHECKING:
    from reconciler.cli.formats import Outputs
    from reconciler.core.options import PlanOptions
    from reconciler.core.saved_plan import PlanInputs

_FOLDER = "monitors"


def of_plan(
    outputs: Outputs,
    rules: PlanOptions,
    run: str,
    now: str,
    manifests: str,
    location: str | None,
    out: str | None,
) -> Made:
    """Of a plan that was just made; asks Git for the commit only if that will be shown."""
    if not outputs.has("html"):
        return Made()
    from reconciler.usecases.checkout import read_generation

    given = [*(("--manifests", manifests) if manifests != _FOLDER else ())]
    given += ("--state", without_logins(location)) if location else ()
    chosen = [word for address in rules.keep for word in ("--keep", address)]
    chosen += [word for target in rules.targets for word in ("--target", target)]
    return Made(
        commit=str(read_generation(manifests, console.reporter())),
        run=run,
        read_at=now,
        version=__version__,
        apply=_apply(out) if out else _apply(*given, *_flags(rules), *chosen),
        apply_part=_apply(*given, *_flags(rules, prune=False)),
    )


def of_saved(basis: PlanInputs, file: str) -> Made:
    """Of a saved plan."""
    return Made(
        commit=str(basis.generation),
        run=basis.id,
        version=basis.tool_version,
        apply=_apply(file),
        apply_part=_apply(*_flags(basis, prune=False)),
    )


def of_run(run: str, now: str) -> Made:
    """Of what needs no command: drift, a result, a report."""
    return Made(run=run, read_at=now, version=__version__)


def _flags(rules: PlanOptions | PlanInputs, *, prune: bool = True) -> list[str]:
    """The switches that a plan was made with.

    Those that are about retiring go only with what retires: without, apply would do more.
    """
    switches = (
        (rules.adopt, "--adopt"),
        (rules.write_secrets, "--write-secrets"),
        (rules.prune and prune, "--prune"),
    )
    return [flag for is_given, flag in switches if is_given]


def _apply(*arguments: str) -> str:
    from shlex import join  # only for a page

    return join(("reconciler", "apply", *arguments))
