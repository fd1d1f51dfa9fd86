"""What doctor checked."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.printable import Lines, joined, printable
from reconciler.errors import ExitCode
from reconciler.render.text import paint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.core.model import JSON


class CheckStatus(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"
    NOT_CHECKED = "not checked"


class Check(NamedTuple):
    """One check and how it ended.

    Attributes:
        name: what was checked.
        message: what was found.
        hint: the next step; empty if there is none.
        exit_code: with which a run ends that meets the same.
    """

    name: str
    status: CheckStatus
    message: str
    hint: str = ""
    exit_code: ExitCode = ExitCode.OK


_COLOURS = {CheckStatus.OK: "+", CheckStatus.WARN: "~", CheckStatus.FAIL: "!"}
_NAME = 13


def check_text(check: Check, *, colour: bool = False) -> Lines:
    """A line, and the next step on another."""
    message = printable(check.message)
    if check.status is CheckStatus.NOT_CHECKED:
        status, message = "-   ", f"not checked: {message}"
    else:
        status = paint(f"{check.status.value:4}", _COLOURS[check.status], colour=colour)
    lines = [f"{status}  {check.name:{_NAME}}  {message}"]
    if check.hint:
        lines.append(f"{'':{4 + 2 + _NAME + 2}}{printable(check.hint)}")
    return joined(lines, colour=colour)


def checks_json(checks: Iterable[Check]) -> dict[str, JSON]:
    """The checks as `schemas/doctor.schema.json` describes them."""
    found = [
        check._asdict() | {"status": check.status.value, "exit_code": int(check.exit_code)}
        for check in checks
    ]
    return {"format_version": "1.0", "checks": found}
