"""`reconciler why` from the command line."""

import pytest
from e2e.conftest import Account, Run, Sandbox, Workspace, manifest, monitor

from reconciler.sandbox import parse_world

from documents import check

_DEFAULTS = "apiVersion: reconciler/v1\nkind: Defaults\nspec:\n  interval: 5\n"
_REF = {"secretRef": {"env": "POP3_PASSWORD"}}


@pytest.fixture
def account(workspace: Workspace, sandbox: Sandbox) -> Account:
    """A relay and a round trip, both applied once; AlertSite shows secrets as they are."""
    workspace.write("_defaults.yaml", _DEFAULTS)
    workspace.describe("email-smtp", "relay", 1, port=587)
    extra = {"pop3_password": _REF}
    workspace.describe("email-round-trip", "trip", None, extra=extra)
    found = sandbox(
        monitor("email-smtp", 1, port=25, interval=5, note="theirs"), secret_fields="echoed"
    )
    assert found.apply(env=env("s3cret")).code == 0
    return found


def env(secret: str) -> dict[str, str]:
    return {"RECONCILER_SECRET_KEY": "key", "POP3_PASSWORD": secret}


def test_a_monitor_and_its_fields(account: Account) -> None:
    before = len(account.calls())
    done = account.run("why", "email-smtp/relay").expect(0)
    head = done.out.splitlines()
    assert head[0] == "email-smtp/relay"
    assert head[1] == "  manifest   monitors/relay.yaml:1"
    assert (
        head[2] == "  monitor    id 1, bound by metadata.id (monitors/relay.yaml:5:3) and the state"
    )
    assert ") by run 20" in head[3]
    assert head[4] == "  lifecycle  without its manifest, --prune deletes it"
    assert head[5] == "  next       unchanged: AlertSite already matches"
    fields = {line.split()[0]: line for line in head[7:]}
    assert fields.keys() == {"billing_plancode", "hostname", "interval", "name", "port"}
    assert fields["interval"].endswith("unchanged  monitors/_defaults.yaml:4:3 (default)")
    assert fields["port"].split() == ["port", "587", "unchanged", "line", "10"]
    assert account.calls()[before:] == ["POST /access-tokens", "GET /monitors"]


def test_who_moved_a_field(account: Account, workspace: Workspace) -> None:
    account.edit("email-smtp", 1, port=465)
    done = account.run("why", "email-smtp/relay.port")
    assert done.out.splitlines()[-2:] == [
        "  live       465",
        "  next       change 465 → 587: drift, changed in AlertSite since the last apply",
    ]
    workspace.replace("relay.yaml", "port: 587", "port: 2525")
    done = account.run("why", "email-smtp/relay.port")
    assert "465 → 2525: both, changed here and in AlertSite" in done.out
    offline = account.run("why", "email-smtp/relay.port", "--offline")
    assert offline.code == 0
    assert "live       not read (--offline)" in offline.out
    assert "587 → 2525: edit, changed in the manifest since the last apply" in offline.out


def test_a_default_and_what_nobody_manages(account: Account) -> None:
    default = account.run("why", "email-smtp/relay.interval")
    assert "from       monitors/_defaults.yaml:4:3 (default)" in default.out
    theirs = account.run("why", "email-smtp/relay.spec.note")
    assert 'live       "theirs"' in theirs.out
    assert "not managed: the manifest does not set it" in theirs.out
    unset = account.run("why", "email-smtp/relay.timeout")
    assert "live       (unset)" in unset.out


@pytest.mark.parametrize("flags", [[], ["--json"], ["--offline"], ["--offline", "--json"]])
def test_a_secret_is_a_source_and_never_a_value(flags: list[str], account: Account) -> None:
    said = []
    for secret in ("s3cret", "s3cret-rotated"):
        for asked in ("email-round-trip/trip", "email-round-trip/trip.pop3_password"):
            done = account.run("why", asked, *flags, env=env(secret))
            assert done.code == 0
            assert "env:POP3_PASSWORD" in done.out
            assert "s3cret" not in done.text
            said.append(done)
    if "--json" in flags:
        fields = [field for done in said for field in done.json["fields"] if field["source"]]
        assert [field["tracking"] for field in fields] == ["sent", "sent", "changed", "changed"]
    else:
        assert "secret     tracked: as it was last sent" in said[1].out
        assert "secret     changed since it was last sent" in said[3].out


def test_without_the_key_a_secret_is_not_tracked(account: Account, workspace: Workspace) -> None:
    done = account.run("why", "email-round-trip/trip.pop3_password")
    assert "not tracked: without RECONCILER_SECRET_KEY" in done.out
    workspace.replace("trip.yaml", 'extra: {"pop3_password":', 'extra: {"smtp_password":')
    done = account.run("why", "email-round-trip/trip.pop3_password")
    assert "applied    a secret" in done.out
    assert "live       (hidden)" in done.out
    assert "released" in done.out
    assert "s3cret" not in done.text


def test_json_is_as_its_schema_says(account: Account) -> None:
    for asked in ("email-smtp/relay", "email-smtp/relay.note", "email-round-trip/trip"):
        for flags in ([], ["--offline"]):
            done = account.run("why", asked, "--json", *flags).expect(0)
            check(done.json, "why")
    data = account.run("why", "email-smtp/relay.interval", "--json").json
    assert (data["id"], data["is_live"], data["next"]) == (1, True, "unchanged")
    assert data["id_place"] == "monitors/relay.yaml:5:3"
    (field,) = data["fields"]
    assert (field["place"], field["is_default"]) == ("monitors/_defaults.yaml:4:3", True)
    assert (field["value"], field["applied"], field["live"]) == (5, 5, 5)


def test_what_has_no_manifest_or_no_monitor(account: Account, workspace: Workspace) -> None:
    workspace.describe("email-pop", "new", None, name="New")
    workspace.describe("email-smtp", "twin", None)
    workspace.remove("trip.yaml")
    new = account.run("why", "email-pop/new.port")
    assert "not managed" in new.out
    assert "live       none: AlertSite has no such monitor" in new.out
    assert "next       add" in account.run("why", "email-pop/new").out
    account.run("why", "email-round-trip/trip").expect(
        0, out=("manifest   none", "an orphan is left as it is; apply --prune retires it")
    )
    account.edit("email-smtp", 1, name="Theirs")
    workspace.replace("relay.yaml", "id: 1", "id: 99")
    refused = account.run("why", "email-smtp/relay.port")
    assert refused.code == 0
    assert "next       refused: the state binds email-smtp/relay to monitor 1" in refused.out
    assert "reconciler state rm email-smtp/relay" in refused.out


@pytest.mark.parametrize("flags", [[], ["--offline"]])
def test_an_orphan_that_the_next_apply_retires(
    flags: list[str], workspace: Workspace, sandbox: Sandbox
) -> None:
    settings = workspace.root / "reconciler.toml"
    settings.write_text(f"prune = true\n{settings.read_text()}")
    disabled = manifest("email-smtp", "b", 2).replace(
        "spec:", "lifecycle: {retire: disable}\nspec:\n  enabled: true"
    )
    for name, text in (("a", manifest("email-smtp", "a", 1)), ("b", disabled)):
        workspace.write(f"{name}.yaml", text)
    workspace.describe("email-smtp", "c", 3)
    account = sandbox(*(monitor("email-smtp", number) for number in (1, 2, 3)))
    assert account.apply().code == 0
    for name in "ab":
        workspace.remove(f"{name}.yaml")
    workspace.describe("email-imap", "c")

    def next_of(asked: str) -> str:
        check(account.run("why", asked, "--json", *flags).json, "why")
        done = account.run("why", asked, *flags)
        return next(line for line in done.out.splitlines() if line.startswith("  next"))[13:]

    destroyed = "destroy: its manifest is gone"
    assert next_of("email-smtp/a") == next_of("email-smtp/a.name") == destroyed
    assert account.run("why", "email-smtp/a", "--json", *flags).json["next"] == "delete"
    assert next_of("email-smtp/b") == "change enabled (retired)"
    assert next_of("email-smtp/b.enabled") == "change true → false (retired)"
    assert next_of("email-smtp/b.hostname").startswith("unchanged")
    assert next_of("email-smtp/c") == "destroy (replaced)"
    assert next_of("email-imap/c") == "add (replacement)"


def test_one_that_is_missing_and_being_created_again(
    half_made: Account, workspace: Workspace
) -> None:
    create = workspace.state()["pending_creates"]["email-smtp/a"]
    was = create["replaces"]
    for asked in ("email-smtp/a", str(was["id"])):
        for flags in ([], ["--offline"]):
            head = half_made.run("why", asked, *flags).out.splitlines()
            there = "" if flags else "; AlertSite does not list it"
            assert head[2] == f"  monitor    id {was['id']}, bound by the state{there}"
            assert was["run"] in head[3]
            assert head[4] == (
                f"  pending    a create of run {create['run']} at {create['at']}, in place of "
                f"missing monitor {was['id']}; its outcome is unknown"
            )
            assert head[6] == "  next       add (deleted-outside-git)"
            shown = half_made.run("why", asked, "--json", *flags).json
            check(shown, "why")
            assert (shown["id"], shown["next"]) == (was["id"], "create")
            assert shown["pending_create"] == {
                "run": create["run"],
                "at": create["at"],
                "replaces": was["id"],
            }
    workspace.remove("a.yaml")
    for flags in ([], ["--offline"]):
        gone = half_made.run("why", "email-smtp/a", *flags)
        assert (gone.code, "pending    a create of run" in gone.out) == (0, True)
        assert "next       nothing yet: no manifest, and the create may still be in pr" in gone.out
        check(half_made.run("why", "email-smtp/a", "--json", *flags).json, "why")


def test_one_that_a_create_without_an_outcome_has_made(
    half_made: Account, workspace: Workspace
) -> None:
    text = workspace.read("a.yaml")
    number = half_made.create("email-smtp", name="a")
    workspace.write("a.yaml", text.replace("name: a\n", "name: new\n  previously: [a]\n", 1))
    for asked, field in (("email-smtp/new", ""), ("email-smtp/new", ".hostname")):
        done = half_made.run("why", f"{asked}{field}")
        if field:
            assert 'live       "mail.example.com"' in done.out
        else:
            assert f"monitor    id {number}, made by the pending create; the next" in done.out
        assert "next       unchanged: AlertSite already matches" in done.out
    assert half_made.run("why", "email-smtp/new", "--json").json["id"] == number
    half_made.run("why", "email-smtp/a").expect(64, err="is a former name of email-smtp/new")
    workspace.remove("a.yaml")
    left = half_made.run("why", "email-smtp/a")
    assert f"monitor    id {number}, made by the pending create" in left.out
    assert "next       nothing: left over, its manifest is gone" in left.out
    check(half_made.run("why", "email-smtp/a", "--json").json, "why")


def test_unknown_addresses_and_fields_are_usage_errors(
    account: Account, workspace: Workspace
) -> None:
    before = len(account.calls())
    for asked, said in {
        "email-smtp/relai": "neither a manifest nor the state has email-smtp/relai; did you mean "
        "email-smtp/relay?",
        "relay": "neither a manifest nor the state has relay",
        ".port": "has (empty)",
        "email-smtp/*": "has email-smtp/*",
    }.items():
        done = account.run("why", asked)
        assert (done.code, done.out) == (64, "")
        assert said in done.err
    assert account.calls()[before:] == []
    field = account.run("why", "email-smtp/relay.prot")
    assert field.code == 64
    assert "email-smtp/relay has no field prot; did you mean port?" in field.err
    workspace.replace("relay.yaml", "name: relay\n", "name: front\n  previously: [relay]\n")
    former = account.run("why", "email-smtp/relay")
    assert former.code == 64
    assert "email-smtp/relay is a former name of email-smtp/front" in former.err
    renamed = account.run("why", "email-smtp/front")
    assert "renamed    it was email-smtp/relay" in renamed.out


def test_without_state_or_manifests(workspace: Workspace, run: Run) -> None:
    assert run("why", "email-smtp/a", "--offline").code == 64
    workspace.write("a.yaml", "kind: email-smtp\n")
    run("why", "email-smtp/a", "--offline").expect(3, err="monitors/a.yaml:1:1: missing-key")
    shown = run("why", "--help")
    assert "Example: reconciler why email-smtp/prod-relay.port" in shown.out


def test_a_value_that_was_unset_at_the_last_apply_is_no_secret(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    account = sandbox(monitor("email-smtp", 1), world=parse_world("drop=note"))
    workspace.describe("email-smtp", "a", 1, note="x")
    assert account.apply().code == 7
    done = account.run("why", "email-smtp/a.note")
    assert "  applied    (unset), " in done.out
    assert "a secret" not in done.out


@pytest.mark.parametrize("command", [("why",), ("render",), ("plan", "--target")])
def test_an_address_without_its_kind_is_suggested_whole(
    command: tuple[str, ...], account: Account
) -> None:
    account.run(*command, "relay").expect(64, err="did you mean email-smtp/relay?")
