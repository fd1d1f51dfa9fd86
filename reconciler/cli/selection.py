"""Which accounts a command is about: `-a`, `-l` and the others, alike for all commands.

Where the settings name no accounts, or one, nothing of this is noticed. With one account chosen a
command does what it does where there is only one. With several it is done for each of them, as
`cli/fleet.py` says.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from reconciler.cli import completions, config, console, runtime
from reconciler.cli.spread import ACCOUNT_OPTIONS, Spread
from reconciler.core.accounts import Selection, having, placed, select, with_account
from reconciler.errors import ConfigurationError, ExitCode, ReconcilerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from reconciler.core.accounts import AccountSettings, Shard

    Command = Callable[..., int]


account = click.option(
    "-a",
    "--account",
    metavar="NAME",
    shell_complete=completions.accounts,
    help="The account to use.",
)


def _last(command: Command) -> Command:
    """The command, whose options of the last decorators stand last in its help."""
    found: list[click.Parameter] = getattr(command, "__click_params__", [])
    ours = [item for item in found if item.name in {*ACCOUNT_OPTIONS, "account"}]
    others = [item for item in found if item not in ours]
    found[:] = [*ours, *others]
    return command


def one(command: Command) -> Command:
    """Gives a command that is about one account the option that chooses it."""

    @account
    @wraps(command)
    def with_account(*, account: str | None, **given: object) -> int:
        if account is not None:
            choose(account)
        with _hinting():
            return command(**_of_account(given))

    return _last(with_account)


def choose(name: str) -> None:
    """From now on the command is about the account of that name.

    Raises:
        UsageError: there is none.
    """
    found = select(runtime.accounts(), Selection((name,)))
    if [item.name for item in found] != [name]:
        raise UsageError(
            f"{name} is not the name of an account: this command needs a single account"
        )
    runtime.choose(found[0])


def _filled(_: click.Context, param: click.Parameter, value: str | None) -> str:
    """What an option says; nothing if it is not given.

    A pipeline that gives an empty variable does not mean the same as one that gives no option.

    Raises:
        UsageError: it is given and empty.
    """
    if value == "":
        raise UsageError(f"{param.opts[-1]} is empty", "Set a value, or leave it out.")
    return value or ""


_SELECTING = (
    click.option(
        "-a",
        "--account",
        "accounts",
        multiple=True,
        metavar="NAME",
        shell_complete=completions.accounts,
        help="Only this account of reconciler.toml, or those that a glob matches. May be repeated.",
    ),
    click.option(
        "--not-account",
        "not_accounts",
        multiple=True,
        metavar="NAME",
        shell_complete=completions.accounts,
        help="Exclude this account, or those that a glob matches. May be repeated.",
    ),
    click.option(
        "-l",
        "--label",
        "account_labels",
        multiple=True,
        metavar="NAME=VALUE",
        shell_complete=completions.account_labels,
        help="Only accounts with this label. May be repeated; all must match.",
    ),
    click.option(
        "--changed-since",
        callback=_filled,
        metavar="REF",
        help="Only accounts whose files have changed since the merge base of REF and HEAD.",
    ),
    click.option("--all-accounts", is_flag=True, help="All accounts."),
)
"""The options of a selection, the first one first."""


def _wanting(
    command: Command, options: Sequence[Callable[[Command], Command]] = _SELECTING
) -> Command:
    """The command with the options of a selection, which it is given as `wanted`."""

    @wraps(command)
    def with_selection(
        *,
        accounts: tuple[str, ...],
        not_accounts: tuple[str, ...],
        account_labels: tuple[str, ...],
        changed_since: str = "",
        all_accounts: bool = False,
        **given: object,
    ) -> int:
        wanted = Selection(accounts, not_accounts, account_labels, changed_since, all_accounts)
        return command(wanted=wanted, **given)

    found: Command = with_selection
    for option in reversed(options):
        found = option(found)
    return _last(found)


def some(command: Command) -> Command:
    """Gives a command that looks up its accounts itself, as `wanted`, the options for that."""
    return _wanting(command, _SELECTING[:3])


def selecting(command: Command) -> Command:
    """Gives a command that looks at its accounts together, as `chosen`, the options for that."""

    @wraps(command)
    def with_chosen(*, wanted: Selection, **given: object) -> int:
        is_part = runtime.part() is not None
        chosen = (runtime.account(),) if is_part else _chosen(wanted, given)
        if not chosen:
            console.say("No account has changed.")
            return ExitCode.OK
        return command(chosen=chosen, **given)

    return _wanting(with_chosen)


def many(command: Command) -> Command:
    """Gives a command that may be about several accounts the options that choose them."""

    @click.option(
        "--results",
        callback=_filled,
        metavar="DIR",
        help="With several accounts: write the result of each into DIR, as JSON. Accounts whose "
        "result already exists are skipped.",
    )
    @wraps(command)
    def with_accounts(
        *,
        chosen: tuple[AccountSettings, ...],
        results: str,
        shard: Shard | None = None,
        executor: str = "",
        **given: object,
    ) -> int:
        spread = Spread(config.from_root(results, runtime.here()), shard, executor)
        if spread != Spread() and not runtime.accounts().are_named:
            raise UsageError("--results, --shard and --executor need accounts in reconciler.toml")
        if executor and given.get("write_ids"):
            raise UsageError(
                "--write-ids cannot be used with --executor: workers cannot write into the "
                "manifests here",
                "Run reconciler import afterwards, or leave one of them out.",
            )
        if executor and given.get("notify"):
            raise UsageError(
                "--notify cannot be used with --executor: its URL may be a secret, and options are "
                "sent to the workers",
                "Set RECONCILER_NOTIFY in the environment of the workers.",
            )
        if shard is not None:
            waves = sorted({item.wave for item in chosen})
            if click.get_current_context().command.name == "apply" and len(waves) > 1:
                raise UsageError(
                    f"the accounts are in the waves {', '.join(map(str, waves))}, and a shard does "
                    "not know the progress of the others",
                    "Select the accounts of one wave by a label, then run the shards of the next "
                    "wave.",
                )
            chosen = shard.of(chosen)
            if not chosen:
                console.say(f"No account is in shard {shard}.")
                return ExitCode.OK
        if len(chosen) > 1 or spread != Spread():
            from reconciler.cli.fleet import run  # few have several accounts

            return run(click.get_current_context(), chosen, spread)
        if runtime.accounts().are_named:
            runtime.choose(chosen[0])
        is_whole = runtime.accounts().are_named or runtime.account().variables
        if is_whole and "paths" in given:  # what they are depends on all that is around them
            given["paths"] = ()
        with _hinting():
            return command(**_of_account(given))

    return selecting(with_accounts)


@contextmanager
def _hinting() -> Iterator[None]:
    """Lets the next steps of a failure be about the account that was chosen of several.

    Raises:
        ReconcilerError: as the body does.
    """
    try:
        yield
    except ReconcilerError as error:
        error.hint = type(error.hint)(about_chosen(error.hint))
        raise


def about_chosen(hint: str) -> str:
    """A next step, whose commands are about the account that was chosen of several."""
    chosen = runtime.chosen()
    if chosen is None or len(runtime.accounts().all) == 1:
        return hint
    return with_account(hint, chosen.name)


def _chosen(wanted: Selection, given: Mapping[str, Any]) -> tuple[AccountSettings, ...]:
    """The accounts that a command line is about; none if none of them has changed.

    Raises:
        ConfigurationError: a path is not there.
        UsageError: none is chosen, and an apply to all of them has to be asked for.
    """
    accounts = runtime.accounts()
    if accounts.are_named:  # of which only those that the paths are of are read
        for path in given.get("paths", ()):
            if not os.path.lexists(path):
                raise ConfigurationError(
                    f"{path}: there is no such file or folder", "Use one that exists."
                )
    if wanted.is_something or len(accounts.all) == 1:
        changed = None
        if wanted.changed_since:
            from reconciler.usecases.checkout import changed_files  # asks Git

            changed = changed_files(wanted.changed_since)
        return select(accounts, wanted, changed)
    if paths := given.get("paths"):
        return having(accounts, [os.path.relpath(path) for path in paths])
    if file := given.get("file"):
        from reconciler.cli import plan_file  # only where a saved plan is applied

        return select(accounts, Selection((plan_file.read(file).plan.account.name,)))
    if click.get_current_context().command.name == "apply":
        raise UsageError(
            f"there are {len(accounts.all)} accounts, and none is selected",
            "Select some with --account or --label, or all with --all-accounts.",
        )
    return accounts.all


def _of_account(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a command, with what the settings of its account say.

    That is the folder of its manifests, unless one is named, and its name in names of files.
    """
    found = dict(given)
    context = click.get_current_context()
    if "manifests" in found:
        source = context.get_parameter_source("manifests")
        if source is not ParameterSource.COMMANDLINE:
            found["manifests"] = folder_of(runtime.account())
    for name, value in found.items():
        if isinstance(value, str):
            found[name] = placed(value, runtime.account().name) if "{" in value else value
    return found


def folder_of(account: AccountSettings) -> str:
    """The folder that all manifests of an account are in."""
    folders: Sequence[str] = account.manifests
    if any(map(os.path.isabs, folders)):
        folders = [os.path.normpath(Path.cwd() / folder) for folder in folders]
    return os.path.commonpath(folders) or "."
