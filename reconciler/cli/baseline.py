"""The file of the findings of lint that a project knows of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reconciler import durable, render
from reconciler.cli import config
from reconciler.context import MIB
from reconciler.core import json_text
from reconciler.core.lint.baseline import from_json, to_json
from reconciler.core.lint.codes import Policy
from reconciler.errors import ConfigurationError
from reconciler.schema import problem_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.lint.baseline import KnownFinding

_MOST_BYTES = 16 * MIB


class Linting(NamedTuple):
    """How a project lints.

    Attributes:
        file: where its baseline is.
        baseline: the findings that are known; none if there is no such file.
    """

    policy: Policy
    file: str
    baseline: frozenset[KnownFinding]


def read() -> Linting:
    """What the project's file and its baseline say.

    Raises:
        ConfigurationError: one of them is malformed.
    """
    table = config.read_project(config.PROJECT).get("lint", {})
    policy = Policy(tuple(table.get("severity", {}).items()))
    file = table.get("baseline", "lint-baseline.json")
    hint = "Remove it, then create it again with: reconciler validate --update-baseline"
    try:
        data = json_text.read(durable.read_regular(file, _MOST_BYTES))
    except FileNotFoundError:
        return Linting(policy, file, frozenset())
    except (OSError, ValueError) as error:
        reason = json_text.reason_of(error)
        raise ConfigurationError(
            f"{file}, the lint baseline, cannot be read: {reason}", hint
        ) from error
    if problem := problem_of("lint-baseline", data):
        raise ConfigurationError(f"{file} is not a lint baseline: {problem}", hint)
    return Linting(policy, file, from_json(data))


def write(file: str, baseline: Iterable[KnownFinding]) -> None:
    """Writes the baseline, whole or not at all.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    try:
        durable.replace(Path(file), f"{render.as_json(to_json(baseline))}\n".encode())
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be written: {error.strerror}",
            "Set another file as baseline in [lint] of reconciler.toml.",
        ) from error
