"""Manifests that are not valid: every finding at its place, and nothing sent."""

import re
from textwrap import dedent

import pytest
from e2e.conftest import Run, Sandbox, Workspace, monitor

_GOOD = """\
apiVersion: reconciler/v1
kind: email-smtp
metadata:
  name: relay
  id: 7
spec:
  name: Relay
  billing_plancode: UBM - A/A
  hostname: smtp.example.com
"""
_ROUND_TRIP = """\
apiVersion: reconciler/v1
kind: email-round-trip
metadata:
  name: probe
  id: 8
spec:
  name: Probe
  billing_plancode: UBM - A/A
  smtp_hostname: smtps://smtp.example.com:465
  pop3_hostname: pop3s://pop.example.com:995
  email: probe@example.com
"""
_BOMB = "\n".join(
    [
        "x:",
        "  - &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]",
        *(f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)),
    ]
)
_BAD = {
    "tab": (_GOOD + "\tport: 25\n", "10:1: tab:", "use spaces"),
    "duplicate-key": (
        _GOOD + "  port: 25\n  port: 26\n",
        "11:3: duplicate-key:",
        "the key port is already in this mapping",
    ),
    "wrong-type": (
        _GOOD + "  port: many\n",
        "10:9: type:",
        "spec.port must be an integer, not a string",
    ),
    "yaml-1.1-boolean-is-a-string": (
        _GOOD + "  enabled: yes\n",
        "10:12: type:",
        "spec.enabled must be true or false, not a string",
    ),
    "unknown-key": (
        _GOOD + "  hostnam: x\n",
        "10:3: unknown-key:",
        "unknown key spec.hostnam; did you mean hostname?",
    ),
    "unknown-key-in-metadata": (
        _GOOD.replace("  id: 7", "  idd: 7"),
        "5:3: unknown-key:",
        "did you mean id?",
    ),
    "missing-key": (
        _GOOD.replace("  hostname: smtp.example.com\n", ""),
        "6:1: missing-key:",
        "missing key spec.hostname",
    ),
    "missing-kind": (_GOOD.replace("kind: email-smtp\n", ""), "1:1: missing-key:", "kind"),
    "unknown-kind": (
        _GOOD.replace("email-smtp", "email-stmp"),
        "2:7: unknown-kind:",
        "unknown kind email-stmp; did you mean email-smtp?",
    ),
    "wrong-api-version": (
        _GOOD.replace("/v1", "/v2"),
        "1:13: api-version:",
        "apiVersion must be reconciler/v1",
    ),
    "not-a-mapping": ("- 1\n", "1:1: type:", "a manifest is a mapping"),
    "alert-note-too-long": (
        _GOOD + f"  alert_note: {'x' * 1001}\n",
        "10:15: too-long:",
        "spec.alert_note has 1001 characters; AlertSite keeps at most 1000",
    ),
    "name-too-long": (
        _GOOD.replace("relay", "r" * 200),
        "4:9: too-long:",
        "metadata.name has 200 characters; at most 128 are allowed",
    ),
    "port-out-of-range": (_GOOD + "  port: 70000\n", "10:9: range:", "65535"),
    "interval-not-longer-than-timeout": (
        _ROUND_TRIP + "  interval: 5\n  timeout: 300\n",
        "12:13: too-short:",
        "interval (5 minutes) must be longer than timeout (300 seconds)",
    ),
    "secret-in-extra": (
        _GOOD + "extra:\n  pop3_password: hunter2\n",
        "11:3: plain-secret:",
        "pop3_password looks like a secret",
    ),
    "secret-deep-in-extra": (
        _GOOD + "extra:\n  list:\n    - apiToken: hunter2\n",
        "12:7: plain-secret:",
        "apiToken looks like a secret",
    ),
    "schema-field-in-extra": (
        _GOOD + "extra:\n  port: 25\n",
        "11:3: not-extra:",
        "put it under spec",
    ),
    "read-only-field": (
        _GOOD + "  blackout_ids: []\n",
        "10:3: read-only:",
        "spec.blackout_ids is set by AlertSite",
    ),
    "name-not-an-identifier": (
        _GOOD.replace("name: relay", "name: The Relay"),
        "4:9: pattern:",
        "metadata.name",
    ),
    "no-locations": (_GOOD + "  locations: []\n", "10:14: empty:", "spec.locations"),
    "not-yaml": (_GOOD + "  note: [1\n", "10:9: syntax:", "not YAML"),
    "unknown-tag": (
        _GOOD + "  note: !secret x\n",
        "10:9: unknown-tag:",
        "quote a text that starts with !",
    ),
    "recursive-alias": (
        _GOOD + "extra: &e\n  again: *e\n",
        "11:10: recursive-alias:",
        "*e is inside what it repeats",
    ),
    "not-finite": (_GOOD + "extra:\n  ratio: .inf\n", "11:10: not-finite:", "AlertSite accepts"),
    "id-that-is-a-fraction": (_GOOD.replace("id: 7", "id: 7.5"), "5:7: type:", "metadata.id"),
    "deep-nesting": ("[" * 100_000, "1:65: syntax:", "more than 64 levels of nesting"),
    "alias-bomb": (_BOMB, ": syntax:", "aliases that repeat 10000 values or more"),
    "control-character": (_GOOD + "  note: \x00\n", "10:9: syntax:", "not YAML"),
}


@pytest.mark.parametrize(("text", "place", "words"), _BAD.values(), ids=_BAD)
def test_finding_is_at_its_place_and_nothing_is_sent(
    text: str, place: str, words: str, workspace: Workspace, sandbox: Sandbox
) -> None:
    workspace.write("sub/bad.yaml", text)
    account = sandbox()
    done = account.apply().expect(3)
    assert done.out == ""
    (finding, summary) = done.err.splitlines()
    assert finding.startswith("monitors/sub/bad.yaml:")
    assert place in finding
    assert words in finding
    assert summary == "Error: 1 finding in the manifests"
    assert "hunter2" not in done.text
    assert account.calls() == []


@pytest.mark.parametrize(
    ("data", "place", "words"),
    [
        pytest.param(b"kind: x\nnote: caf\xe9\n", "2:10: not-utf-8:", "0xe9", id="latin-1"),
        pytest.param("kind: x\n".encode("utf-16"), "1:1: not-utf-8:", "0xff", id="utf-16"),
        pytest.param("é: \xff".encode("latin-1"), "1:1: not-utf-8:", "0xe9", id="at-the-start"),
    ],
)
def test_file_that_is_not_utf_8(
    data: bytes, place: str, words: str, workspace: Workspace, run: Run
) -> None:
    workspace.write("bad.yaml", data)
    run("plan").expect(3, err=(f"monitors/bad.yaml:{place}", words))
    assert not (workspace.root / ".reconciler").exists()


def test_number_with_5000_digits(workspace: Workspace, run: Run) -> None:
    workspace.write("bad.yaml", _GOOD + f"  port: {'9' * 5000}\n")
    done = run("validate").expect(3)
    assert done.out
    assert all(line.startswith("monitors/bad.yaml:10:9: ") for line in done.out.splitlines())


def test_file_that_cannot_be_read(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.write("good.yaml", _GOOD)
    (workspace.root / "monitors" / "dangling.yaml").symlink_to("nowhere")
    account = sandbox()
    said = "monitors/dangling.yaml:1:1: unreadable: cannot read the file: No such file"
    account.run("plan").expect(3, err=said)
    assert account.calls() == []


def test_address_described_twice(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.write("a.yaml", _GOOD)
    workspace.write("b.yaml", "---\n# empty\n---\n" + _GOOD.replace("id: 7", "id: 8"))
    account = sandbox()
    done = account.run("plan").expect(3)
    assert done.err.splitlines()[0].startswith("monitors/b.yaml:7:9: duplicate-address:")
    assert "email-smtp/relay is already described at monitors/a.yaml:4:9" in done.err
    assert account.calls() == []


def test_id_bound_twice_even_by_two_kinds(workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.write("a.yaml", _GOOD)
    workspace.write("b.yaml", _ROUND_TRIP.replace("id: 8", "id: 7"))
    account = sandbox()
    done = account.run("plan").expect(3)
    assert done.err.splitlines()[0].startswith("monitors/b.yaml:5:7: duplicate-id:")
    assert "monitor 7 is already bound by email-smtp/relay at monitors/a.yaml:5:7" in done.err
    assert account.calls() == []


def test_one_name_in_two_kinds_is_two_addresses(workspace: Workspace, run: Run) -> None:
    workspace.write("a.yaml", _GOOD)
    workspace.write("b.yaml", _ROUND_TRIP.replace("name: probe", "name: relay"))
    assert run("validate").code == 0


@pytest.mark.parametrize("command", ["plan", "apply", "validate"])
def test_empty_folder(command: str, workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.write("README.md", "no manifest")
    workspace.write(".hidden.yaml", _GOOD)
    account = sandbox()
    account.run(command).expect(3, err="monitors: there are no manifests (*.yaml, *.yml) here")
    assert account.calls() == []


@pytest.mark.parametrize("command", ["plan", "validate", "fmt", "pull", "status", "mv", "set"])
@pytest.mark.parametrize("is_there", [True, False], ids=["empty", "missing"])
def test_hint_without_manifests_names_only_options_that_the_command_has(
    command: str, is_there: bool, workspace: Workspace, sandbox: Sandbox, run: Run
) -> None:
    if not is_there:
        (workspace.root / "monitors").rmdir()
    paths = {"mv": ("email-smtp/a", "email-smtp/b"), "set": ("*", "port=25")}.get(command, ())
    done = sandbox().run(command, *paths).expect(3, err="monitors: there ")
    helped = run(command, "--help").out
    assert set(re.findall("--[a-z-]+", done.err)) <= set(re.findall("--[a-z-]+", helped))
    assert "validate and fmt" not in done.err


@pytest.mark.parametrize("arguments", [["plan", "--manifests", "nowhere"], ["validate", "nowhere"]])
def test_missing_folder(arguments: list[str], sandbox: Sandbox) -> None:
    account = sandbox()
    account.run(*arguments).expect(3, err="nowhere: there is no such file or folder")
    assert account.calls() == []


@pytest.mark.parametrize("name", ["relay.yaml", "_defaults.yaml"])
@pytest.mark.parametrize(
    "text", ["", "\n", "\ufeff", "# nothing\n", "---\n", "---\n---\n", "---\nnull\n"], ids=repr
)
def test_an_emptied_file_is_a_finding_and_no_monitor_is_deleted(
    text: str, name: str, workspace: Workspace, sandbox: Sandbox, run: Run
) -> None:
    workspace.write("relay.yaml", _GOOD)
    workspace.write("other.yaml", _GOOD.replace("relay", "other").replace("id: 7", "id: 8"))
    account = sandbox(monitor("email-smtp", 7), monitor("email-smtp", 8))
    assert account.apply().code == 0
    before = len(account.calls())
    workspace.write(name, text)
    finding = (
        f"monitors/{name}:1:1: no-document: the file is empty, or has only comments; restore its "
        "content, or delete the file\n"
    )
    done = run("validate")
    assert (done.code, done.out) == (3, finding)
    for command in ("plan", "apply"):
        account.run(command, "--prune").expect(3, err=finding)
    assert len(account.calls()) == before
    run("fmt").expect(3, err=finding)
    assert workspace.read(name) == text


def test_an_empty_document_beside_a_manifest_is_fine(workspace: Workspace, run: Run) -> None:
    workspace.write("good.yml", f"---\n# nothing\n---\n{_GOOD}---\n")
    run("validate").expect(0, err="Valid: 1 manifest in 1 file.")


@pytest.mark.parametrize("name", ["relay.YAML", "relay.Yml", "sub/relay.YML"])
def test_a_file_that_looks_like_a_manifest_and_is_not_read_is_named(
    name: str, workspace: Workspace, run: Run
) -> None:
    workspace.write("good.yaml", _GOOD)
    workspace.write("README.md", "This is not one.")
    workspace.write("other.json", "{}")
    workspace.write(f".hidden/{name}", _GOOD)
    workspace.write(name, _GOOD)
    done = run("validate").expect(0)
    assert done.out == (
        f"monitors/{name}:1:1: file-name: only *.yaml and *.yml files are read; rename "
        "it, or move it to another folder\n"
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_GOOD.replace("\n", "\r\n").encode(), id="windows-line-ends"),
        pytest.param(b"\xef\xbb\xbf" + _GOOD.encode(), id="byte-order-mark"),
    ],
)
def test_usual_encodings_are_fine(data: bytes, workspace: Workspace, run: Run) -> None:
    workspace.write("good.yaml", data)
    assert run("validate").code == 0


def _break_several(workspace: Workspace) -> list[str]:
    """Writes four files, three of them broken; returns the beginnings of the findings, sorted."""
    workspace.write("a.yaml", _GOOD)
    workspace.write("b.yaml", _GOOD.replace("relay", "b") + "  port: many\n  hostnam: x\n")
    workspace.write("c/d.yaml", "a: 1\na: 2\n---\n" + _GOOD + "  note: [1\n")
    workspace.write("z.yaml", _GOOD)
    return [
        "monitors/b.yaml:10:9: type: spec.port must be an integer",
        "monitors/b.yaml:11:3: unknown-key: unknown key spec.hostnam",
        "monitors/c/d.yaml:1:1: missing-key: missing key apiVersion",
        "monitors/c/d.yaml:1:1: missing-key: missing key kind",
        "monitors/c/d.yaml:2:1: duplicate-key: the key a is already",
        "monitors/c/d.yaml:13:9: syntax: not YAML",
        "monitors/z.yaml:4:9: duplicate-address:",
        "monitors/z.yaml:5:7: duplicate-id:",
    ]


def _assert_begin(lines: list[str], beginnings: list[str]) -> None:
    assert len(lines) == len(beginnings), lines
    for line, beginning in zip(lines, beginnings, strict=True):
        assert line.startswith(beginning)


def test_plan_reports_every_finding_of_all_files_at_once_and_sorted(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    expected = _break_several(workspace)
    account = sandbox()
    done = account.run("plan").expect(3)
    *findings, summary = done.err.splitlines()
    _assert_begin(findings, expected)
    assert summary == "Error: 8 findings in the manifests"
    assert account.calls() == []


def test_validate_as_text(workspace: Workspace, run: Run) -> None:
    expected = _break_several(workspace)
    done = run("validate").expect(3)
    _assert_begin(done.out.splitlines(), expected)
    assert done.err == "8 findings in the manifests.\n"


def test_validate_as_json(workspace: Workspace, run: Run) -> None:
    expected = _break_several(workspace)
    done = run("validate", "--format", "json").expect(3)
    findings = done.json["findings"]
    lines = ["{path}:{line}:{column}: {code}: {message}".format(**item) for item in findings]
    _assert_begin(lines, expected)


def test_validate_as_github_commands(workspace: Workspace, run: Run) -> None:
    workspace.write("odd, 100%: name.yaml", _GOOD + "  port: many\n")
    done = run("validate", "--format", "github").expect(3)
    assert done.out == (
        "::error file=monitors/odd%2C 100%25%3A name.yaml,line=10,col=9,title=type::"
        "spec.port must be an integer, not a string\n"
    )


@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_validate_of_valid_manifests(form: str, workspace: Workspace, sandbox: Sandbox) -> None:
    workspace.write("good.yaml", _GOOD)
    account = sandbox()
    done = account.run("validate", "--format", form).expect(0, err="Valid: 1 manifest in 1 file.")
    assert (done.json["findings"] == []) if form == "json" else (done.out == "")
    assert account.calls() == []


def test_validate_of_some_paths_only(workspace: Workspace, run: Run) -> None:
    _break_several(workspace)
    assert run("validate", "monitors/a.yaml").code == 0
    done = run("validate", "monitors/a.yaml", "monitors/b.yaml", "monitors/a.yaml").expect(3)
    assert len(done.out.splitlines()) == 2


def test_unpacked_alias_is_sent_as_if_written(workspace: Workspace, sandbox: Sandbox) -> None:
    text = dedent(
        """\
        apiVersion: reconciler/v1
        kind: email-smtp
        metadata: {name: &name relay, id: 7}
        spec:
          name: Monitor
          billing_plancode: UBM - A/A
          hostname: mail.example.com
          note: *name
        """
    )
    workspace.write("a.yaml", text)
    account = sandbox(monitor("email-smtp", 7))
    assert account.apply().code == 0
    assert account.patches() == [("/monitors/email-smtp/7", {"note": "relay"})]


def test_whole_number_written_as_a_fraction_is_that_number_or_invalid(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    text = _GOOD.replace("id: 7", "id: 7.0").replace("name: Relay", "name: Changed")
    workspace.write("a.yaml", text)
    account = sandbox(monitor("email-smtp", 7, hostname="smtp.example.com"))
    done = account.apply()
    assert (done.code, account.patches()) in [
        (3, []),
        (0, [("/monitors/email-smtp/7", {"name": "Changed"})]),
    ]
