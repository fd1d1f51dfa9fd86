"""validate --lint: what is valid and looks wrong, at its place, unless a comment disables it."""

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from e2e.conftest import Done, Run, Sandbox, Workspace, monitor

from documents import check

_ROOT = Path(__file__).parents[2]


def _imap(
    *lines: str, kind: str = "kind: email-imap", metadata: str = "metadata: {name: a}"
) -> str:
    head = ["apiVersion: reconciler/v1", kind, metadata, "spec:"]
    common = ["name: A", "billing_plancode: UBM - A/A", "hostname: imap.example.com"]
    return "\n".join([*head, *(f"  {line}" for line in (*common, *lines)), ""])


@pytest.fixture
def lint(workspace: Workspace, run: Run) -> Callable[..., Done]:
    """Runs validate --lint on one manifest."""

    def on(text: str, *arguments: str) -> Done:
        workspace.write("a.yaml", text)
        return run("validate", "--lint", *arguments)

    return on


def test_a_warning_is_printed_and_is_no_failure(lint: Run) -> None:
    done = lint(_imap("interval: 1", "timeout: 90")).expect(0)
    assert done.out.startswith("monitors/a.yaml:8:13: warning: short-interval: the interval")
    assert done.err == "Valid: 1 manifest in 1 file.\nLint: 1 warning.\n"


def test_an_error_is_a_failure(lint: Run) -> None:
    done = lint(_imap("port: 995", "enabled: false")).expect(3)
    first, second = done.out.splitlines()
    assert first.startswith("monitors/a.yaml:8:9: error: wrong-port: port 995 is for POP, but ")
    assert second.startswith("monitors/a.yaml:9:12: info: disabled: the monitor does not run")
    assert done.err.endswith("Lint: 1 error, 1 info.\n")


def test_strict_takes_every_finding_for_a_failure(lint: Run) -> None:
    assert lint(_imap("enabled: false")).code == 0
    assert lint(_imap("enabled: false"), "--strict").code == 3
    assert lint(_imap("enabled: true"), "--strict").code == 0


def test_strict_is_about_lint(run: Run) -> None:
    run("validate", "--strict").expect(64, err="--lint")


def test_nothing_to_say(lint: Run) -> None:
    done = lint(_imap())
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith("Lint: no findings.\n")


def test_without_lint_nothing_of_it_is_said(lint: Run, run: Run) -> None:
    lint(_imap("port: 995"))
    done = run("validate")
    assert (done.code, done.out, done.err) == (0, "", "Valid: 1 manifest in 1 file.\n")


def test_invalid_manifests_are_told_as_ever(lint: Run, run: Run) -> None:
    linted = lint(_imap("prot: 995"))
    plain = run("validate")
    assert linted == plain
    plain.expect(3, out="monitors/a.yaml:8:3: unknown-key: unknown key spec.prot")


def test_the_sample_fleet_has_no_fault(run: Run) -> None:
    done = run("validate", "--lint", cwd=_ROOT).expect(0)
    assert ": error:" not in done.out
    assert ": warning:" not in done.out


class TestFormats:
    TEXT = _imap("port: 995", "interval: 1", "timeout: 90", "enabled: false")

    def test_json(self, lint: Run) -> None:
        done = lint(self.TEXT, "--format", "json")
        check(done.json, "findings")
        severities = [(item["code"], item["severity"]) for item in done.json["findings"]]
        assert severities == [
            ("wrong-port", "error"),
            ("short-interval", "warning"),
            ("disabled", "info"),
        ]

    def test_github(self, lint: Run) -> None:
        done = lint(self.TEXT, "--format", "github")
        assert [
            line.partition("::port")[0].partition("::the")[0] for line in done.out.splitlines()
        ] == [
            "::error file=monitors/a.yaml,line=8,col=9,title=wrong-port",
            "::warning file=monitors/a.yaml,line=9,col=13,title=short-interval",
            "::notice file=monitors/a.yaml,line=11,col=12,title=disabled",
        ]

    def test_json_without_findings(self, lint: Run) -> None:
        assert lint(_imap(), "--format", "json").json["findings"] == []

    def test_findings_of_a_schema_are_errors(self, lint: Run) -> None:
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
    def test_a_code_is_disabled_where_the_comment_stands(self, text: str, lint: Run) -> None:
        done = lint(text, "--strict")
        assert (done.code, done.out) == (0, "")

    def test_only_there(self, lint: Run) -> None:
        text = _imap("port: 995", "interval: 5  # reconciler: disable=wrong-port")
        assert "wrong-port" in lint(text).out

    def test_only_that_manifest(self, lint: Run) -> None:
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
                "wrong-prot is not a code that can be disabled; did you mean wrong-port?",
            ),
            ("disable=missing-key", "missing-key is not a code that can be disabled"),
            ("disable=zzz", "reconciler explain lint lists the codes"),
            ("ignore=wrong-port", "this comment is not valid; write # reconciler: disable="),
            ("disable=", "this comment is not valid"),
        ],
    )
    def test_a_comment_that_names_no_code_is_a_finding(
        self, comment: str, message: str, lint: Run
    ) -> None:
        done = lint(_imap(f"port: 143  # reconciler: {comment}"))
        assert done.code == 0
        assert done.out.startswith("monitors/a.yaml:8:14: warning: bad-comment: ")
        assert message in done.out

    def test_a_comment_alone_on_its_line_is_a_finding(self, lint: Run) -> None:
        done = lint(_imap("# reconciler: disable=wrong-port", "port: 995"))
        assert "8:3: warning: bad-comment: a comment on its own line disables nothing" in done.out
        assert "wrong-port: port 995" in done.out

    def test_a_text_that_looks_like_one_is_none(self, lint: Run) -> None:
        assert lint(_imap('note: "x # reconciler: nonsense"'), "--strict").code == 0


class TestSeveralFiles:
    def test_the_same_check_is_told_in_both(self, workspace: Workspace, run: Run) -> None:
        workspace.write("a.yaml", _imap())
        workspace.write("b.yaml", _imap(metadata="metadata: {name: b}"))
        lines = run("validate", "--lint").out.splitlines()
        assert lines[0].startswith("monitors/a.yaml:7:13: warning: same-check:")
        assert "email-imap/b" in lines[0]
        assert lines[1].startswith("monitors/b.yaml:7:13: warning: same-check:")
        assert "email-imap/a" in lines[1]

    def test_a_default_is_told_where_it_stands(self, workspace: Workspace, run: Run) -> None:
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


class TestSeverities:
    @pytest.fixture
    def settled(self, workspace: Workspace, lint: Run) -> Callable[..., Done]:
        """Lints a manifest with an error and an info in a project that says this of severities."""

        def on(severities: str, *arguments: str) -> Done:
            text = f"[lint.severity]\n{severities}\n"
            workspace.settings(text)
            return lint(_imap("port: 995", "enabled: false"), *arguments)

        return on

    def test_a_code_may_be_another_severity(self, settled: Run) -> None:
        done = settled('"wrong-port" = "warning"\n"disabled" = "error"').expect(
            3, out=(": warning: wrong-port: ", ": error: disabled: ")
        )
        assert done.err.endswith("Lint: 1 error, 1 warning.\n")

    def test_a_code_may_be_off(self, settled: Run) -> None:
        done = settled('"wrong-port" = "off"').expect(0)
        assert "wrong-port" not in done.out

    def test_the_last_pattern_that_matches_counts(self, settled: Run) -> None:
        assert settled('"*" = "off"\n"wrong-*" = "error"').code == 3
        assert settled('"wrong-*" = "error"\n"*" = "off"').code == 0

    def test_the_json_has_the_severity_of_the_project(self, settled: Run) -> None:
        done = settled('"*" = "warning"', "--json")
        assert {item["severity"] for item in done.json["findings"]} == {"warning"}

    @pytest.mark.parametrize(
        ("severities", "words"),
        [
            ('"wrong-prot" = "off"', "no code matches wrong-prot; did you mean wrong-port?"),
            ('"missing-key" = "off"', "no code matches missing-key"),
            ('"wrong-port" = "fatal"', "error, warning, info or off"),
            ('"wrong-port" = 1', "error, warning, info or off"),
        ],
    )
    def test_what_means_nothing_is_refused(self, severities: str, words: str, settled: Run) -> None:
        settled(severities).expect(3, err=words)

    def test_what_means_nothing_is_refused_by_all_who_read_it(
        self, workspace: Workspace, lint: Run, run: Run
    ) -> None:
        workspace.settings('[lint]\nseverity = {"disabld" = "off"}\n')
        said = (
            "reconciler.toml:1: [lint] severity: no code matches disabld; did you mean disabled?\n"
        )
        lint(_imap()).expect(3, err=said)
        for command in (("validate",), ("plan", "--offline"), ("fmt", "--check")):
            run(*command).expect(3, err=said)

    @pytest.mark.parametrize("table", ["lint = 1", "[lint]\nbaseline = ''", "[lint]\nx = 'y'"])
    def test_what_is_no_table_is_refused(self, table: str, workspace: Workspace, lint: Run) -> None:
        workspace.settings(table)
        lint(_imap()).expect(3, err="[lint] takes baseline, a file, and severity")


class TestBaseline:
    FILE = "lint-baseline.json"

    def entries(self, workspace: Workspace) -> list[dict[str, str]]:
        data = json.loads((workspace.root / self.FILE).read_text())
        check(data, "lint-baseline")
        found: list[dict[str, str]] = data["findings"]
        return found

    def test_only_new_findings_fail(self, workspace: Workspace, lint: Run, run: Run) -> None:
        assert lint(_imap("port: 995")).code == 3
        said = f"{self.FILE}: 1 finding (1 added, 0 removed).\n"
        run("validate", "--update-baseline").expect(0, err=said)
        assert self.entries(workspace) == [
            {"address": "email-imap/a", "code": "wrong-port", "field": "spec.port"}
        ]
        done = run("validate", "--lint", "--strict")
        assert (done.code, done.out) == (0, "")
        assert done.err.endswith(f"Lint: no new findings. 1 known finding in {self.FILE}.\n")
        other = _imap("port: 995", metadata="metadata: {name: b}")
        workspace.write("b.yaml", other.replace("imap.example.com", "other.example.com"))
        done = run("validate", "--lint").expect(3)
        assert done.out.startswith("monitors/b.yaml:8:9: error: wrong-port: ")
        assert "monitors/a.yaml" not in done.out

    def test_a_line_that_moves_is_known(self, lint: Run) -> None:
        lint(_imap("port: 995"), "--update-baseline")
        done = lint(_imap("interval: 5", "timeout: 30", "port: 995"))
        assert (done.code, done.out) == (0, "")

    def test_what_is_gone_is_said_and_taken_out(
        self, workspace: Workspace, lint: Run, run: Run
    ) -> None:
        lint(_imap("port: 995", "enabled: false"), "--update-baseline")
        done = lint(_imap("enabled: false"))
        assert done.code == 0
        assert (
            f"1 finding of {self.FILE} is gone, such as email-imap/a wrong-port. To remove them, "
            "run: reconciler validate --update-baseline"
        ) in done.err
        assert "(0 added, 1 removed)" in run("validate", "--update-baseline").err
        assert [entry["code"] for entry in self.entries(workspace)] == ["disabled"]
        assert "nothing to update" in run("validate", "--update-baseline").err

    def test_paths_leave_other_manifests_alone(
        self, workspace: Workspace, lint: Run, run: Run
    ) -> None:
        lint(_imap("port: 995"))
        workspace.write("b/b.yaml", _imap("enabled: false", metadata="metadata: {name: b}"))
        run("validate", "--update-baseline")
        done = run("validate", "monitors/b", "--lint")
        assert "gone" not in done.err
        workspace.write("b/b.yaml", _imap("note: x", metadata="metadata: {name: b}"))
        run("validate", "monitors/b", "--update-baseline")
        assert [entry["address"] for entry in self.entries(workspace)] == ["email-imap/a"]

    def test_a_default_is_known_once_for_all_its_manifests(
        self, workspace: Workspace, run: Run
    ) -> None:
        spec = "spec: {port: 995}\n"
        workspace.write("_defaults.yaml", f"apiVersion: reconciler/v1\nkind: Defaults\n{spec}")
        for name in ("a", "b"):
            host = f"hostname: {name}.example.com"
            text = _imap(metadata=f"metadata: {{name: {name}}}")
            workspace.write(f"{name}.yaml", text.replace("hostname: imap.example.com", host))
        run("validate", "--update-baseline")
        assert len(self.entries(workspace)) == 2
        assert run("validate", "--lint").code == 0

    def test_the_project_names_the_file(self, workspace: Workspace, lint: Run) -> None:
        workspace.settings("[lint]\nbaseline = 'known.json'\n")
        assert lint(_imap("port: 995"), "--update-baseline").code == 0
        assert (workspace.root / "known.json").exists()
        assert lint(_imap("port: 995")).code == 0

    @pytest.mark.parametrize("text", ["[", "{}", '{"format_version": "2.0", "findings": []}'])
    def test_a_file_that_is_no_baseline(self, text: str, workspace: Workspace, lint: Run) -> None:
        (workspace.root / self.FILE).write_text(text)
        lint(_imap()).expect(3, err=(self.FILE, "Remove it, then create it again with"))

    def test_a_comment_that_means_nothing_is_never_known(
        self, workspace: Workspace, lint: Run
    ) -> None:
        text = _imap("port: 143 # reconciler: disable=nothing")
        assert ": warning: bad-comment: " in lint(text, "--update-baseline").out
        assert not (workspace.root / self.FILE).exists()


def test_many_findings_of_one_code_are_shown_together(workspace: Workspace, run: Run) -> None:
    names = [f"m{number:02}" for number in range(15)]
    for name in names:
        text = _imap("enabled: false", metadata=f"metadata: {{name: {name}}}")
        workspace.write(f"{name}.yaml", text.replace("imap.example.com", f"{name}.example.com"))
    done = run("validate", "--lint")
    first, *some, last = done.out.splitlines()
    assert first == "info: disabled: 15 findings, such as"
    assert [line.split(":")[0] for line in some] == [
        f"  monitors/{name}.yaml" for name in names[:3]
    ]
    assert last == "  and 12 more (--format json lists them)"
    assert len(run("validate", "--lint", "--json").json["findings"]) == 15


def test_an_import_is_green_at_once(workspace: Workspace, sandbox: Sandbox, run: Run) -> None:
    """An account that was made by hand has findings; they are no news."""
    account = sandbox(
        monitor("email-imap", 1, name="A", port=995),
        monitor("email-smtp", 2, name="B", enabled=False),
        monitor("email-smtp", 3, name="C", interval=1, timeout=90),
    )
    account.run("import").expect(0, out="lint-baseline.json: ")
    assert run("validate", "--lint", "--strict").code == 0
    assert account.run("plan", "--detailed-exitcode").code == 0
    workspace.write("new.yaml", _imap("port: 995", metadata="metadata: {name: new}"))
    assert run("validate", "--lint").code == 3


def test_an_import_that_adds_keeps_what_is_known(workspace: Workspace, sandbox: Sandbox) -> None:
    account = sandbox(monitor("email-imap", 1, name="A", port=995))
    account.run("import")
    account.create("email-imap", name="B", hostname="b.example.com", port=995)
    account.run("import", "--merge").expect(0)
    found = workspace.json("lint-baseline.json")["findings"]
    assert [item["address"] for item in found if item["code"] == "wrong-port"] == [
        "email-imap/a",
        "email-imap/b",
    ]


def test_the_account_of_the_sandbox_is_green_after_its_import(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    for command in (
        ["import"],
        ["validate", "--lint", "--strict"],
        ["plan", "--detailed-exitcode"],
    ):
        run(*command, cwd=folder).expect(0)
