"""What several commands share: their options, and how they load and show."""

from __future__ import annotations

import os
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from reconciler import render
from reconciler.cli import completions, config, console, runtime
from reconciler.context import computing
from reconciler.core.grouping import FOLDED_ABOVE, Detail
from reconciler.core.targets import NOT, bare
from reconciler.errors import UsageError
from reconciler.schema import Schemas, installed_schemas
from reconciler.usecases import load as loading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.core.plan import Plan
    from reconciler.usecases.load import Fleet


def duration(text: str) -> float:
    """Seconds, written as `90`, `90s`, `10m` or `1h`; a type of click, which shows its name.

    Raises:
        BadParameter: it is none.
    """
    seconds = config.duration(text)
    if seconds is None:
        raise click.BadParameter(f"{text!r} is not a duration; write it as 90s, 10m or 1h")
    return seconds


class FromHere(click.ParamType[str]):
    """A path, or the place of a state, that is given in the working folder: as the root sees it.

    A default is relative to the root already, and so is what the environment says.
    """

    name = "path"

    def __init__(self, translated: Callable[[str, str], str] = config.from_root) -> None:
        self._translated = translated

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The path below the root, or beside it.

        Raises:
            BadParameter: it is empty; a place is not, which is then that of the settings.
        """
        if ctx is None or param is None or param.name is None:
            return value
        is_given = ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE
        if is_given and not value and self._translated is config.from_root:
            raise click.BadParameter("it is empty", ctx, param)
        return self._translated(value, runtime.here()) if is_given else value


manifests = click.option(
    "--manifests",
    default="monitors",
    metavar="DIR",
    type=FromHere(),
    show_default=True,
    help="Folder that holds the manifests.",
)


def from_here(target: str) -> str:
    """A target that is a path of the working folder, as the root sees it; any other as it is."""
    text = bare(target)
    path = config.from_root(text, runtime.here())
    is_path = path != text and Path(path).exists()
    return f"{target.removesuffix(text)}{path}" if is_path else target


def _targets(
    context: click.Context, option: click.Parameter, value: Sequence[str]
) -> Sequence[str]:
    """What is asked for, with what is left out, in whatever order it is given."""
    sign = NOT if option.name == "excluded" else ""
    here = (from_here(f"{sign}{target}") for target in value)
    found: Sequence[str] = (*context.params.get("targets", ()), *here)
    context.params["targets"] = found
    return found


_target = click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="TARGET",
    callback=_targets,
    shell_complete=completions.targets,
    help="Only manifests that match: an address (email-smtp/prod-relay), the id of a monitor, a "
    "glob over addresses, label=value, or a file or folder. A leading ! excludes. May be "
    "repeated.",
)
_targets_argument = click.argument(
    "targets",
    nargs=-1,
    metavar="[TARGET]...",
    callback=_targets,
    shell_complete=completions.targets,
)


def _exclude(target: str = "a TARGET") -> Callable[[Callable[..., int]], Callable[..., int]]:
    """The option `--exclude`; its help calls what selects manifests `target`."""
    return click.option(
        "--exclude",
        "excluded",
        multiple=True,
        metavar="TARGET",
        callback=_targets,
        expose_value=False,
        help=f"Exclude what matches, like {target} with a leading !. May be repeated.",
    )


exclude = _exclude()
"""`--exclude`, for a command that reads its targets itself."""


def target(command: Callable[..., int]) -> Callable[..., int]:
    """The options that say which manifests a command is about."""
    return _target(_exclude("--target")(command))


def targets(command: Callable[..., int]) -> Callable[..., int]:
    """As `target`, for a command whose arguments say it."""
    return _targets_argument(exclude(command))


show_requests = click.option(
    "--show-requests", is_flag=True, help="Show method, path and body of every request."
)
adopt = click.option(
    "--adopt",
    is_flag=True,
    help="Bind manifests without an id to the one monitor of the same kind and name.",
)
write_secrets = click.option(
    "--write-secrets", is_flag=True, help="Send every secret, whether it has changed or not."
)
detail = click.option(
    "--detail",
    type=click.Choice([item.value for item in Detail]),
    callback=lambda _context, _parameter, value: value and Detail(value),
    help="How much of the plan to show: one line for each change or group of equal changes, equal "
    f"changes as one group, or every change. By default grouped above {FOLDED_ABOVE} changes.",
)
no_pager = click.option(
    "--no-pager",
    is_flag=True,
    help="Print a long plan on a terminal instead of opening it in PAGER.",
)
prune = click.option(
    "--prune/--no-prune",
    default=None,
    help="Retire monitors whose manifest is gone: delete them, or disable them if their lifecycle "
    "says so. By default prune in reconciler.toml.",
)
edits_only = click.option(
    "--edits-only",
    is_flag=True,
    help="Only changes made in Git; keep what was changed in AlertSite.",
)
keep = click.option(
    "--keep",
    multiple=True,
    metavar="ADDRESS",
    shell_complete=completions.addresses,
    help="With --prune: do not retire this address, this id, or what this glob over addresses "
    "matches. May be repeated.",
)
state = click.option(
    "--state",
    "location",
    metavar="LOCATION",
    type=FromHere(config.location_from_root),
    help="Where the state is stored: file:PATH, git:REMOTE#REF, s3://, gs:// or az://BUCKET/KEY. "
    "By default RECONCILER_STATE, then state in reconciler.toml, then "
    "file:.reconciler/state.json.",
)
unknown = click.option(
    "--unknown",
    type=click.Choice(["to-do", "write"]),
    default="to-do",
    show_default=True,
    help="What to do with a string that may be a secret, in a field that is not in the schemas: "
    "list it as a to-do, or write it as it is.",
)


def output(*names: str, text: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Gives a command `-o` with these names, the usual one first, and `--json`, as `output`."""

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @click.option(
            "-o",
            "--output",
            type=click.Choice(names),
            default=names[0],
            show_default=True,
            help=text,
        )
        @click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
        @wraps(command)
        def with_output(*, output: str, as_json: bool, **given: object) -> int:
            if as_json and output not in {names[0], "json"}:
                raise UsageError(
                    f"--json and -o {output} cannot be used together", "Leave out one of them."
                )
            return command(output="json" if as_json else output, **given)

        return with_output

    return decorate


def planning(command: Callable[..., int]) -> Callable[..., int]:
    """The options that say what is planned and how, and how much of the plan is shown."""
    shown = (manifests, target, show_requests, detail, no_pager)
    for option in reversed((*shown, adopt, write_secrets, prune, edits_only, keep)):
        command = option(command)
    return command


allow_loss = click.option(
    "--allow-loss",
    type=click.IntRange(0),
    metavar="N",
    help="In this run, allow N monitors to lose monitoring, instead of the budget in "
    "reconciler.toml; never more than RECONCILER_BUDGET.",
)
parallelism = click.option(
    "--parallelism",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Number of concurrent requests.",
)
fail_fast = click.option(
    "--fail-fast", is_flag=True, help="Start nothing new after the first failure."
)
lock_timeout = click.option(
    "--lock-timeout",
    type=duration,
    default="0s",
    show_default=True,
    help="How long to wait while another run holds the lock of the state.",
)
events = click.option(
    "--events",
    metavar="FILE",
    type=FromHere(),
    help="Write events to FILE as they happen, as JSON lines.",
)
metrics = click.option(
    "--metrics",
    metavar="FILE",
    type=FromHere(),
    help="Write metrics of this run to FILE when it ends, as OpenMetrics text.",
)
notify = click.option(
    "--notify",
    multiple=True,
    metavar="URL",
    help="Notify a chat, a mailbox or a webhook if anything happened; URL is an Apprise URL. May "
    "be repeated. RECONCILER_NOTIFY can also have URLs.",
)


def load(*paths: str, may_be_empty: bool = False) -> tuple[Schemas, Fleet]:
    """The schemas and the manifests below the paths; what they warn of is said.

    Raises:
        ReconcilerError: there are none, or they have findings.
    """
    schemas, fleet = load_quietly(*paths, may_be_empty=may_be_empty)
    if fleet.warnings:
        console.say(render.findings_text(fleet.warnings))
    return schemas, fleet


def load_quietly(*paths: str, may_be_empty: bool = False) -> tuple[Schemas, Fleet]:
    """As `load`, and leaves the warnings to be said."""
    schemas = installed_schemas()
    today = runtime.now()[:10]
    rules = runtime.secret_rules()
    found = sources(*paths)
    paths = tuple(found.folders)
    if len(paths) > 1 and paths != runtime.account().manifests:  # files and folders to be checked
        return schemas, loading.load_fleet(paths, schemas, today, rules, may_be_empty=may_be_empty)
    with computing():
        fleet = loading.load(found, schemas, today, rules, may_be_empty=may_be_empty)
    return schemas, fleet


def nothing(manifests: str) -> Fleet:
    """The fleet of what needs no manifests, and where they would be loaded from."""
    return loading.Fleet({}, 0, manifests, sources=sources(manifests))


def sources(*paths: str) -> loading.Sources:
    """What the fleet of the account is loaded from: its folders, or the paths that are named."""
    account, accounts = runtime.account(), runtime.accounts()
    names = accounts.names if accounts.are_named else ()
    given = click.get_current_context().get_parameter_source("manifests")
    is_default = given is not None and given is not ParameterSource.COMMANDLINE
    folders = account.manifests if is_default else paths
    others = runtime.others()
    lists = {tuple(folders), tuple(map(os.path.normpath, folders))}
    twins = (it.name for it in accounts.all if it.manifests in lists and it.name != account.name)
    twin = next(twins, "")
    return loading.Sources(folders, account.variables, account.name, names, others, twin)


def only_edits(plan: Plan, schemas: Schemas, *, asked: bool) -> Plan:
    """The part of the plan that Git asks for, if only that is wanted; says what stays."""
    if not asked:
        return plan
    from reconciler.core.edits import edits_of  # few ask for it

    found = edits_of(plan, schemas.kinds)
    if found.held:
        noun = "monitor keeps" if len(found.held) == 1 else "monitors keep"
        console.say(
            f"--edits-only: {len(found.held)} {noun} changes made in AlertSite. To see them, run: "
            "reconciler plan"
        )
    return found.plan
