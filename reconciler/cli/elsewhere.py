"""What users of other tools type, and what it is called here; read only for a message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from reconciler.core.nearest import did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

_FORGET = "reconciler state rm ADDRESS forgets a record"
_RETIRE = "delete its manifest, then run reconciler apply --prune"
_EXTRA = r"Got unexpected extra arguments? \(([^ ]*).*\)$"
"""How click begins to say that an argument is one too many."""
_NUMBERS = {"a valid integer range": "a whole number", "a valid float range": "a number"}
"""What click calls the type of an option that takes a number, and what we call it."""
_VARS = "set vars of an account in reconciler.toml"
_UNLOCK = "reconciler state unlock RUN"
COMMANDS = {
    "add": "write a manifest, then run reconciler apply",
    "adopt": "reconciler import writes manifests, reconciler apply --adopt binds those without ids",
    "check": "reconciler validate",
    "config": "edit reconciler.toml, then run reconciler doctor",
    "create": "write a manifest, then run reconciler apply",
    "delete": _RETIRE,
    "deploy": "reconciler apply",
    "describe": "reconciler why ADDRESS",
    "destroy": "delete the manifests, then run reconciler apply --prune",
    "dump": "reconciler import",
    "edit": "reconciler set TARGET FIELD=VALUE",
    "export": "reconciler import",
    "force-unlock": _UNLOCK,
    "format": "reconciler fmt",
    "lint": "reconciler validate --lint",
    "log": "reconciler history",
    "logs": "reconciler history",
    "login": "set ALERTSITE_USERNAME and ALERTSITE_PASSWORD, then run reconciler doctor",
    "ls": "reconciler list",
    "move": "reconciler mv",
    "new": "reconciler init",
    "preview": "reconciler plan",
    "print": "reconciler render ADDRESS",
    "refresh": "reconciler drift shows what changed in AlertSite, reconciler pull copies it",
    "remove": f"{_RETIRE}; {_FORGET}",
    "rename": "change metadata.name and add the old one to metadata.previously, then run "
    "reconciler apply; reconciler mv renames files",
    "revert": "reconciler undo RUN",
    "rm": f"{_RETIRE}; {_FORGET}",
    "rollback": "reconciler undo last",
    "sync": "reconciler apply",
    "taint": "reconciler apply changes monitors in place; none can be marked to be made again",
    "test": "reconciler validate --lint",
    "unlock": _UNLOCK,
    "up": "reconciler apply",
    "update": "reconciler apply",
    "workspace": "name accounts in reconciler.toml, then run reconciler plan --account NAME",
}
"""What the commands of other tools are here."""

_ROWS = {
    "--approve --assume-yes --yes -y": (
        "--auto-approve",
        "reconciler apply --auto-approve; this command does not ask",
    ),
    "--dry-run --preview -n": (
        "--check",
        "reconciler plan; set, pull and undo show what they would do, and ask",
    ),
    "--force": (
        "an option names the guard that it lifts: --allow-loss N, --allow-empty, --allow-older",
        "an option names the guard that it lifts: --allow-loss N",
        "an option names the guard that it lifts, as reconciler apply --allow-loss does",
    ),
    "--file --filename -f": (
        "--file FILE",
        "--manifests DIR; reconciler apply FILE applies a saved plan",
    ),
    "--output -o": ("--format NAME", "--json"),
    "--refresh --refresh-only": ("reconciler drift",),
    "--var --var-file": (f"{_VARS}, then run reconciler plan",),
    "--concurrency --jobs --parallelism -j": (
        "--parallelism N",
        "reconciler apply --parallelism N",
    ),
    "--filter --include --only --selector -t": ("--target TARGET", "--where COLUMN=GLOB"),
    "--target": ("name targets as arguments: reconciler list TARGET",),
    "--ignore --skip": ("--exclude TARGET",),
    "--context --profile --workspace": ("--account NAME",),
    "--chdir -C": ("reconciler -C DIR COMMAND",),
    "--delete --destroy": ("--prune", "reconciler apply --prune"),
    "--debug --trace": ("--verbose",),
    "--silent": ("--quiet",),
    "--watch -w": ("reconciler watch",),
    "--version -V": ("reconciler --version",),
}
OPTIONS = {name: advices for names, advices in _ROWS.items() for name in names.split()}
"""What the options of other tools are here; the first advice counts that fits the command."""
_OTHER_COMMAND = re.compile("reconciler [a-z]+(?: --[a-z-]+)*")
_OPTION = re.compile("--[a-z][a-z-]+")


def of_command(name: str, known: Iterable[str]) -> str:
    """The end of a message that there is no such command."""
    if name in COMMANDS:
        return f". Here: {COMMANDS[name]}"
    return did_you_mean(name, known) or "."


def of_option(name: str, command: click.Command) -> str:
    """The end of a message that the command has no such option."""
    known = {option for item in command.params for option in (*item.opts, *item.secondary_opts)}
    for advice in OPTIONS.get(name, ()):
        if known.issuperset(_OPTION.findall(_OTHER_COMMAND.sub("", advice))):
            return f". Here: {advice}"
    found = nearest(name.lstrip("-"), [option[2:] for option in known if option.startswith("--")])
    return f"; did you mean --{found}?" if found else "."


def advised(error: click.UsageError) -> click.UsageError:
    """The error, with what may be meant in place of what click finds alike."""
    if error.ctx is None:
        return error
    command = error.ctx.command
    if isinstance(error, click.NoSuchOption):
        name = error.option_name
        text = f"No such option {name!r}{of_option(name, command)}"
        return click.UsageError(text, error.ctx)
    extra = re.match(_EXTRA, error.message)
    if extra and any("--target" in item.opts for item in command.params):
        text = f"{error.message}. Here: --target {extra[1]}"
        return click.UsageError(text, error.ctx)
    for words, better in _NUMBERS.items():
        if words in error.message:
            text = error.format_message().replace(words, better)
            return click.UsageError(text, error.ctx)
    return error
