"""validate --lint: what is valid and looks wrong, at its place, unless a comment disables it."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import jsonschema
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done, Workspace

_ROOT = Path(__file__).parents[2]


def _imap(
    *lines: str, kind: str = "kind: email-imap", metadata: str = "metadata: {name: a}"
) -> str:
    head = ["apiVersion: reconciler/v1", kind, metadata, "spec:"]
    common = ["name: A", "billing_plancode: UBM - A/A", "hostname: imap.example.com"]
    return "\n".join([*head, *(f"  {line}" for line in (*common, *lines)), ""])


@pytest.fixture
def lint(workspace: Workspace, run: Callable[..., Done]) -> Callable[..., Done]:
    """Runs validate --lint on one manifest."""

    def on(text: str, *arguments: str) -> Done:
        workspace.write("a.yaml", text)
        return run("validate", "--lint", *arguments)

    return on


def test_a_warning_is_printed_and_is_no_failure(lint: Callable[..., Done]) -> None:
    done = lint(_imap("interval: 1", "timeout: 90"))
    assert done.code == 0
    assert done.out.startswith("monitors/a.yaml:8:13: warning: short-interval: the interval")
    assert done.err == "Valid: 1 manifest in 1 file.\nLint: 1 warning.\n"


def test_an_error_is_a_failure(lint: Callable[..., Done]) -> None:
    done = lint(_imap("port: 995", "enabled: false"))
    assert done.code == 3
    first, second = done.out.splitlines()
    assert first.startswith("monitors/a.yaml:8:9: error: wrong-port: port 995 is for POP, and ")
    assert second.startswith("monitors/a.yaml:9:12: info: disabled: the monitor does not run")
    assert done.err.endswith("Lint: 1 error, 1 info.\n")


def test_strict_takes_every_finding_for_a_failure(lint: Callable[..., Done]) -> None:
    assert lint(_imap("enabled: false")).code == 0
    assert lint(_imap("enabled: false"), "--strict").code == 3
    assert lint(_imap("enabled: true"), "--strict").code == 0


def test_strict_is_about_lint(run: Callable[..., Done]) -> None:
    done = run("validate", "--strict")
    assert done.code == 64
    assert "--lint" in done.err


def test_nothing_to_say(lint: Callable[..., Done]) -> None:
    done = lint(_imap())
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith("Lint: no findings.\n")


def test_without_lint_nothing_of_it_is_said(
    lint: Callable[..., Done], run: Callable[..., Done]
) -> None:
    lint(_imap("port: 995"))
    done = run("validate")
    assert (done.code, done.out, done.err) == (0, "", "Valid: 1 manifest in 1 file.\n")


def test_invalid_manifests_are_told_as_ever(
    lint: Callable[..., Done], run: Callable[..., Done]
) -> None:
    linted = lint(_imap("prot: 995"))
    plain = run("validate")
    assert linted == plain
    assert plain.code == 3
    assert "monitors/a.yaml:8:3: unknown-key: unknown key spec.prot" in plain.out


def test_the_sample_fleet_has_no_fault(run: Callable[..., Done]) -> None:
    done = run("validate", "--lint", cwd=_ROOT)
    assert done.code == 0
    assert ": error:" not in done.out
    assert ": warning:" not in done.out


class TestFormats:
    TEXT = _imap("port: 995", "interval: 1", "timeout: 90", "enabled: false")

    def test_json(self, lint: Callable[..., Done]) -> None:
        done = lint(self.TEXT, "--format", "json")
        schema = json.loads((_ROOT / "schemas" / "findings.schema.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(done.json)
        severities = [(item["code"], item["severity"]) for item in done.json["findings"]]
        assert severities == [
            ("wrong-port", "error"),
            ("short-interval", "warning"),
            ("disabled", "info"),
        ]

    def test_github(self, lint: Callable[..., Done]) -> None:
        done = lint(self.TEXT, "--format", "github")
        assert [
            line.partition("::port")[0].partition("::the")[0] for line in done.out.splitlines()
        ] == [
            "::error file=monitors/a.yaml,line=8,col=9,title=wrong-port",
            "::warning file=monitors/a.yaml,line=9,col=13,title=short-interval",
            "::notice file=monitors/a.yaml,line=11,col=12,title=disabled",
        ]

    def test_json_without_findings(self, lint: Callable[..., Done]) -> None:
        assert lint(_imap(), "--format", "json").json["findings"] == []

    def test_findings_of_a_schema_are_errors(self, lint: Callable[..., Done]) -> None:
        (finding,) = lint(_imap("prot: 1"), "--format", "json").json["findings"]
        assert finding["severity"] == "error"


class TestComments:
    @pytest.mark.parametrize(
        "text",
        [
            _imap("port: 995  # reconciler: disable=wrong-port"),
            _imap("port: 995  # reconciler: disable=disabled, wrong-port  it is an odd server"),
            _imap("port:  # reconciler: disable=wrong-port", "  995"),
            _imap("port:", "  995 # reconciler: disable=wrong-port"),
            _imap("port: 995", kind="kind: email-imap # reconciler: disable=wrong-port"),
            _imap("port: 995", metadata="metadata: {name: a} # reconciler: disable=wrong-port"),
            _imap("port: 995", metadata="metadata: # reconciler: disable=wrong-port\n  name: a"),
        ],
    )
    def test_a_code_is_disabled_where_the_comment_stands(
        self, text: str, lint: Callable[..., Done]
    ) -> None:
        done = lint(text, "--strict")
        assert (done.code, done.out) == (0, "")

    def test_only_there(self, lint: Callable[..., Done]) -> None:
        text = _imap("port: 995", "interval: 5  # reconciler: disable=wrong-port")
        assert "wrong-port" in lint(text).out

    def test_only_that_manifest(self, lint: Callable[..., Done]) -> None:
        one = _imap("enabled: false", kind="kind: email-imap # reconciler: disable=disabled")
        other = _imap("enabled: false", metadata="metadata: {name: b}", kind="kind: email-pop")
        done = lint(f"{one}---\n{other}")
        assert done.out.count("disabled") == 1
        assert done.out.startswith("monitors/a.yaml:17:12: info: disabled")

    @pytest.mark.parametrize(
        ("comment", "message"),
        [
            (
                "disable=wrong-prot",
                "wrong-prot is no code that can be disabled; did you mean wrong-port?",
            ),
            ("disable=missing-key", "missing-key is no code that can be disabled"),
            ("disable=zzz", "reconciler explain lint lists the codes"),
            ("ignore=wrong-port", "this comment is not understood; write # reconciler: disable="),
            ("disable=", "this comment is not understood"),
        ],
    )
    def test_a_comment_that_names_no_code_is_a_finding(
        self, comment: str, message: str, lint: Callable[..., Done]
    ) -> None:
        done = lint(_imap(f"port: 143  # reconciler: {comment}"))
        assert done.code == 0
        assert done.out.startswith("monitors/a.yaml:8:14: warning: bad-comment: ")
        assert message in done.out

    def test_a_comment_alone_on_its_line_is_a_finding(self, lint: Callable[..., Done]) -> None:
        done = lint(_imap("# reconciler: disable=wrong-port", "port: 995"))
        assert "8:3: warning: bad-comment: a comment alone on its line disables nothing" in done.out
        assert "wrong-port: port 995" in done.out

    def test_a_text_that_looks_like_one_is_none(self, lint: Callable[..., Done]) -> None:
        assert lint(_imap('note: "x # reconciler: nonsense"'), "--strict").code == 0


class TestSeveralFiles:
    def test_the_same_check_is_told_in_both(
        self, workspace: Workspace, run: Callable[..., Done]
    ) -> None:
        workspace.write("a.yaml", _imap())
        workspace.write("b.yaml", _imap(metadata="metadata: {name: b}"))
        lines = run("validate", "--lint").out.splitlines()
        assert lines[0].startswith("monitors/a.yaml:7:13: warning: same-check:")
        assert "email-imap/b" in lines[0]
        assert lines[1].startswith("monitors/b.yaml:7:13: warning: same-check:")
        assert "email-imap/a" in lines[1]

    def test_a_default_is_told_where_it_stands(
        self, workspace: Workspace, run: Callable[..., Done]
    ) -> None:
        defaults = dedent("""\
            apiVersion: reconciler/v1
            kind: Defaults
            spec:
              notify_on_error: false
            """)
        workspace.write("_defaults.yaml", defaults)
        workspace.write("a.yaml", _imap())
        workspace.write("b.yaml", _imap("port: 993", metadata="metadata: {name: b}"))
        (line,) = run("validate", "--lint").out.splitlines()
        assert line.startswith("monitors/_defaults.yaml:4:20: info: silenced: ")
        quiet = defaults.replace("false", "false # reconciler: disable=silenced")
        workspace.write("_defaults.yaml", quiet)
        assert run("validate", "--lint").out == ""
