"""Saved plans: written by `plan --out`, read by `apply FILE` and `show FILE`."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from reconciler import __version__, durable, render
from reconciler.cli import config, console, json_file, runtime
from reconciler.core import saved_plan
from reconciler.core.plan import FORMAT_VERSION, fingerprint
from reconciler.core.saved_plan import PlanInputs, SavedPlan
from reconciler.errors import ConfigurationError, RefusedError
from reconciler.schema import problem_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.core.generation import Generation
    from reconciler.core.plan import Plan
    from reconciler.core.state import State
    from reconciler.usecases.plan import Workspace

NAME = "plan.json"
"""What a pipeline calls the plan that it keeps."""


def basis(workspace: Workspace, state: State, run: str, generation: Generation) -> PlanInputs:
    """What a plan of this workspace is made from, how, and by which run."""
    rules = workspace.rules
    return PlanInputs(
        tool_version=__version__,
        lineage=state.lineage if state.serial else "",
        manifests=saved_plan.fleet_digest(workspace.fleet.desired),
        id=run,
        targets=tuple(rules.targets),
        adopt=rules.adopt,
        write_secrets=rules.write_secrets,
        prune=rules.prune,
        keep=tuple(rules.keep),
        generation=generation,
        undoes=workspace.undoes,
        settings=fingerprint(config.read_deciding(config.PROJECT)),
    )


def check(path: str) -> None:
    """Stops before anything is done if no plan can be written there.

    Raises:
        ConfigurationError: its folder is not there, or it is something else, as a manifest.
    """
    place = Path(path)
    try:
        os.stat(f"{place.parent}/")  # noqa: PTH116 - which tells a folder from a file
        is_other = place.is_file() and durable.read_any(place)[:1] not in {b"", b"{"}
    except OSError as error:
        raise unwritable(path, error) from error
    if place.exists() and not place.is_file():
        raise unwritable(path, OSError(None, "it is not a regular file"))
    if is_other:
        raise ConfigurationError(
            f"{config.to_here(path, runtime.here())} is not replaced: it holds something else than "
            "a plan",
            "Name another file with --out.",
        )


def unwritable(path: str, error: OSError) -> ConfigurationError:
    """What is said if the file cannot be written."""
    return ConfigurationError(
        f"{config.to_here(path, runtime.here())} cannot be written: {error.strerror}",
        "Name another file with --out.",
    )


def to_apply(path: str) -> str:
    """The end of a message: where a plan is, and how to apply it."""
    shown = config.to_here(path, runtime.here())
    return f"written to {shown}. To apply it: reconciler apply {quote(shown)}"


def write(
    path: str,
    plan: Plan,
    workspace: Workspace,
    state: State,
    run: str,
    generation: Generation,
    targets: Sequence[str] | None = None,
) -> None:
    """Writes a plan down, whole or not at all; one that is refused is not written.

    Args:
        path: where to.
        plan: the plan.
        workspace: what it was made from.
        state: what was known.
        run: the id of the run that made it.
        generation: the commit of the manifests.
        targets: what was targeted, if the workspace has other targets, as that of an undo.

    Raises:
        ConfigurationError: as `check`, or it cannot be written.
    """
    if plan.refusals:
        shown = config.to_here(path, runtime.here())
        console.say(f"{shown} is not written: a plan with refusals cannot be applied.")
        return
    made_from = basis(workspace, state, run, generation)
    if targets is not None:
        made_from = made_from._replace(targets=tuple(targets))
    saved = SavedPlan(plan, made_from)
    check(path)
    text = render.as_json(saved_plan.to_json(saved)) + "\n"
    try:
        durable.replace(Path(path), text.encode())
    except OSError as error:
        raise unwritable(path, error) from error
    console.note(f"Plan {to_apply(path)}")


def read(path: str) -> SavedPlan:
    """The plan in a file.

    Raises:
        ConfigurationError: the file cannot be read or holds something else.
        RefusedError: it was written by another version, or changed by hand.
    """
    hint = "Name a file written by plan --out."
    if not Path(path).exists() and not path.endswith(".json"):
        hint = f"{hint} To choose manifests, use --target."
    data = json_file.read(path, hint)
    version = data.get("format_version") if isinstance(data, dict) else None
    if isinstance(version, str) and version != FORMAT_VERSION:
        raise RefusedError(
            f"{path} has format {version}, but this reconciler reads {FORMAT_VERSION}",
            "Use the version that wrote it, or make a new plan: reconciler plan --out FILE",
        )
    if problem := problem_of("plan", data):
        raise ConfigurationError(f"{path} is not a plan: {problem}", hint)
    if "basis" not in data:
        raise ConfigurationError(
            f"{path} is output of plan --json, which cannot be applied",
            "Make a plan to apply with: reconciler plan --out FILE",
        )
    try:
        return saved_plan.from_json(data)
    except RefusedError as error:
        raise RefusedError(f"{path}: {error}", error.hint) from error
