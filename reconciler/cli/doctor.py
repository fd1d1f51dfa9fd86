"""The command that checks what a run needs, in the order in which a run would miss it.

Rule: what fails stops only the checks that cannot be made without it, and nothing is tried twice.
One login and one list of monitors tell all that is said of AlertSite.
"""

from __future__ import annotations

import os
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import click

from reconciler import __version__
from reconciler.cli import config, console, installation, options, runtime, selection
from reconciler.cli.runtime import EMBEDDED, connect
from reconciler.core.accounts import Accounts
from reconciler.core.model import Account, secret_refs
from reconciler.core.state import is_of_key
from reconciler.errors import (
    ConfigurationError,
    ExitCode,
    InvalidManifestsError,
    InvalidSettingsError,
    ReconcilerError,
    without_logins,
)
from reconciler.render.doctor import Check, CheckStatus, check_text, checks_json
from reconciler.render.text import quantity
from reconciler.schema import Schemas, installed_schemas
from reconciler.secrets import Vault
from reconciler.state_store import current, is_dead
from reconciler.usecases.load import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.cli.config import StateSettings
    from reconciler.core.state import Record
    from reconciler.usecases.load import Fleet


_LOGIN = "/access-tokens"
_UNAUTHORISED = 401
_FORBIDDEN = 403
_NAMES = ("ALERTSITE_USERNAME", "ALERTSITE_PASSWORD", "ALERTSITE_TOKEN", "ALERTSITE_URL")
_KNOWN = frozenset((*_NAMES, *(f"{name}_FILE" for name in _NAMES)))
_KEY_ADVICE = "Set it to a long random string, such as the output of openssl rand -hex 32"
_MOST_SECONDS = 60
_WRITING = "write permission and saving the state; only an apply can check them"


class _Conversation:
    """What AlertSite has been asked and has answered.

    Attributes:
        ahead: by how many seconds the clock here is later than the first `Date` of an answer; None
            if there was none.
    """

    def __init__(self) -> None:
        self._noted: list[tuple[str, int | None]] = []
        self.ahead: float | None = None

    def note(self, path: str, status: int | None, date: str) -> None:
        """Notes a request, without a status, or the status and `Date` of an answer."""
        self._noted.append((path, status))
        if self.ahead is None:
            with suppress(ValueError, OverflowError):  # it has no date, or none that HTTP knows
                there = parsedate_to_datetime(date)
                if there.tzinfo is not None:
                    self.ahead = (runtime.clock().now() - there).total_seconds()

    @property
    def has_answer(self) -> bool:
        """Whether AlertSite has answered anything."""
        return any(status is not None for _, status in self._noted)

    @property
    def shows_login(self) -> bool:
        """Whether the login was accepted, whatever became of the list of monitors."""
        others = {status for path, status in self._noted if not path.endswith(_LOGIN)}
        if _FORBIDDEN in others:
            return True
        # Nothing else is asked before the login is accepted. A token that is given needs none; only
        # an answer tells what it is worth.
        has_login = any(path.endswith(_LOGIN) for path, _ in self._noted)
        return has_login and bool(others) and _UNAUTHORISED not in others


class Checkup:
    """One round of checks, and what they have found so far."""

    def __init__(self, manifests: str, location: str | None, chosen: str | None) -> None:
        """Nothing is checked yet; without a location the state is where the environment says."""
        self._manifests = manifests
        self._location = location
        self._chosen = chosen
        self._error: ReconcilerError | None = None
        self._account: Account | None = None
        self._settled: StateSettings | None = None
        self._schemas: Schemas | None = None
        self._fleet: Fleet | None = None
        self._has_git = True
        self._run: runtime.Run | None = None
        self._records: tuple[Record, ...] = ()
        self._conversation = _Conversation()
        # Of an accepted login, either how many email monitors there are, or why nobody can tell.
        self._monitors: int | None = None
        self._failure: ReconcilerError | None = None

    def checks(self) -> Iterator[Check]:
        """Makes each check when the one before has been taken."""
        makers: dict[str, Callable[[], Check]] = {
            "installation": _check_installation,
            "credentials": self._check_credentials,
            "settings": self._check_settings,
            "schemas": self._check_schemas,
            "manifests": self._check_manifests,
            "secrets": self._check_secrets,
            "git": self._check_git,
            "state": self._check_state,
            "secret key": self._check_secret_key,
            "lock": self._check_lock,
            "login": self._check_login,
            "read": self._check_read,
            "clock": self._check_clock,
        }
        for name, make in makers.items():
            try:
                found = make()
            except ReconcilerError as error:
                found = Check("", CheckStatus.FAIL, str(error), error.hint, error.exit_code)
            yield found._replace(name=name, hint=selection.about_chosen(found.hint))
        yield _not_checked(_WRITING)._replace(name="write")

    def _check_credentials(self) -> Check:
        try:
            runtime.accounts()
        except (ConfigurationError, InvalidSettingsError) as error:
            self._error = error  # which the next check tells; all else is checked without it
            runtime.suppose(Accounts())
        if self._chosen is not None:
            selection.choose(self._chosen)
        found = runtime.settings()
        if found is None:
            self._account = EMBEDDED
            return _ok("none set; checking the embedded sandbox")
        self._account = Account(runtime.account().name, found.url)
        with_ = "a token" if found.token else "a username and a password"
        where = "CI is set" if os.environ.get("CI") else "CI is not set"
        unknown = sorted({it for it in os.environ if it.startswith("ALERTSITE_")} - _KNOWN)
        if unknown:
            return _warn(
                f"unknown {'variable' if len(unknown) == 1 else 'variables'} {', '.join(unknown)}",
                f"reconciler reads {', '.join(_NAMES)}, and each of these with _FILE.",
            )
        return _ok(f"{with_} for {found.url}; {where}")

    def _check_settings(self) -> Check:
        self._settled = config.read_state(os.environ, config.PROJECT)
        if self._error is not None:
            raise self._error
        runtime.account()
        if found := list(config.misspelt(os.environ)):
            words = (f"unknown variable {name}; did you mean {meant}?" for name, meant in found)
            return _warn(" ".join(words), "It is ignored. Correct its name, or unset it.")
        is_there = config.PROJECT.exists()
        return _ok(f"{config.PROJECT}{'' if is_there else ' not found; using defaults'}")

    def _check_schemas(self) -> Check:
        try:
            schemas = installed_schemas()
            examples = [item["examples"][0] for item in schemas.documents.values()]
            refused = [item["kind"] for item in examples if schemas.accept(item) is None]
        except Exception as error:  # noqa: BLE001 - whatever a damaged installation brings
            return _broken(f"{type(error).__name__}: {error}")
        if refused or not examples:
            return _broken(f"refused: {', '.join(refused)}" if refused else "there are no schemas")
        self._schemas = schemas
        return _ok(f"{', '.join(schemas.documents)}; the validator works")

    def _check_manifests(self) -> Check:
        if self._schemas is None:
            return _not_checked("needs the schemas")
        today = runtime.now()[:10]
        shown = config.to_here(self._manifests, runtime.here())
        hint = f"reconciler validate {shown} lists them."
        try:
            rules = runtime.secret_rules()
            self._fleet = load(options.sources(self._manifests), self._schemas, today, rules)
        except InvalidManifestsError as error:
            raise ConfigurationError(str(error), hint) from error
        if self._fleet.warnings:
            return _warn(f"valid, with {quantity(len(self._fleet.warnings), 'warning')}", hint)
        count, files = len(self._fleet.desired), quantity(self._fleet.files, "file")
        return _ok(f"{count:,} valid in {files}")

    def _check_secrets(self) -> Check:
        if self._fleet is None:
            return _not_checked("needs valid manifests")
        values = [value for item in self._fleet.desired for value in item.secrets.values()]
        refs = sorted({found.ref for value in values for found in secret_refs(value)})
        rules = runtime.secret_rules()
        vault = Vault(os.environ, "", rules, runtime.redactor())
        failures = [failure for ref in refs if (failure := vault.failure(ref))]
        if failures:
            message = f"{len(failures):,} of {len(refs):,} not available: {'; '.join(failures)}"
            raise ConfigurationError(message, "Set them here and everywhere that apply runs.")
        return _ok(f"all {len(refs):,} are available" if refs else "none in the manifests")

    def _check_secret_key(self) -> Check:
        if self._settled is None or self._fleet is None:
            return _not_checked("needs valid settings and manifests")
        if not self._settled.secret_key:
            if not any(item.secrets for item in self._fleet.desired):
                return _ok("RECONCILER_SECRET_KEY is not set, and not needed")
            return _warn(
                "RECONCILER_SECRET_KEY is not set, so changes of secrets cannot be detected",
                f"{_KEY_ADVICE}. Use the same key everywhere that plan and apply run.",
            )
        vault = Vault({}, self._settled.secret_key, redactor=runtime.redactor())
        if vault.key_weakness:
            hint = f"{_KEY_ADVICE}. The next apply then sends every secret once more."
            return _warn(vault.key_weakness, hint)
        before = [text for record in self._records for text in record.secrets.values()]
        others = sum(not is_of_key(text, vault.key_mark) for text in before)
        if others:
            what = "secret was" if others == 1 else "secrets were"
            return _warn(
                f"RECONCILER_SECRET_KEY has changed since {others} {what} sent",
                "Set the key that apply used. If it is lost, the next apply sends them once more.",
            )
        return _ok("RECONCILER_SECRET_KEY is set")

    def _check_git(self) -> Check:
        from shutil import which

        if self._settled is None:
            return _not_checked("needs valid settings")
        is_embedded = config.is_silent(os.environ) and not runtime.accounts().are_named
        place = config.state_in(os.environ) or runtime.account().state
        location = self._location or ("" if is_embedded else place)
        if not location.startswith("git:"):
            return _ok("not needed: the state is not in Git")
        self._has_git = which("git") is not None
        if not self._has_git:
            raise ConfigurationError(
                f"{without_logins(location)} needs git, which is not on the PATH",
                "Install git, or store the state elsewhere: --state file:PATH.",
            )
        return _ok("on the PATH")

    def _check_state(self) -> Check:
        if self._settled is None or not self._has_git:
            return _not_checked("needs the checks that failed above")
        run = runtime.begin(self._location)
        self._run = run
        known = run.known(self._account)
        self._records = tuple(known.state.records.values())
        place = run.store.location
        if known.recovery.runs:
            message = f"{place}: run {', '.join(known.recovery.runs)} has not ended"
            hint = "If it is no longer running, the next apply finishes what it began."
            return _warn(message, hint)
        if not known.saved.serial:
            return _ok(f"{place}: none yet; the first apply creates it")
        addresses: dict[int, list[str]] = {}
        for address, record in known.saved.records.items():
            addresses.setdefault(record.id, []).append(address)
        for number, shared in addresses.items():
            if len(shared) > 1:
                message = f"{place} binds {' and '.join(shared)} to monitor {number}"
                return _warn(message, "To see which record to forget, run: reconciler plan")
        records = quantity(len(known.saved.records), "record")
        saved = f"saved {runtime.age(known.saved.saved_at)}"
        return _ok(f"{place}: {records}, serial {known.saved.serial}, {saved}")

    def _check_lock(self) -> Check:
        if self._run is None:
            return _not_checked("needs the state")
        lease = current(self._run.store)
        if lease is None:
            return _ok("free")
        if is_dead(lease):
            return _ok(f"held by {lease}, which is dead; the next run takes it over")
        return _warn(
            f"held by {lease} for {lease.operation}",
            f"If you are certain that this run is dead, run: reconciler state unlock {lease.id}",
        )

    def _check_login(self) -> Check:
        if self._account is None or self._schemas is None:
            return _not_checked("needs credentials and the schemas")
        kinds = self._schemas.kinds
        try:
            with connect(self._schemas) as connection:
                connection.cancellation.cancel("doctor sends each request only once")
                connection.session.watch(self._conversation.note)
                live = connection.reader().list_monitors(kinds)
        except ReconcilerError as error:
            if not self._conversation.shows_login:
                raise
            self._failure = error
        else:
            self._monitors = sum(item.type in kinds or item.type is None for item in live)
        return _ok(f"accepted by {self._account}")

    def _check_read(self) -> Check:
        if self._failure is not None:
            raise self._failure
        if self._monitors is None:
            return _not_checked("needs a login")
        return _ok(quantity(self._monitors, "email monitor"))

    def _check_clock(self) -> Check:
        if not self._conversation.has_answer:
            return _not_checked("needs a response from AlertSite")
        ahead = self._conversation.ahead
        if ahead is None:
            return _not_checked("AlertSite sent no Date header")
        seconds = round(abs(ahead))
        if seconds <= _MOST_SECONDS:
            return _ok(f"within {max(1, seconds)} s of AlertSite's")
        return _warn(
            f"{seconds} s {'ahead of' if ahead > 0 else 'behind'} AlertSite's",
            "Synchronise the clock with NTP: the state stores its times.",
        )


def _check_installation() -> Check:
    if owners := installation.other_owners():
        raise ConfigurationError(
            f"{' and '.join(owners)} also installs a Python package named reconciler",
            f"Install {installation.NAME} into an environment of its own, for example with pipx.",
        )
    return _ok(f"{installation.NAME} {__version__}")


# What a check has found; its name is in the table of all.


def _ok(message: str) -> Check:
    return Check("", CheckStatus.OK, message)


def _warn(message: str, hint: str) -> Check:
    return Check("", CheckStatus.WARN, message, hint)


def _not_checked(why: str) -> Check:
    return Check("", CheckStatus.NOT_CHECKED, why)


def _broken(reason: str) -> Check:
    message = f"the schemas or their validator do not work: {reason}"
    hint = "Install reconciler again."
    return Check("", CheckStatus.FAIL, message, hint, ExitCode.BUG)


@click.command(epilog="Example: reconciler doctor --state git:origin")
@options.manifests
@options.state
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON on stdout.")
@selection.account
def doctor(manifests: str, location: str | None, account: str | None, *, as_json: bool) -> int:
    """Check everything that a run needs; changes nothing.

    It logs in once and reads the list of monitors once. Without credentials it checks the embedded
    sandbox. The exit code is that of the first check that failed.
    """
    if account is None:
        with suppress(ConfigurationError, InvalidSettingsError):  # of which a check tells
            runtime.account()  # of several one must be chosen
    done = []
    for check in Checkup(manifests, location, account).checks():
        done.append(check)
        if not as_json:
            console.data(check_text(check, colour=console.has_colour()))
    if as_json:
        console.document(checks_json(done))
    failed = [check for check in done if check.status is CheckStatus.FAIL]
    warned = sum(check.status is CheckStatus.WARN for check in done)
    console.note(f"{len(done):,} checks: {len(failed):,} failed, {quantity(warned, 'warning')}.")
    return failed[0].exit_code if failed else ExitCode.OK
