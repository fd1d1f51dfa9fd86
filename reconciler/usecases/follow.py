"""Keeps the checkout at the commit that its branch has at the remote, or that a named ref has.

It goes where the remote goes, also when history was rewritten there: what is reviewed is there.
What is only here is never lost: with commits of its own, or with files that are changed, a checkout
stays as it is, and that is said. Without a branch that follows one, nothing is fetched: whoever
moves the checkout is somebody else, or nobody.

A ref that is named has no branch here. So HEAD is detached, and all branches stay where they are.
Commits that a detached HEAD alone has are its own, but for those that the ref had when it was
fetched last: that is noted in a ref which nobody else uses.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from reconciler.errors import ConfigurationError, StateError, UsageError
from reconciler.state_store.git_process import Answer, Git, hidden
from reconciler.usecases.checkout import repository

_PATIENCE = 20.0
"""Seconds that git may take: so long a signal may have to wait."""
_WATCHED = "refs/worktree/reconciler-watched"
_FETCHED = f"{_WATCHED}-next"
"""What the ref had when it was fetched last; of this work tree, as its HEAD is."""


class Followed(NamedTuple):
    """Where the checkout is.

    Attributes:
        commit: empty if Git does not say.
        problem: why it may not be what the remote has; empty if it is.
    """

    commit: str = ""
    problem: str = ""


def refuse_unusable(ref: str) -> None:
    """Stops where no ref of that name can ever be followed.

    Raises:
        UsageError: it is no name.
        ConfigurationError: there is no repository, or no remote that it could be of.
    """
    git = repository(".")
    if git is None:
        raise ConfigurationError(
            "--ref needs a Git repository, and there is none here", "Run it in a clone."
        )
    # What Git takes for an option is no name either.
    if not git.run("check-ref-format", "--allow-onelevel", ref).is_ok:
        raise UsageError(
            f"--ref {ref} is not a valid name of a branch or tag", "An example is main."
        )
    _remote(git)


def _remote(git: Git) -> str:
    """The remote that a named ref is of.

    Raises:
        ConfigurationError: there is none, or nobody can tell which.
    """
    names = git.run("remote").out.decode("utf-8", "surrogateescape").split("\n")[:-1]
    if "origin" in names or len(names) == 1:
        return "origin" if "origin" in names else names[0]
    found = f"the remotes are {', '.join(names)}" if names else "there is no remote"
    raise ConfigurationError(
        f"--ref follows origin or the only remote, but {found}", "Name one of them origin."
    )


def follow(ref: str | None = None) -> Followed:
    """Fetches what the branch of the current folder follows, or a ref, and goes there."""
    git = repository(".")
    if git is None:
        return Followed()
    try:
        problem = _follow(git) if ref is None else _follow_ref(git, ref)
        head = git.run("rev-parse", "--verify", "HEAD")
    except (StateError, ConfigurationError) as error:
        return Followed(problem=str(error))
    return Followed(head.out.decode("ascii", "replace").strip() if head.is_ok else "", problem)


def unfollowed() -> str:
    """Why nothing is ever fetched here unless a ref is named; empty if it is, or cannot be."""
    git = repository(".")
    if git is None or not git.run("remote").out:
        return ""
    branch, remote = _branch(git)
    if not branch:
        return "HEAD is detached"
    return "" if remote else f"the branch {branch} tracks no remote branch"


def _branch(git: Git) -> tuple[str, str]:
    """The branch here and the remote that it follows; empty for what there is not."""
    branch = git.run("symbolic-ref", "--quiet", "--short", "HEAD").out.decode().strip()
    remote = git.run("config", "--get", f"branch.{branch}.remote").out.decode().strip()
    return branch, "" if remote == "." else remote


def _follow(git: Git) -> str:
    branch, remote = _branch(git)
    upstream = git.run("rev-parse", "--verify", "--quiet", "@{upstream}")
    if not branch or not remote:
        return ""
    own = git.run("rev-list", "--max-count=1", "@{upstream}..HEAD")
    if not upstream.is_ok or not own.is_ok:
        return f"the branch {branch} tracks a branch that {remote} does not have"
    if own.out:
        return f"the branch {branch} has a local commit that {remote} does not have"
    if changed := _changed(git):
        return changed
    fetched = _fetch(git, remote)
    if not fetched.is_ok:
        return f"cannot fetch {remote}: {fetched.words}"
    moved = git.run("reset", "--quiet", "--keep", "@{upstream}")
    return "" if moved.is_ok else f"cannot move the checkout to {remote}: {moved.words}"


def _follow_ref(git: Git, ref: str) -> str:
    remote = _remote(git)
    if changed := _changed(git):
        return changed
    if not git.run("symbolic-ref", "--quiet", "HEAD").is_ok:
        known = ("--branches", "--tags", "--remotes", f"--glob={_WATCHED}*")
        if git.run("rev-list", "--max-count=1", "HEAD", "--not", *known).out:
            return "the checkout has a commit that is on no branch"
    # HEAD stays reachable until the checkout has moved: whether or not that can be done now.
    fetched = _fetch(git, remote, f"+{ref}:{_FETCHED}")
    if not fetched.is_ok:
        return f"cannot fetch {ref} from {remote}: {fetched.words}"
    moved = git.run("checkout", "--quiet", "--detach", _FETCHED)
    if not moved.is_ok:
        return f"cannot move the checkout to {ref} of {remote}: {moved.words}"
    kept = git.run("update-ref", _WATCHED, "HEAD")
    return "" if kept.is_ok else f"cannot save what was fetched: {kept.words}"


def _changed(git: Git) -> str:
    """Why the files here must not be touched; empty if they may be."""
    done = git.run("--no-optional-locks", "status", "--porcelain", "--", ".", ":!.reconciler")
    if not done.is_ok:
        return f"Git cannot list the changed files: {done.words}"
    return "the checkout has uncommitted changes" if done.out else ""


def _fetch(git: Git, remote: str, *refspec: str) -> Answer:
    _, environment, _ = hidden(git, remote)
    patient = Git(Path(), _PATIENCE, environment)
    return patient.run("fetch", "--quiet", "--no-tags", remote, *refspec)
