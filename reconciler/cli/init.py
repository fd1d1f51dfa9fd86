"""The command that lays out a new repository of manifests."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler import durable
from reconciler.cli import console, installation, options, runtime
from reconciler.core.printable import joined
from reconciler.errors import ConfigurationError, ExitCode, UsageError
from reconciler.schema import installed_schemas, schema_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

_TEMPLATES = Path(__file__).parents[1] / "templates"
_MANIFESTS = "monitors"
_EXAMPLE = "example-smtp.yaml"
_COMMAND = ".reconciler/command.mk"
"""How this machine runs the tool, for the Makefile; not in Git."""
_FILES = {
    "reconciler.toml": "reconciler.toml",
    "Makefile": "Makefile",
    ".gitignore": "gitignore",
    ".editorconfig": "editorconfig",
    ".pre-commit-config.yaml": "pre-commit-config.yaml",
    ".vscode/settings.json": "vscode-settings.json",
    ".github/actions/reconciler/action.yml": "github-action.yml",
    ".github/workflows/review.yml": "github-review.yml",
    ".github/workflows/merge.yml": "github-merge.yml",
    ".github/workflows/drift.yml": "github-drift.yml",
    ".gitlab-ci.yml": "gitlab-ci.yml",
    ".gitlab/reconciler.yml": "gitlab-component.yml",
}
"""Where each template goes; their own names have no dots in front, or tools would obey them."""
_NEXT = """\
Next, {where}:
  {command} plan       shows what {manifests} would change in the embedded sandbox
  {command} validate   checks the manifests{advice}
  {command} doctor     checks your login after you set ALERTSITE_USERNAME and ALERTSITE_PASSWORD
Delete the pipeline that you do not use: .github, or .gitlab and .gitlab-ci.yml."""


@click.command(epilog="Example: reconciler init mail-monitors")
@click.argument("folder", metavar="[DIR]", required=False, type=options.FromHere())
def init(folder: str | None) -> int:
    """Create a repository for manifests in DIR, by default the current folder.

    Existing files are not changed. The example manifest is written only if there is no folder with
    manifests yet.
    """
    if folder is None and runtime.here():
        raise UsageError(
            f"{runtime.here()} is a folder of a repository that exists already",
            "To make it a repository of its own, run: reconciler init .",
        )
    root = Path(folder or "")
    written = 0
    with console.writing() as writes:
        if (root / _MANIFESTS).exists() and not (root / _MANIFESTS / _EXAMPLE).exists():
            console.data(f"kept   {_MANIFESTS}")
        for name, content in _contents(root):
            if os.path.lexists(root / name):
                console.data(f"kept   {name}")
                continue
            try:
                with writes.one(name), _writable(root / name) as path:
                    durable.create(path, content)
            except FileExistsError:
                console.data(f"kept   {name}")
                continue
            written += 1
            console.data(f"wrote  {name}")
        if not written:
            console.note("Everything already exists; nothing was written.")
            return ExitCode.OK
        command = installation.command()
        if command != installation.ON_PATH:
            # `make` is to run this copy of the tool, where the PATH has another or none.
            words = shlex.join(command).replace("$", "$$").replace("#", "\\#")
            with writes.one(_COMMAND), _writable(root / _COMMAND) as path:
                durable.replace(path, f"RECONCILER ?= {words}\n".encode())
        where = "here" if root == Path() else f"in {root}"
        manifests, advice = "the manifests", ""
        if (root / _MANIFESTS / _EXAMPLE).exists():
            manifests = "the example"
            advice = f"; replace {_MANIFESTS}/{_EXAMPLE} with your own"
        text = _NEXT.format(
            where=where, command=shlex.join(command), manifests=manifests, advice=advice
        )
        console.note(joined(text.splitlines()))
    return ExitCode.OK


def _contents(root: Path) -> Iterator[tuple[str, bytes]]:
    """The name and content of every file, the example only for those who have no manifests."""
    example = f"{_MANIFESTS}/{_EXAMPLE}"
    if not (root / _MANIFESTS).exists() or (root / example).exists():
        yield example, (_TEMPLATES / _EXAMPLE).read_bytes()
    # Those that an editor needs for manifests; the first leads to the others.
    for name in sorted(("manifest", *installed_schemas().documents, "defaults", "override")):
        yield f"schemas/{name}.schema.json", (schema_folder() / f"{name}.schema.json").read_bytes()
    for name, template in _FILES.items():
        yield name, (_TEMPLATES / template).read_bytes()


@contextmanager
def _writable(path: Path) -> Iterator[Path]:
    """Makes the folder of a file that the body writes.

    Raises:
        ConfigurationError: it cannot be written.
        FileExistsError: as the body.
    """
    try:
        durable.make_folder(path.parent)
        yield path
    except FileExistsError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, NotADirectoryError):
            reason = "a file has the name of a folder"
        raise ConfigurationError(
            f"{path} cannot be written: {reason}",
            "Use another folder, or check its permissions and free space. Files that are already "
            "written stay.",
        ) from error
