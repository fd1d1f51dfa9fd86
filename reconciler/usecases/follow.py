"""Keeps the checkout at the commit that its branch has at the remote.

It goes where the remote goes, also when history was rewritten there: what is reviewed is there.
What is only here is never lost: with commits of its own, or with files that are changed, a checkout
stays as it is, and that is said. A branch that follows none is as the remote is, since there is no
remote.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from reconciler.errors import ConfigurationError, StateError
from reconciler.state_store.git_process import Git, hidden
from reconciler.usecases.checkout import repository

_PATIENCE = 20.0
"""Seconds that git may take: so long a signal may have to wait."""


class Followed(NamedTuple):
    """Where the checkout is.

    Attributes:
        commit: empty if Git does not say.
        problem: why it may not be what the remote has; empty if it is.
    """

    commit: str = ""
    problem: str = ""


def follow() -> Followed:
    """Fetches what the branch of the current folder follows, and goes there."""
    git = repository(".")
    if git is None:
        return Followed()
    try:
        problem = _follow(git)
        head = git.run("rev-parse", "--verify", "HEAD")
    except (StateError, ConfigurationError) as error:
        return Followed(problem=str(error))
    return Followed(head.out.decode("ascii", "replace").strip() if head.is_ok else "", problem)


def _follow(git: Git) -> str:
    branch = git.run("symbolic-ref", "--quiet", "--short", "HEAD").out.decode().strip()
    upstream = git.run("rev-parse", "--verify", "--quiet", "@{upstream}")
    remote = git.run("config", "--get", f"branch.{branch}.remote").out.decode().strip()
    if not branch or not remote or remote == ".":
        return ""
    own = git.run("rev-list", "--max-count=1", "@{upstream}..HEAD")
    if not upstream.is_ok or not own.is_ok:
        return f"the branch {branch} follows one that {remote} does not have"
    if own.out:
        return f"the branch {branch} has a commit here that {remote} does not have"
    if git.run("--no-optional-locks", "status", "--porcelain", "--", ".", ":!.reconciler").out:
        return "files of the checkout are changed and not committed"
    _, environment, _ = hidden(git, remote)
    fetched = Git(Path(), _PATIENCE, environment).run("fetch", "--quiet", "--no-tags", remote)
    if not fetched.is_ok:
        return f"{remote} cannot be fetched: {fetched.words}"
    moved = git.run("reset", "--quiet", "--keep", "@{upstream}")
    return "" if moved.is_ok else f"the checkout cannot follow {remote}: {moved.words}"
