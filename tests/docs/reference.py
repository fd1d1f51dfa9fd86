"""The pages of the reference, and llms.txt, made from the code.

`pytest tests/docs --update-golden` writes them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click
from click.testing import CliRunner

from reconciler.cli import reconciler
from reconciler.cli.formats import Subject, formats
from reconciler.core.fields import described
from reconciler.core.lint.codes import CODES
from reconciler.errors import ExitCode
from reconciler.schema import schema_folder

from build import SCHEMAS
from docs.codes import FINDINGS, NOTES, REFUSALS, WARNINGS
from docs.pages import DOCS, ROOT, Page, page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from reconciler.core.fields import Described

    from docs.codes import Advice

KINDS = ("email-imap", "email-pop", "email-smtp", "email-round-trip")
GROUPS = ("state",)
"""Commands that have commands below them."""
SHOWN_BY = {
    Subject.PLAN: ("plan", "show"),
    Subject.DRIFT: ("drift",),
    Subject.RESULT: ("apply",),
    Subject.FINDINGS: ("validate",),
    Subject.REPORT: ("report",),
}
FORMATS = {
    "text": "People.",
    "json": "Scripts. `reconciler schema` prints the JSON Schema of each document.",
    "markdown": "A review comment. Above 65,000 bytes, whole changes are omitted, and the comment "
    "says how many.",
    "html": "A page for reviewers, with filters and a search, in a single file.",
    "github": "The log of a GitHub job, with at most ten annotations of each severity, because "
    "GitHub shows no more. It also writes the job summary and the outputs of the step: `changes` "
    "(`true` or `false`), the counts, and `report`, the first FILE.",
    "gitlab-codequality": "GitLab's code quality report.",
    "gitlab-terraform": "GitLab's Terraform widget in a merge request.",
    "junit": "CI servers that show test results. A monitor that drifted, or a change that failed, "
    "is a failed test.",
    "sarif": "GitHub code scanning and other SARIF 2.1.0 tools.",
}
ENVIRONMENT = {
    "ALERTSITE_USERNAME": "The login of an AlertSite user.",
    "ALERTSITE_PASSWORD": "The password of that user.",
    "ALERTSITE_TOKEN": "An access token, used instead of the login. AlertSite's tokens expire "
    "after one hour.",
    "ALERTSITE_URL": "Base URL. Default: `https://api.alertsite.com/api/v3`. Plain `http` is "
    "allowed for loopback only.",
    "RECONCILER_STATE": "Where the state is stored, like `--state` and `state` in "
    "`reconciler.toml`.",
    "RECONCILER_LOCK_LEASE": "Like `lock_lease` in `reconciler.toml`.",
    "RECONCILER_TIMEOUT": "Like `timeout` in `reconciler.toml`.",
    "RECONCILER_DEADLINE": "Like `deadline` in `reconciler.toml`.",
    "RECONCILER_LARGEST_LIST": "Like `largest_list` in `reconciler.toml`.",
    "RECONCILER_BUDGET": "Ceiling of the safety budget: `20`, `25%` or `20,25%`. Nothing in the "
    "repository, and no option, can raise it.",
    "RECONCILER_SECRET_KEY": "Key of the fingerprints of secrets. Generate one with `openssl rand "
    "-hex 32`.",
    "RECONCILER_NOTIFY": "URLs to notify, separated by spaces.",
    "RECONCILER_DEBUG": "Shows the traceback of an unexpected error.",
}
OTHERS = {
    "CI": "If set, missing credentials are an error, and the sandbox is never used.",
    "NO_COLOR": "If set, output has no color.",
    "CLICOLOR_FORCE": "If set to anything but `0`, output has color even if it does not go to a "
    "terminal. `NO_COLOR` wins.",
    "TERM": "If it is `dumb`, there is no progress line and no pager.",
    "HTTPS_PROXY, ALL_PROXY": "The proxy for requests to AlertSite, GitHub and GitLab, such as "
    "`http://proxy.example.com:3128`. `HTTPS_PROXY` wins. Lower-case names work as well. Loopback "
    "without TLS, such as the sandbox, is reached without a proxy.",
    "NO_PROXY": "Hosts that are reached without a proxy, separated by commas. `example.com` "
    "includes its subdomains.",
    "SSL_CERT_FILE": "A PEM file with all certificate authorities to trust. Without it and "
    "`SSL_CERT_DIR`, the authorities of the Python package certifi are trusted, not those of the "
    "operating system.",
    "SSL_CERT_DIR": "A folder of authorities, prepared with `openssl rehash`. Used if "
    "`SSL_CERT_FILE` is not set.",
    "PAGER": "The program that shows a plan that does not fit on the terminal. Default: `less`. If "
    "set and empty, there is none.",
    "AWS_…, GOOGLE_…, AZURE_STORAGE_…": "Login, region and server of a state in an object store.",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "Where traces are sent. Other OpenTelemetry variables work as "
    "well.",
    "GITHUB_ACTOR, GITLAB_USER_LOGIN, BUILD_USER_ID": "The actor in the run record.",
    "CI_JOB_URL, CI_PIPELINE_URL, BUILD_URL, GITHUB_SERVER_URL, GITHUB_RUN_ID": "The pipeline in "
    "the run record.",
    "GITHUB_TOKEN, GITLAB_TOKEN": "The token of the commands that use GitHub or GitLab: `comment`, "
    "`issue` and `reviewed`.",
    "GITHUB_REPOSITORY, CI_PROJECT_ID": "The project of these commands.",
    "GITHUB_API_URL, GITHUB_GRAPHQL_URL, CI_API_V4_URL": "The server of these commands. Default: "
    "that of github.com or gitlab.com.",
    "GITHUB_EVENT_PATH, GITHUB_REF, CI_MERGE_REQUEST_IID": "The pull or merge request that the "
    "pipeline is for.",
    "GITHUB_SHA, CI_COMMIT_SHA": "The commit that `reviewed` finds the request of.",
    "GITHUB_ACTIONS, GITHUB_OUTPUT, GITHUB_STEP_SUMMARY": "If `GITHUB_ACTIONS` is `true`, the "
    "counts and a summary are appended to the files that the others name.",
    "GITHUB_WORKSPACE, CI_PROJECT_DIR": "The root that paths in reports for GitHub and GitLab are "
    "relative to.",
    "JOB_COMPLETION_INDEX": "The number of the shard, from 0, with `--shard /N`.",
    "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT, "
    "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": "The TLS files with `--executor dask:tls://…`. "
    "Other variables of Dask work as well.",
}


def reference() -> dict[str, str]:
    """The text of each generated file, by its path below `docs/`."""
    made: dict[str, Callable[[], Iterable[str]]] = {
        "commands": commands,
        "manifest": manifest,
        "settings": settings,
        "environment": environment,
        "exit-codes": exit_codes,
        "formats": formats_page,
        "codes": codes,
        "lint": lint,
        "glossary": glossary,
    }
    return {f"reference/{name}.md": "\n".join(lines()) + "\n" for name, lines in made.items()}


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def helped(*command: str) -> str:
    found = CliRunner().invoke(
        reconciler, [*command, "--help"], prog_name="reconciler", terminal_width=80
    )
    assert found.exit_code == 0, command
    return found.output


def commands() -> Iterator[str]:
    yield "# Commands\n"
    yield "All commands and options, as `--help` prints them.\n"
    yield f"```text\n{helped()}```\n"
    context = click.Context(reconciler)
    for name in reconciler.list_commands(context):
        yield f"## reconciler {name}\n"
        yield f"```text\n{helped(name)}```\n"
        if name in GROUPS:
            group = reconciler.get_command(context, name)
            assert isinstance(group, click.Group)
            for below in sorted(group.commands):
                yield f"### reconciler {name} {below}\n"
                yield f"```text\n{helped(name, below)}```\n"


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((schema_folder() / f"{name}.schema.json").read_bytes())
    return found


def manifest() -> Iterator[str]:
    found: dict[str, dict[str, Described]] = {}
    documents = SCHEMAS.documents
    for kind in KINDS:
        for field in described(documents[kind]):
            found.setdefault(field.name, {})[kind] = field
    written = {name: by for name, by in found.items() if not next(iter(by.values())).is_read_only}
    set_by_alertsite = [name for name, by in found.items() if name not in written]
    yield "# Manifest fields\n"
    yield (
        "All fields that a manifest can have. `reconciler explain KIND.FIELD` also shows where the "
        "description comes from and how certain it is. A required field can come from a default.\n"
    )
    for section in ("metadata", "lifecycle", "spec"):
        yield f"## {section}\n"
        rows = [
            field_row(name.removeprefix(f"{section}."), by)
            for name, by in written.items()
            if name.startswith(f"{section}.")
        ]
        yield from table(("field", "type", "meaning"), rows)
        yield ""
    yield "## Set by AlertSite\n"
    yield "A manifest cannot set these fields:\n"
    yield ", ".join(f"`{name.removeprefix('spec.')}`" for name in set_by_alertsite) + "."


def field_row(name: str, by: Mapping[str, Described]) -> tuple[str, str, str]:
    field = next(iter(by.values()))
    words = field.words
    parts = [f"{words.summary.rstrip('.')}."]
    for kind, other in by.items():
        if other.words.summary != words.summary:
            more = other.words.summary.removeprefix(words.summary).strip()
            parts.append(f"For {kind}: {more.rstrip('.')}.")
    parts += [f"Unit: {words.unit.rstrip('.')}."] if words.unit else []
    defaults = {kind: other.words.default.rstrip(".") for kind, other in by.items()}
    if len(set(defaults.values())) > 1:
        parts.append(f"Default: {'; '.join(f'{it} for {kind}' for kind, it in defaults.items())}.")
    else:
        parts += [f"Default: {words.default.rstrip('.')}."] if words.default else []
    limits = [limit for limit in field.limits if not limit.startswith("of the form")]
    phrases = [limit for limit in limits if not limit[0].isupper()]
    parts += [f"Allowed: {', '.join(phrases)}."] if phrases else []
    parts += [f"{limit.rstrip('.')}." for limit in limits if limit[0].isupper()]
    if len(by) < len(KINDS):
        parts.append(f"Only {', '.join(by)}.")
    kind = field.type or "any"
    return f"`{name}`{' (required)' if field.is_required else ''}", kind, escaped(" ".join(parts))


def escaped(text: str) -> str:
    """A sentence of a schema as Markdown that shows it."""
    return re.sub(r"([\\`*_<>\[\]{}])", r"\\\1", text)


def settings() -> Iterator[str]:
    yield "# reconciler.toml\n"
    yield (
        "All settings in `reconciler.toml`, the file in the root of a repository. All keys are "
        "optional, and paths are relative to the file. `reconciler schema settings` prints the "
        "JSON Schema.\n"
    )
    yield from table(("key", "type", "meaning"), setting_rows(schema("settings"), ""))


def setting_rows(found: Mapping[str, Any], above: str) -> Iterator[tuple[str, ...]]:
    for key, value in found.get("properties", {}).items():
        kind = value.get("type", "any")
        yield f"`{above}{key}`", str(kind), escaped(value.get("description", ""))
        yield from setting_rows(value, f"{above}{key}.")


def environment() -> Iterator[str]:
    yield "# Environment variables\n"
    yield (
        "All environment variables that reconciler reads. To read an `ALERTSITE_` variable, or one "
        "that holds a secret, from a file, append `_FILE` to its name: "
        "`ALERTSITE_PASSWORD_FILE=/run/secrets/alertsite`.\n"
    )
    rows = [(f"`{name}`", meaning) for name, meaning in ENVIRONMENT.items()]
    yield from table(("variable", "meaning"), rows)
    yield "\nVariables of other programs:\n"
    others = [
        (", ".join(f"`{one}`" for one in name.split(", ")), meaning)
        for name, meaning in OTHERS.items()
    ]
    yield from table(("variable", "meaning"), others)


def exit_codes() -> Iterator[str]:
    yield "# Exit codes\n"
    yield (
        "All exit codes of `reconciler`. `make` turns every failure into 2, so do not use `make` "
        "in scripts that check the code.\n"
    )
    text = helped()
    rows = []
    for code in ExitCode:
        found = re.search(rf"^ +{int(code)} +(\S.*)$", text, re.MULTILINE)
        assert found, code
        rows.append((str(int(code)), found[1]))
    yield from table(("exit code", "meaning"), rows)


def formats_page() -> Iterator[str]:
    yield "# Formats\n"
    yield (
        "`--format NAME[=FILE]` selects the output format. With FILE, the output goes to the file, "
        "which is replaced atomically, and stdout still has text. The option can be repeated. "
        "Text from manifests, file names and AlertSite is escaped in every format.\n"
    )
    rows = []
    for name, meaning in FORMATS.items():
        shown = [
            command
            for subject in Subject
            for command in SHOWN_BY[subject]
            if name in formats(subject)
        ]
        rows.append((f"`{name}`", " ".join(f"`{one}`" for one in shown), meaning))
    yield from table(("format", "commands", "what it is for"), rows)


def codes() -> Iterator[str]:
    yield "# Codes of findings, refusals and notes\n"
    yield (
        "All codes of the commands that read manifests or plan changes, except the [codes of "
        "lint](lint.md). The message next to a code says where the problem is.\n"
    )
    yield "## Findings\n"
    yield (
        "`validate`, `plan`, `apply` and all other commands that read manifests print findings as "
        "`path:line:column: code: message`. They print all findings at once and exit with 3.\n"
    )
    for about, found in FINDINGS.items():
        yield f"### {about}\n"
        yield from advice(found)
        yield ""
    yield "## Warnings\n"
    yield "Warnings do not change the exit code, except with `validate --lint --strict`.\n"
    yield from advice(WARNINGS)
    yield "\n## Refusals\n"
    yield (
        "A plan refuses a change that could affect the wrong monitor. `plan` and `apply` then exit "
        "with 5, and nothing is applied. To apply the rest, leave the manifest out with "
        "`--exclude`. The text output shows a refusal as `! ADDRESS refused: message`; the code is "
        "in the JSON, JUnit and GitHub formats.\n"
    )
    yield from advice(REFUSALS)
    yield "\n## Notes\n"
    yield (
        "Notes do not prevent an apply. The text output shows their message after `.` or `!`; the "
        "code is in the JSON format.\n"
    )
    yield from advice(NOTES)


def advice(found: Mapping[str, Advice]) -> Iterator[str]:
    rows = ((f"`{name}`", item.meaning, item.action) for name, item in sorted(found.items()))
    yield from table(("code", "meaning", "what to do"), rows)


def lint() -> Iterator[str]:
    yield "# Lint codes\n"
    yield (
        "All codes of `reconciler validate --lint`, which reports values that are valid but look "
        "wrong. Errors end the run with exit code 3; warnings and infos do so only with "
        "`--strict`. Change the severity of a code in [`[lint]` of reconciler.toml](settings.md).\n"
    )
    rows = [
        (f"`{name}`", str(code.severity), escaped(code.meaning)) for name, code in CODES.items()
    ]
    yield from table(("code", "severity", "meaning"), rows)


def glossary() -> Iterator[str]:
    yield "# Glossary\n"
    yield "The terms of reconciler, as used in its code, messages and documentation.\n"
    words = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = words.partition("## Words\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([a-z, -]+) \| (.+) \|$", section, re.MULTILINE)[1:]
    found = {
        name: meaning
        for names, meanings in rows
        for name, meaning in zip(names.split(", "), meanings.split(" · "), strict=True)
    }
    yield from table(("word", "meaning"), [(f"**{name}**", found[name]) for name in sorted(found)])


def llms() -> str:
    """The list of all pages, for programs that read them: https://llmstxt.org."""
    lines = [
        "# reconciler",
        "",
        f"> {page('docs/index.md').summary}",
    ]
    sections = {
        "Tutorial": "tutorial",
        "How-to guides": "how-to",
        "Reference": "reference",
        "Explanation": "explanation",
    }
    for title, folder in sections.items():
        lines += ["", f"## {title}", ""]
        lines += [entry(page(f"docs/{path}")) for path in paths(folder)]
    lines += ["", "## More", "", entry(page("docs/coming-from.md"))]
    return "\n".join(lines) + "\n"


def paths(folder: str) -> list[str]:
    return [path.relative_to(DOCS).as_posix() for path in sorted((DOCS / folder).glob("*.md"))]


def entry(found: Page) -> str:
    target = found.path.removeprefix("docs/").removesuffix(".md")
    return f"- [{found.title}]({target}.html): {found.summary}"
