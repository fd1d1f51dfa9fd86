"""Putting manifests in order, and checking that they are."""

from pathlib import Path

import pytest
from e2e.conftest import Run, Sandbox, Workspace, manifest, monitor

HEAD = "apiVersion: reconciler/v1\nkind: email-smtp\n"
TAIL = "spec: {name: R, billing_plancode: UBM, hostname: mx}\n"
ODD = f"{HEAD}metadata:\n  id: 1 # by hand\n  name: odd\n{TAIL}"
DEFAULTS = "apiVersion: reconciler/v1\nkind: Defaults\n"
OVERRIDE = "kind: Override\napiVersion: reconciler/v1\n"
EVEN = f"{HEAD}metadata:\n  name: odd\n  id: 1 # by hand\n{TAIL}"


def test_check_then_write(workspace: Workspace, run: Run) -> None:
    workspace.write("odd.yaml", ODD)
    workspace.write("even.yaml", f"{HEAD}metadata: {{name: even}}\n{TAIL}")

    done = run("fmt", "--check")
    assert (done.code, done.out, done.err) == (
        3,
        "monitors/odd.yaml\n",
        "1 of 2 files would change.\n",
    )
    done = run("fmt", "--check", "--diff", "monitors/odd.yaml")
    assert done.out.splitlines()[1:5] == [
        "--- a/monitors/odd.yaml",
        "+++ b/monitors/odd.yaml",
        "@@ -1,6 +1,6 @@",
        " apiVersion: reconciler/v1",
    ]
    assert "\n+  name: odd\n   id: 1 # by hand\n-  name: odd\n" in done.out
    assert workspace.read("odd.yaml") == ODD

    done = run("fmt")
    assert (done.code, done.err) == (0, "1 of 2 files changed.\n")
    assert workspace.read("odd.yaml") == EVEN
    done = run("fmt", "--check")
    assert (done.code, done.out, done.err) == (0, "", "0 of 2 files would change.\n")


def test_files_with_findings_are_left_alone(workspace: Workspace, run: Run) -> None:
    bad = ODD.replace("billing_plancode", "plan")
    workspace.write("bad.yaml", bad)
    workspace.write("odd.yaml", ODD.replace("id: 1", "id: 2").replace("name: odd", "name: other"))
    done = run("fmt").expect(3, err="monitors/bad.yaml:6:17: unknown-key: unknown key spec.plan")
    assert done.err.endswith("Files with findings were not changed.\n1 of 1 file changed.\n")
    assert workspace.read("bad.yaml") == bad
    assert run("fmt", "nowhere").code == 3


def test_what_cannot_be_moved_is_told(workspace: Workspace, run: Run) -> None:
    text = ODD.replace("id: 1 # by hand", "labels: {a: &x odd}").replace("name: odd", "name: *x")
    workspace.write("odd.yaml", text)
    done = run("fmt")
    assert (done.code, done.err) == (
        0,
        (
            "monitors/odd.yaml:4: not reordered: its order cannot be changed safely.\n"
            "0 of 1 file changed.\n"
        ),
    )
    assert workspace.read("odd.yaml") == text


def test_what_accounts_have_alike_is_no_finding(workspace: Workspace, run: Run) -> None:
    workspace.write("_shared/relay.yaml", manifest("email-smtp", "relay", name="Relay"))
    override = f"{OVERRIDE}address: email-smtp/relay\n"
    for account in ("prod", "staging"):
        workspace.write(f"{account}/own.yaml", manifest("email-smtp", "own", name="Own"))
        workspace.write(f"{account}/overrides.yaml", f"{override}spec: {{timeout: 60}}\n")
    done = run("fmt")
    assert (done.code, "already" in done.err) == (0, False)
    for account in ("prod", "staging"):
        assert f"monitors/{account}/overrides.yaml" in done.out
    assert run("fmt", "--check").code == 0


def test_what_another_folder_or_variable_gives_is_no_finding(
    workspace: Workspace, run: Run
) -> None:
    odd = "metadata: {name: x}\napiVersion: reconciler/v1\nkind: email-smtp\nspec:\n"
    text = f"{odd}  name: X\n  hostname: mx\n  locations: ${{pool}}\n"
    workspace.write("_shared/x.yaml", text)
    workspace.write("prod/_defaults.yaml", f"{DEFAULTS}spec: {{billing_plancode: UBM}}\n")
    workspace.write(
        "prod/overrides.yaml",
        f"{OVERRIDE}address: email-smtp/x\nspec: {{locations: {{append: [{{id: 1}}]}}}}\n",
    )
    done = run("fmt").expect(0)
    assert done.out == "monitors/_shared/x.yaml\nmonitors/prod/overrides.yaml\n"
    assert run("fmt", "--check", "monitors/_shared/x.yaml").code == 0


def test_without_a_path_it_takes_the_folders_of_all_accounts(
    workspace: Workspace, run: Run
) -> None:
    text = manifest("email-smtp", "relay", name="Relay").replace("kind: ", "kind:  ")
    head, kind, rest = text.split("\n", 2)
    for folder in ("one", "two", "more", "shared", "nobody's"):
        path = workspace.root / folder / "relay.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(f"{kind}\n{head}\n{rest}", encoding="utf-8")
    workspace.settings(
        '[defaults]\nmanifests = ["shared", "{account}"]\ntoken = {env = "TOKEN"}\n'
        '[accounts.one]\nurl = "http://127.0.0.1:1"\n'
        '[accounts.two]\nurl = "http://127.0.0.1:2"\n'
        '[accounts.more]\nurl = "http://127.0.0.1:3"\nmanifests = ["more"]\n'
    )
    done = run("fmt").expect(0)
    assert done.out.split() == [
        f"{folder}/relay.yaml" for folder in ("more", "one", "shared", "two")
    ]


class TestTheToolKeepsTheOrder:
    """What the other commands write passes `fmt --check`."""

    def test_init(self, tmp_path: Path, run: Run) -> None:
        assert run("init", cwd=tmp_path).code == 0
        assert run("fmt", "--check", cwd=tmp_path).text == "0 of 1 file would change.\n"

    @pytest.mark.parametrize(
        "text",
        [
            "\n  name: R\n  billing_plancode: P\n  hostname: mx\n  # Below.\n  alert_note: x\n",
            " {name: R, billing_plancode: P, hostname: mx, alert_note: Call.}",
        ],
        ids=["block", "flow"],
    )
    def test_set_and_write_ids(
        self, text: str, workspace: Workspace, sandbox: Sandbox, run: Run
    ) -> None:
        workspace.write("relay.yaml", f"{HEAD}metadata: {{name: relay}}\nspec:{text}")
        assert run("fmt", "--check").code == 0
        asked = ("timeout=45", "lifecycle.release=keep", "extra.x=1", "labels.team=a", "note=n")
        assert run("set", "email-smtp/relay", *asked, "--auto-approve").code == 0
        written = workspace.read("relay.yaml")
        assert run("fmt", "--check").code == 0, written
        assert written.index("timeout") < written.index("# Below" if "#" in text else "alert_note")
        account = sandbox()
        assert account.apply("--write-ids").code == 0
        assert "id: " in workspace.read("relay.yaml")
        assert run("fmt", "--check").code == 0

    def test_pull_and_mv(self, workspace: Workspace, sandbox: Sandbox, run: Run) -> None:
        text = f"{HEAD}metadata: {{name: relay, id: 7}}\nspec:\n  name: R\n"
        workspace.write("a/relay.yaml", f"{text}  hostname: mx\n  note: n\n")
        workspace.write(
            "a/_defaults.yaml",
            "apiVersion: reconciler/v1\nkind: Defaults\n"
            "spec: {billing_plancode: UBM, enabled: true, timeout: 30}\n",
        )
        account = sandbox(monitor("email-smtp", 7))
        assert account.apply().code == 0
        account.edit("email-smtp", 7, timeout=45)
        assert account.run("pull", "--auto-approve").code == 0
        assert "\n  timeout: 45\n  note: n\n" in workspace.read("a/relay.yaml")
        assert run("fmt", "--check").code == 0
        assert run("mv", "monitors/a/relay.yaml", "monitors/b/").code == 0
        assert "\n  enabled: true\n  timeout: 45\n" in workspace.read("b/relay.yaml")
        assert run("fmt", "--check").code == 0

    def test_import(self, workspace: Workspace, sandbox: Sandbox, run: Run) -> None:
        kinds = ("email-imap", "email-pop", "email-smtp", "email-round-trip")
        live = [
            monitor(kind, number, name=f"M {number}", alert_note="x", timeout=45, note=str(number))
            for number, kind in enumerate((*kinds, *kinds), 1)
        ]
        assert sandbox(*live).run("import").code == 0
        assert "timeout" in workspace.read("_defaults.yaml")
        assert run("fmt", "--check").code == 0

    def test_what_is_not_in_order_is_not_touched(self, workspace: Workspace, run: Run) -> None:
        workspace.write("odd.yaml", ODD)
        assert run("set", "email-smtp/odd", "timeout=45", "--auto-approve").code == 0
        assert workspace.read("odd.yaml") == ODD.replace("mx}", "mx, timeout: 45}")
