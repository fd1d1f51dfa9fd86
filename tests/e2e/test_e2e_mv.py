"""`reconciler mv`: manifests move, and what they say stays."""

from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.conftest import Account, Run, Sandbox, Workspace, manifest

from reconciler import durable

from documents import check

HEAD = "apiVersion: reconciler/v1\nkind: Defaults\nspec:\n"
TWO = """\
# yaml-language-server: $schema=../../schemas/email-smtp.schema.json
apiVersion: reconciler/v1
kind: email-smtp
metadata: {name: a}
spec:
  name: A # first
  hostname: mx.example.com
  locations: {append: [{id: 30}]}
---
apiVersion: reconciler/v1
kind: email-smtp
metadata: {name: b}
spec:
  name: B
  hostname: mx.example.com
  mode: {inherit: false}
  timeout: 20
"""


@pytest.fixture
def account(workspace: Workspace, sandbox: Sandbox) -> Account:
    """An account that two manifests of one file were applied to, which have defaults."""
    workspace.write("_defaults.yaml", f"{HEAD}  billing_plancode: UBM - A/A\n")
    workspace.write(
        "old/_defaults.yaml",
        f"{HEAD}  mode: Primary\n  timeout: 30\n  locations: [{{id: 10}}, {{id: 20}}]\n",
    )
    workspace.write("old/two.yaml", TWO)
    workspace.write("new/_defaults.yaml", f"{HEAD}  timeout: 60\n  interval: 15\n")
    account = sandbox()
    assert account.apply().code == 0
    assert "No changes." in account.run("plan").out
    return account


def names(root: Path) -> list[str]:
    found = (root / "monitors").rglob("*")
    return sorted(str(path.relative_to(root)) for path in found if path.is_file())


def test_what_would_be_lost_is_written(workspace: Workspace, run: Run, account: Account) -> None:
    done = run("mv", "monitors/old/two.yaml", "monitors/new/team/")
    assert (done.code, done.out.splitlines()) == (
        0,
        [
            "monitors/old/two.yaml → monitors/new/team/two.yaml",
            '  email-smtp/a: mode: "Primary" (so far the default at monitors/old/_defaults.yaml:1)',
            "  email-smtp/a: timeout: 30 (so far the default at monitors/old/_defaults.yaml:1)",
            (
                '  email-smtp/a: locations: [{"id": 10}, {"id": 20}, {"id": 30}] '
                "(so far the default at monitors/old/_defaults.yaml:1)"
            ),
            '  email-smtp/a: interval: {"inherit": false} (so far without a default)',
            (
                '  email-smtp/b: locations: [{"id": 10}, {"id": 20}] '
                "(so far the default at monitors/old/_defaults.yaml:1)"
            ),
            '  email-smtp/b: interval: {"inherit": false} (so far without a default)',
            "",
            "Move: 1 file, 6 fields written that a default would change.",
        ],
    )
    text = workspace.read("new/team/two.yaml")
    assert text.startswith(
        "# yaml-language-server: $schema=../../../schemas/email-smtp.schema.json\n"
    )
    assert "name: A # first" in text
    assert "monitors/old/two.yaml" not in names(workspace.root)
    assert "No changes." in account.run("plan").out


def test_why_tells_of_the_default(account: Account) -> None:
    done = account.run("why", "email-smtp/a.locations")
    assert "monitors/old/_defaults.yaml:1, which is added to here" in done.out
    done = account.run("why", "email-smtp/b.mode")
    assert "monitors/old/_defaults.yaml:1, which is refused here" in done.out
    found = account.run("why", "email-smtp/b.mode", "--json").json["fields"][0]
    assert (found["place"], found["default"]) == (None, "monitors/old/_defaults.yaml:1")


def test_a_folder_moves_with_its_defaults(workspace: Workspace, run: Run, account: Account) -> None:
    before = workspace.read("old/two.yaml")
    run("mv", "monitors/old", "monitors/mail").expect(0, out="Move: 2 files, 0 fields")
    assert names(workspace.root) == [
        "monitors/_defaults.yaml",
        "monitors/mail/_defaults.yaml",
        "monitors/mail/two.yaml",
        "monitors/new/_defaults.yaml",
    ]
    assert workspace.read("mail/two.yaml") == before
    assert "No changes." in account.run("plan").out


def test_defaults_can_move_away_from_their_manifests(
    workspace: Workspace, run: Run, account: Account
) -> None:
    assert run("mv", "monitors/old/_defaults.yaml", "monitors/other/").code == 0
    assert "mode: Primary" in workspace.read("old/two.yaml")
    assert "No changes." in account.run("plan").out


def test_a_dry_run_changes_nothing(workspace: Workspace, run: Run, account: Account) -> None:
    before = {name: (workspace.root / name).read_bytes() for name in names(workspace.root)}
    done = account.run("mv", "--dry-run", "monitors/old/two.yaml", "monitors/new/")
    assert (done.code, "Move: 1 file, 6 fields" in done.out) == (0, True)
    told = run("mv", "--dry-run", "--json", "monitors/old/two.yaml", "monitors/new/").json
    check(told, "edits")
    assert told["written"] is False
    assert told["moves"] == [{"from": "monitors/old/two.yaml", "to": "monitors/new/two.yaml"}]
    assert told["fields"][0] == {
        "address": "email-smtp/a",
        "path": "monitors/old/two.yaml",
        "field": "spec.mode",
        "value": "Primary",
    }
    assert {name: (workspace.root / name).read_bytes() for name in names(workspace.root)} == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("monitors/old/_defaults.yaml", "monitors/new/"), 3, "already exists"),
        (("monitors/gone.yaml", "monitors/new/"), 64, "there is no such file or folder"),
        (("monitors/old", "monitors/old/deeper/"), 64, "cannot be moved into itself"),
        (("monitors/old/two.yaml", "elsewhere/"), 64, "elsewhere/two.yaml is not below monitors"),
        (("monitors/old", "monitors/old/two.yaml", "monitors/x/"), 64, "contains another of them"),
        (("monitors", "monitors/x"), 64, "monitors is the folder of all manifests"),
        (("monitors", "monitors2"), 64, "monitors is the folder of all manifests"),
        (("monitors/old/", "monitors/"), 64, "monitors/old is already in monitors\n"),
        (("monitors/old/two.yaml", "monitors/old"), 64, "two.yaml is already in monitors/old\n"),
        (("monitors/old", "monitors/old"), 64, "cannot be moved into itself"),
        (("monitors/old/two.yaml", "monitors/old/two.yaml"), 64, "is already in monitors/old\n"),
        (("email-smtp/a", "email-smtp/b"), 64, "its manifest is in monitors/old/two.yaml\n"),
        ((), 64, "Missing argument 'SOURCE... TARGET'."),
        (("monitors/old/two.yaml", "monitors/.x/"), 64, "is hidden"),
        (("monitors/old/two.yaml",), 64, "Missing argument 'TARGET'."),
    ],
)
def test_what_is_refused(
    workspace: Workspace, account: Account, arguments: tuple[str, ...], code: int, message: str
) -> None:
    before = {name: (workspace.root / name).read_bytes() for name in names(workspace.root)}
    account.run("mv", *arguments).expect(code, err=message)
    assert {name: (workspace.root / name).read_bytes() for name in names(workspace.root)} == before


def test_what_cannot_be_edited_is_not_moved(
    workspace: Workspace, run: Run, account: Account
) -> None:
    workspace.replace("old/two.yaml", "spec:\n  name: B", "spec: &spec\n  name: B")
    assert account.run("plan").code == 0
    workspace.write("old/bad.yaml", "kind: [\n")
    run("mv", "monitors/old/two.yaml", "monitors/new/").expect(3, err="monitors/old/bad.yaml")
    assert "monitors/old/two.yaml" in names(workspace.root)


@pytest.fixture
def switched_off(workspace: Workspace, account: Account) -> Account:
    """The account, with what is in `old` off until a day, and another folder that is off."""
    until = "lifecycle: {until: 2030-12-24}\n"
    workspace.write("old/_defaults.yaml", f"{HEAD}  enabled: false\n  timeout: 30\n{until}")
    workspace.write("off/_defaults.yaml", f"{HEAD}  enabled: false\n")
    workspace.replace("old/two.yaml", "locations: {append: [{id: 30}]}", "interval: 15")
    assert account.apply().code == 0
    return account


def test_until_when_it_is_off_is_kept_with_what_is_off(
    workspace: Workspace, run: Run, switched_off: Account
) -> None:
    done = run("mv", "monitors/old/two.yaml", "monitors/mail/")
    assert 'email-smtp/a: lifecycle.until: "2030-12-24"' in done.out
    assert workspace.read("mail/two.yaml").count("until: 2030-12-24") == 2
    assert "No changes." in switched_off.run("plan").out
    assert "until" not in run("validate").text


def test_until_counts_in_a_folder_that_is_off_as_well(
    workspace: Workspace, run: Run, switched_off: Account
) -> None:
    assert run("mv", "monitors/old/two.yaml", "monitors/off/").code == 0
    text = workspace.read("off/two.yaml")
    assert (text.count("until: 2030-12-24"), "enabled" in text) == (2, False)
    assert "No changes." in switched_off.run("plan").out
    assert "until" not in run("validate").text


def test_links_that_would_lead_elsewhere_are_not_moved(
    workspace: Workspace, run: Run, account: Account
) -> None:
    link = workspace.root / "monitors" / "twin" / "_defaults.yaml"
    link.parent.mkdir()
    link.symlink_to("../old/_defaults.yaml")
    before = names(workspace.root)
    for moved in (("monitors/twin", "monitors/a/twin"), ("monitors/old", "monitors/a/old")):
        run("mv", *moved).expect(3, err="monitors/twin/_defaults.yaml is a link")
    assert names(workspace.root) == before
    assert run("mv", "monitors/twin", "monitors/old2").code == 0
    assert "No changes." in account.run("plan").out


def test_defaults_that_move_with_their_manifests_count_in_both_places_until_the_end(
    workspace: Workspace, run: Run, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, seen = durable.move, list[str]()

    def move(source: Path, target: Path) -> None:
        moved(source, target)
        seen.append(account.run("plan").out)

    with monkeypatch.context() as patched:
        patched.setattr(durable, "move", move)
        sources = ("monitors/old/_defaults.yaml", "monitors/old/two.yaml")
        assert run("mv", *sources, "monitors/mail/").code == 0
    assert seen
    assert all("No changes." in out for out in seen)
    assert "monitors/old/two.yaml" not in names(workspace.root)
    assert "monitors/old/_defaults.yaml" not in names(workspace.root)
    assert "No changes." in account.run("plan").out


@pytest.mark.parametrize("number", range(1, 5))
def test_a_move_that_was_killed_goes_on_when_it_is_repeated(
    number: int, workspace: Workspace, run: Run, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write(
        "old/one.yaml", TWO.partition("---")[0].replace("a}", "c}").replace("A #", "C #")
    )
    assert account.apply().code == 0
    sources = [f"monitors/old/{name}.yaml" for name in ("one", "_defaults", "two")]
    steps = 0

    def counted(act: Callable[..., None]) -> Callable[..., None]:
        def step(*paths: Path) -> None:
            nonlocal steps
            steps += 1
            if steps > number:
                raise KeyboardInterrupt
            act(*paths)

        return step

    with monkeypatch.context() as patched:
        for name in ("copy", "move", "remove"):
            patched.setattr(durable, name, counted(getattr(durable, name)))
        code = run("mv", *sources, "monitors/mail/").code
    assert code == (0 if number == 4 else 130)
    assert "No changes." in account.run("plan").out
    if code:
        run("mv", *sources, "monitors/mail/").expect(0)
    assert [name for name in names(workspace.root) if "/old/" in name] == []
    assert "No changes." in account.run("plan").out
    done = run("mv", *sources, "monitors/mail/")
    assert (done.code, "all of them are already in monitors/mail/" in done.err) == (64, True)


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("flags", [[], ["--dry-run"], ["--json"]])
def test_a_source_that_is_only_in_the_target_is_said(
    flags: list[str], workspace: Workspace, run: Run
) -> None:
    """It may have been moved before; or its name may be a typing error."""
    workspace.write("mail/other.yaml", manifest("email-smtp", "other"))
    sources = ("monitors/old/other.yaml", "monitors/old/two.yaml")
    done = run("mv", *flags, *sources, "monitors/mail/")
    assert done.code == 0
    assert (
        "Skipped monitors/old/other.yaml: it does not exist, and monitors/mail/other.yaml does.\n"
    ) in done.err
    assert "monitors/mail/two.yaml" in done.out


@pytest.mark.parametrize(("source", "target"), [("old/two", "link/two"), ("link/x", "new/x")])
def test_nothing_moves_through_a_linked_folder(
    source: str, target: str, workspace: Workspace, run: Run, account: Account
) -> None:
    """It would not be read there, and its monitors would become orphans."""
    outside = workspace.root / "outside"
    outside.mkdir()
    (outside / "x.yaml").write_text(TWO)
    (workspace.root / "monitors" / "link").symlink_to(outside)
    before = names(workspace.root)
    said = "monitors/link:1:1: unreadable: "
    run("mv", f"monitors/{source}.yaml", f"monitors/{target}.yaml").expect(3, err=said)
    assert names(workspace.root) == before
    assert account.run("plan").code == 3


@pytest.mark.usefixtures("account")
def test_a_name_that_is_no_folder_is_not_made_one(run: Run, workspace: Workspace) -> None:
    before = names(workspace.root)
    said = "monitors/old/three is not named *.yaml"
    run("mv", "monitors/old/two.yaml", "monitors/old/three").expect(64, err=said)
    assert names(workspace.root) == before
