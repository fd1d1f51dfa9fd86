"""Where the state is kept, with its lock and its journals.

Rule: what the state says is nobody's business in here. A store moves bytes with compare-and-swap
(`port`); one module for each place it can be; lock and journal work with any of them. What the
operating system, git or a library raises is translated where it is used.
"""

from __future__ import annotations

import re
from pathlib import Path

from reconciler.core.redactor import Redactor
from reconciler.errors import ConfigurationError, without_logins
from reconciler.state_store.file import open_file
from reconciler.state_store.journal import Journal, found_journals, read_journal, remove_journal
from reconciler.state_store.lock import Lease, LockOptions, break_lock, current, hold, is_dead
from reconciler.state_store.port import Held, Key, RunFile, Store

__all__ = [
    "Held",
    "Journal",
    "Key",
    "Lease",
    "LockOptions",
    "RunFile",
    "Store",
    "beside",
    "break_lock",
    "current",
    "found_journals",
    "hold",
    "is_dead",
    "is_file",
    "looks_like",
    "open_store",
    "read_journal",
    "remove_journal",
    "scheme_of",
]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?=:)")
_NEARLY = re.compile(
    r"(?P<git>git)[-_; ](?P<remote>[A-Za-z]+)|(?P<scheme>file|git|s3|gs|az)[-_;., ]?//(?P<rest>.*)",
    re.IGNORECASE,
)
_SCHEMES = "file:PATH, git:REMOTE#REF, s3://BUCKET/KEY, gs://BUCKET/KEY or az://CONTAINER/KEY"


def open_store(location: str, *, folder: Path = Path(), redactor: Redactor | None = None) -> Store:
    """The store at that location; what its place needs is imported only now.

    Args:
        location: `file:PATH`, a path alone, `git:REMOTE`, `git:REMOTE#REF`, or `s3://`, `gs://` or
            `az://` with bucket and key.
        folder: the current folder.
        redactor: what keeps known secrets out of it; None for nothing.

    Raises:
        ConfigurationError: it is none of these, or what it needs is not installed.
    """
    redactor = redactor or Redactor()
    scheme, rest = scheme_of(location)
    if scheme == "file":
        return open_file(location, rest, folder, redactor)
    if scheme == "git":
        from reconciler.state_store.git import open_git  # starts processes

        return open_git(location, rest, folder, redactor)
    try:
        from reconciler.state_store.object_store import open_objects  # an optional package
    except ImportError as error:
        if error.name != "obstore":
            raise
        raise ConfigurationError(
            f"{location} needs the package obstore, which is not installed",
            "Install it with: pip install obstore",
        ) from error
    return open_objects(location, folder, redactor)


def scheme_of(location: str) -> tuple[str, str]:
    """The scheme of a location, and what follows its colon; nothing is opened.

    Raises:
        ConfigurationError: it is of no form that `open_store` takes.
    """
    if not location.isprintable() or not location.strip():
        raise ConfigurationError(
            f"{location!r} is not a location for the state", f"Write {_SCHEMES}."
        )
    if meant := looks_like(location):
        raise ConfigurationError(
            f"{location!r} is a path, but looks like {meant}",
            f"Write {meant}, or ./{location} for the file.",
        )
    found = _SCHEME.match(location)
    if not found:
        return "file", location
    scheme, rest = found.group(), location[found.end() + 1 :]
    if scheme in {"file", "git"} or (scheme in {"s3", "gs", "az"} and rest.startswith("//")):
        return scheme, rest
    raise ConfigurationError(
        f"{location!r} is not a location for the state",
        f"Write {_SCHEMES}; for a file with a colon in its path, write file:PATH.",
    )


def looks_like(location: str) -> str:
    """The location that a path most likely is, with its scheme misspelt; empty if it is a path."""
    found = _NEARLY.fullmatch(location)
    if not found:
        return ""
    scheme = (found["git"] or found["scheme"]).lower()
    if scheme not in {"git", "file"}:
        return f"{scheme}://{found['rest']}"
    _, _, rest = without_logins(f"//{found['remote'] or found['rest']}").partition("//")
    return f"{scheme}:{rest}"


def is_file(location: str) -> bool:
    """Whether a state is kept in a file of this machine, where it is quickly read."""
    found = _SCHEME.match(location)
    return found is None or found.group() == "file"


def beside(location: str) -> str:
    """The place beside a state where those who watch it agree on one of them."""
    if not location.startswith("git:"):
        return f"{location}.watch"
    from reconciler.state_store.git import DEFAULT_REF  # starts processes

    return f"{location if '#' in location else f'{location}#{DEFAULT_REF}'}-watch"
