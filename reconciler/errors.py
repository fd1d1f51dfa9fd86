"""The one exception tree, positions and exit codes.

Rule: every failure owns its exit code and says what to do next; only `cli` catches the root. None
shows a login or the query of a URL, wherever it quotes it from: a setting, git, a library.

    ReconcilerError
    ├── UsageError               64  the command line cannot be carried out
    ├── ConfigurationError        3  environment or settings are missing or contradict each other
    ├── InvalidManifestsError     3  findings in the manifests
    │   ├── InvalidSettingsError  3  findings in the settings of accounts
    │   └── InvalidEditsError     3  findings that edits would cause, which are not written then
    ├── RefusedError              5  ambiguous, stale, not ours, not approved
    ├── InterruptedRunError     130  stopped by a person or the system, after something was written
    ├── PlatformError             6  GitHub or GitLab did not answer, or refused one request
    │   └── NotAllowedError       6  the token may not do this one thing
    ├── ExecutorError             6  the scheduler of --executor does not answer, or has no worker
    ├── StateError                8  the state cannot be read or saved
    │   ├── LockedError           8  another run holds the lock
    │   ├── ConflictError         8  somebody else wrote since it was read
    │   └── NewerFormatError      8  another version of this tool wrote it
    └── AlertSiteError            6  anything between us and AlertSite
        ├── UnavailableError      6  no answer within the retry budget, or a server fault
        ├── NonsenseError         6  an answer that is not what AlertSite's API gives
        ├── IncompleteError       6  a list that contradicts itself: absence proves nothing
        ├── RejectedError         7  AlertSite understood one request and said no
        │   └── NotFoundError     7  it has no such monitor
        ├── CredentialsError      4  login or token refused: nothing else can work either
        └── PermissionRefusedError 4 this user may not do this one thing
"""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum
from typing import ClassVar, NamedTuple


class ExitCode(IntEnum):
    """What the process tells a pipeline; docs/reference/exit-codes.md has the same list."""

    OK = 0
    BUG = 1
    CHANGES = 2
    INVALID = 3
    CREDENTIALS = 4
    REFUSED = 5
    UNAVAILABLE = 6
    PARTIAL = 7
    LOCKED = 8
    USAGE = 64
    INTERRUPTED = 130


class Position(NamedTuple):
    """A place in a file; line and column count from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


class Severity(StrEnum):
    """How sure it is that a finding is a fault."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Diagnostic(NamedTuple):
    """One finding in a manifest: where, which rule, and what to do about it."""

    position: Position
    code: str
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        return f"{self.position}: {self.code}: {self.message}"


class Problem(NamedTuple):
    """A finding that is known by a value in a document, until its place in the file is looked up.

    Attributes:
        pointer: the keys and indices that lead to the value.
        of_key: the place to show is that of the key, not of the value.
        other: where the other value stands, if it is two that do not go together.
        address: of the manifest, where it is looked for in several.
    """

    pointer: tuple[str | int, ...]
    code: str
    message: str
    of_key: bool = False
    other: tuple[str, ...] = ()
    address: str = ""

    def at(self, position: Position, severity: Severity = Severity.ERROR) -> Diagnostic:
        """The finding at its place."""
        return Diagnostic(position, self.code, self.message, severity)


_WITH_URLS = re.compile(r"//\S+")
_HOST_AND_PORT = re.compile(r"\[.*|.*:[0-9]*")
_QUERY = re.compile(r"\?[^#]+")
_ERRNO = re.compile(r"\[Errno -?[0-9]+\] ")
_CLOSING = "'\"<>).,:;"


def without_logins(text: str) -> str:
    """The text without user names, passwords, tokens and queries in its URLs.

    A user of ssh without a password is no secret.
    """
    return _WITH_URLS.sub(_without_logins, text)


def _without_logins(found: re.Match[str]) -> str:
    """The same of a text without blanks, in which each `//` may begin what a URL names.

    In time proportional to its length: a server may have chosen it.
    """
    is_ssh = found.string.endswith("ssh:", 0, found.start())
    parts = []
    for part in found[0].split("//")[1:]:
        rest = part
        authority, slash, path = part.partition("/")
        login, at, host = authority.rpartition("@")
        if at and (":" in login or not is_ssh):
            rest = f"{host}{slash}{path}"
        elif not at and ":" in authority and not _HOST_AND_PORT.fullmatch(authority):
            rest = path.rpartition("@")[2] if "@" in path else part  # a slash in a password
        is_ssh = part.endswith("ssh:")
        parts.append(rest)
    return _QUERY.sub(_closing, "//" + "//".join(parts))


def _closing(query: re.Match[str]) -> str:
    """What the text says behind a query, as the quote that ends its URL."""
    return query[0][len(query[0].rstrip(_CLOSING)) :]


def without_errno(error: BaseException) -> str:
    """The reason that the operating system gives, without its number."""
    return _ERRNO.sub("", str(error))


def unexpected(error: BaseException) -> str:
    """What is said of an exception that no code of ours has translated: a bug, or a library's."""
    return without_logins(f"unexpected error: {type(error).__name__}: {error}")


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception is an interrupt, or what others have made of one.

    Python 3.11 makes a RuntimeError of one while a class is made, as in an import; a group of tasks
    makes a group of what its tasks have raised.
    """
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(KeyboardInterrupt) is not None
    return isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, KeyboardInterrupt)


class ReconcilerError(Exception):
    """Root of all failures that a user can do something about.

    Attributes:
        hint: the next step, as a sentence, or as `Lines`; empty when the message says it already.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.BUG

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(without_logins(message))
        self.hint = type(hint)(without_logins(hint))


class UsageError(ReconcilerError):
    """The command line asks for something that does not exist."""

    exit_code = ExitCode.USAGE


class ConfigurationError(ReconcilerError):
    """Environment or settings are missing, malformed or contradict each other."""

    exit_code = ExitCode.INVALID


class InvalidManifestsError(ReconcilerError):
    """The manifests have findings.

    Attributes:
        findings: all of them, sorted and without duplicates; never empty.
    """

    exit_code = ExitCode.INVALID
    _message = "{found} in the manifests"

    def __init__(self, findings: tuple[Diagnostic, ...]) -> None:
        count = len(findings)
        found = f"{count:,} {'finding' if count == 1 else 'findings'}"
        super().__init__(self._message.format(found=found))
        self.findings = findings


class InvalidSettingsError(InvalidManifestsError):
    """The settings of accounts have findings."""

    _message = "{found} in the settings"


class InvalidEditsError(InvalidManifestsError):
    """Edits would cause findings; their lines and columns are those of texts that nobody has."""

    _message = "the edits would cause {found}; nothing was written"


class RefusedError(ReconcilerError):
    """A guard of the tool said no; nothing was sent."""

    exit_code = ExitCode.REFUSED


class InterruptedRunError(ReconcilerError):
    """The run was stopped; the message says what had been written by then."""

    exit_code = ExitCode.INTERRUPTED


class PlatformError(ReconcilerError):
    """GitHub or GitLab did not answer, or refused what is no matter of permission."""

    exit_code = ExitCode.UNAVAILABLE


class NotAllowedError(PlatformError):
    """There is no token, or it may not do this, as in the pipeline of a fork."""


class ExecutorError(ReconcilerError):
    """There is nobody who does the work of several accounts."""

    exit_code = ExitCode.UNAVAILABLE


class StateError(ReconcilerError):
    """The state cannot be read or saved: corrupt, of another lineage, no permission, no space."""

    exit_code = ExitCode.LOCKED


class LockedError(StateError):
    """Another run holds the lock of the state, or took it over from this one."""


class ConflictError(StateError):
    """Somebody else wrote to the store since it was read."""


class NewerFormatError(StateError):
    """The state is whole, and only another version of this tool can read it."""


class AlertSiteError(ReconcilerError):
    """Root of everything that can go wrong between us and AlertSite.

    Attributes:
        may_have_arrived: the request could have taken effect although no answer says so.
    """

    exit_code = ExitCode.UNAVAILABLE

    def __init__(self, message: str, hint: str = "", *, may_have_arrived: bool = False) -> None:
        super().__init__(message, hint)
        self.may_have_arrived = may_have_arrived


class UnavailableError(AlertSiteError):
    """No usable answer within the retry budget.

    Attributes:
        is_away: AlertSite does not serve anybody; else it wants fewer requests or a new token.
    """

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        may_have_arrived: bool = False,
        is_away: bool = True,
    ) -> None:
        super().__init__(message, hint, may_have_arrived=may_have_arrived)
        self.is_away = is_away


class NonsenseError(AlertSiteError):
    """Something that is not AlertSite's API; a proxy or a wrong URL is likely."""


class IncompleteError(AlertSiteError):
    """A list of monitors that contradicts itself, so that what is not in it may still be there."""


class RejectedError(AlertSiteError):
    """AlertSite understood a request and refused it: unknown id, invalid field."""

    exit_code = ExitCode.PARTIAL


class NotFoundError(RejectedError):
    """AlertSite has no such monitor."""


class CredentialsError(AlertSiteError):
    """AlertSite refused the login or the token, and so every request of the run."""

    exit_code = ExitCode.CREDENTIALS


class PermissionRefusedError(AlertSiteError):
    """AlertSite knows the user and does not allow this one thing."""

    exit_code = ExitCode.CREDENTIALS
