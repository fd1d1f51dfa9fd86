"""What a shell completes from manifests, settings and runs: addresses, fields, accounts, run ids.

Rule: nothing is printed but what is offered, and AlertSite is not asked. While the manifests or the
settings have a fault there is nothing to offer: a shell has no place where a finding could stand.
"""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli import config, runtime
from reconciler.errors import ReconcilerError
from reconciler.schema import installed_schemas

if TYPE_CHECKING:
    from collections.abc import Iterable

    import click

    from reconciler.core.accounts import AccountSettings
    from reconciler.core.model import Desired


_MOST_RUNS = 20


def addresses(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Addresses of manifests."""
    return _items((item.address for item in _manifests(ctx)), incomplete)


def targets(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Addresses of manifests, and their labels as `label=value`."""
    found = _manifests(ctx)
    labels = {f"{name}={value}" for item in found for name, value in item.labels.items()}
    return _items([*(item.address for item in found), *sorted(labels)], incomplete)


def fields(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Addresses of manifests; behind one and a dot, the fields of its kind that may be written."""
    address, dot, _name = incomplete.partition(".")
    if not dot:
        return addresses(ctx, _, incomplete)
    schema = installed_schemas().documents.get(address.partition("/")[0])
    known = schema["properties"]["spec"]["properties"] if schema else {}
    writable = [name for name, field in known.items() if not field.get("readOnly")]
    return _items((f"{address}.{name}" for name in writable), incomplete)


def runs_to_undo(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The last runs, and what stands for the last one."""
    from reconciler.usecases.history import LAST  # only to complete it

    return _items((LAST, *_runs(ctx, incomplete)), incomplete)


def history(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """As `fields`, and `show`; behind that the last runs."""
    if ctx.params.get("asked"):
        return _runs(ctx, incomplete) if ctx.params["asked"] == ("show",) else []
    return [*_items(("show",), incomplete), *fields(ctx, _, incomplete)]


def columns(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Fields, the last of several with commas between them."""
    before, comma, _name = incomplete.rpartition(",")
    documents = installed_schemas().documents.values()
    names = dict.fromkeys(
        name for schema in documents for name in schema["properties"]["spec"]["properties"]
    )
    return _items((f"{before}{comma}{name}" for name in names), incomplete)


def accounts(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Names of accounts."""
    return _items((item.name for item in _accounts()), incomplete)


def account_labels(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Labels of accounts, as `label=value`."""
    found = {f"{name}={text}" for item in _accounts() for name, text in item.labels.items()}
    return _items(sorted(found), incomplete)


def _runs(ctx: click.Context, incomplete: str) -> list[str]:
    """The ids of the last runs of the account that is chosen, or of the only one."""
    chosen = (ctx.params.get("account"), *(ctx.params.get("accounts") or ()))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - not at a terminal git asks nobody
        os.dup2(nothing.fileno(), 0)
    try:
        with ctx.scope(cleanup=False), chdir(config.find_root(Path.cwd())):
            for account in runtime.accounts().all:
                if account.name in chosen:
                    runtime.choose(account)
            store = runtime.begin_without_account(ctx.params.get("location")).store
            return _items(store.runs(), incomplete)[:_MOST_RUNS]
    except (OSError, ReconcilerError):
        return []


def _accounts() -> tuple[AccountSettings, ...]:
    """Those that the settings name."""
    from reconciler.cli.accounts import read_accounts  # few have several accounts

    root = config.find_root(Path.cwd())
    try:
        with chdir(root):
            found = read_accounts(config.PROJECT)
    except (OSError, ReconcilerError):
        return ()
    return found.all if found.are_named else ()


def _manifests(ctx: click.Context) -> tuple[Desired, ...]:
    from reconciler.usecases.load import load_fleet  # reads all manifests

    try:
        folder = ctx.params.get("manifests") or "monitors"
        return load_fleet((folder,), installed_schemas()).desired
    except ReconcilerError:
        return ()


def _items(texts: Iterable[str], incomplete: str) -> list[str]:
    return [text for text in texts if text.startswith(incomplete)]
