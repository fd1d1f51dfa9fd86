"""What a pipeline on GitHub or GitLab says of itself, and how its platform is reached."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from reconciler import durable
from reconciler.cli import console, json_file, runtime
from reconciler.core.printable import joined
from reconciler.errors import ConfigurationError

if TYPE_CHECKING:
    from reconciler.usecases.platforms import GitHub, GitLab

platform = click.option(
    "--platform",
    type=click.Choice(["github", "gitlab"]),
    required=True,
    help="Where the repository is. Reads its address and the token from the environment.",
)
request = click.option(
    "--request",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="Number of the pull or merge request. Default: the request of the pipeline.",
)

_MOST_BYTES = 4 * 2**20
"""Of the event that GitHub describes."""
_LARGEST = 16 * 2**20
"""Of a text, in bytes."""
_SUMMARY_BYTES = 1024 * 1024
"""GitHub takes no more of one step."""


_VARIABLES = {
    "github": ("GITHUB_TOKEN", "GITHUB_API_URL", "GITHUB_REPOSITORY", "https://api.github.com"),
    "gitlab": ("GITLAB_TOKEN", "CI_API_V4_URL", "CI_PROJECT_ID", "https://gitlab.com/api/v4"),
}
"""The variables with the token, the API and the project; and the API if its variable is unset."""


def connect(name: str, number: int | None = None) -> closing[GitHub | GitLab]:
    """The platform of that name, and the request with that number.

    Raises:
        ConfigurationError: the environment does not say which project it is, or how to reach it.
        NotAllowedError: there is no token.
    """
    from reconciler.usecases.platforms import GitHub, GitLab, PlatformContext  # httpx, 120 ms

    token_variable, api_variable, project_variable, usual_api = _VARIABLES[name]
    project = os.environ.get(project_variable, "")
    if not project:
        raise ConfigurationError(
            f"{project_variable} is not set",
            "Run this in a pipeline, or set it as a pipeline does.",
        )
    api = (os.environ.get(api_variable) or usual_api).rstrip("/")
    graphql = os.environ.get("GITHUB_GRAPHQL_URL") or f"{api}/graphql"
    for name_of, url in ((api_variable, api), ("GITHUB_GRAPHQL_URL", graphql)):
        if not _is_url(url):
            raise ConfigurationError(
                f"{name_of} is not the URL of a server", "Check its beginning."
            )
    token = os.environ.get(token_variable, "").strip()  # a file that holds it ends with a line
    runtime.redactor().know(token)
    if not (token.isascii() and token.isprintable()):
        raise ConfigurationError(
            f"{token_variable} has characters that are not valid in a token", "Set it again."
        )
    kind = GitHub if name == "github" else GitLab
    context = PlatformContext(api, graphql, project, number or 0, token)
    return closing(kind(context, runtime.clock()))


def _is_url(text: str) -> bool:
    """Whether a request can be sent there."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def number_of_request(name: str, given: int | None) -> int:
    """The number of the request that this pipeline is for.

    Raises:
        ConfigurationError: the environment does not tell.
    """
    if given is not None:
        return given
    found = _github() if name == "github" else os.environ.get("CI_MERGE_REQUEST_IID", "")
    if found.isdecimal():
        return int(found)
    raise ConfigurationError(
        "this pipeline does not belong to a pull request or merge request",
        "Specify one with --request.",
    )


def _github() -> str:
    """As the event says, or the ref of it: refs/pull/NUMBER/merge."""
    if path := os.environ.get("GITHUB_EVENT_PATH"):
        hint = "Specify the request with --request."
        event = json_file.read(path, hint, name=f"GITHUB_EVENT_PATH: {path}", most=_MOST_BYTES)
        if isinstance(event, dict) and isinstance(event.get("pull_request"), dict):
            return str(event["pull_request"].get("number"))
    match os.environ.get("GITHUB_REF", "").split("/"):
        case ["refs", "pull", number, *_]:
            return number
        case _:
            return ""


def summarise(text: str) -> str:
    """Puts a text where a platform shows it without a permission; says where that is."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    data = f"{runtime.redactor().text(text)}\n".encode()
    if not path or len(data) > _SUMMARY_BYTES:
        console.data(joined(text.splitlines()))
        return "is printed here"
    try:
        with Path(path).open("ab") as file:
            file.write(data)
    except OSError as error:
        raise ConfigurationError(
            f"GITHUB_STEP_SUMMARY: {path} cannot be written: {error.strerror}",
            "Unset GITHUB_STEP_SUMMARY to print the text instead.",
        ) from error
    return "is in the job summary"


def read_text(path: str) -> str:
    """The text in a file, or on stdin.

    Raises:
        ConfigurationError: it cannot be read, or is empty.
    """
    try:
        data = durable.read_any("/dev/stdin" if path == "-" else path, _LARGEST)
        text = data.decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"{path} cannot be read: {reason}", "Use a text file.") from error
    if not text:
        raise ConfigurationError(f"{path} is empty", "Use a file that is not empty.")
    return text
