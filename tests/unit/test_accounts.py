"""What settings say of accounts, each finding with its line, and which accounts are meant."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click
import pytest

from reconciler.cli import reconciler
from reconciler.cli.accounts import login_of, read_accounts
from reconciler.cli.selection import folder_of
from reconciler.cli.siblings import Siblings
from reconciler.core.accounts import (
    OF_ACCOUNT,
    Accounts,
    AccountSettings,
    Selection,
    Shard,
    select,
    with_account,
)
from reconciler.core.safety import Budget
from reconciler.errors import ConfigurationError, InvalidSettingsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOGIN = 'username = {env = "NAME"}\npassword = {file = "word"}\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(root: Path, text: str) -> Accounts:
    path = root / "reconciler.toml"
    path.write_text(text, encoding="utf-8")
    return read_accounts(path.relative_to(root))


def test_an_account_has_what_it_says_and_else_the_defaults(root: Path) -> None:
    (root / "accounts").mkdir()
    (root / "accounts" / "acme.toml").write_text('token = {cmd = ["pass", "{account}"]}\n')
    found = read(
        root,
        f"""
accounts_from = "accounts/*.toml"
state = "git:origin#refs/reconciler/{{account}}"
[defaults]
{LOGIN}
manifests = ["monitors/_shared", "monitors/{{account}}/"]
labels = {{tier = "test", team = "mail"}}
vars = {{plan = "A", port = 25}}
rate = "90/m"
[accounts.beta-2]
url = "https://example.com/{{account}}"
labels = {{tier = "prod"}}
vars = {{port = 587}}
username = {{env = "{{ACCOUNT}}_NAME"}}
password = {{env = "{{ACCOUNT}}_WORD"}}
wave = 2
budget = {{monitors = 3}}
[fleet]
parallelism = 2
budget = {{percent = 10}}
""",
    )
    assert found.names == ("acme", "beta-2")
    assert (found.are_named, found.parallelism, found.budget) == (True, 2, Budget(percent=10))
    acme, beta = found.all
    assert acme.login is not None
    assert beta.login is not None
    assert [str(item) for item in acme.login.references] == ["cmd:pass acme"]
    assert [str(it) for it in beta.login.references] == ["env:BETA_2_NAME", "env:BETA_2_WORD"]
    assert beta.manifests == ("monitors/_shared", "monitors/beta-2")
    assert (beta.labels, beta.variables) == (
        {"tier": "prod", "team": "mail"},
        {"plan": "A", "port": 587},
    )
    assert (beta.wave, beta.rate, beta.budget) == (2, 1.5, Budget(monitors=3))
    assert (acme.state, beta.url) == (
        "git:origin#refs/reconciler/acme",
        "https://example.com/beta-2",
    )
    assert (acme.file, beta.file) == ("accounts/acme.toml", "")


def test_without_accounts_there_is_one(root: Path) -> None:
    found = read(root, '[defaults]\nmanifests = ["a", "b"]\nvars = {x = 1}\n')
    (only,) = found.all
    assert (only.name, found.are_named, only.login) == ("default", False, None)
    assert (only.manifests, only.variables) == (("a", "b"), {"x": 1})


FINDINGS = {
    "a name": (f"\n[accounts.ACME]\n{LOGIN}", 2, "'ACME' is not a valid account name"),
    "the name of all": (f"\n[accounts.all]\n{LOGIN}", 2, "'all' is reserved for all accounts"),
    "no login": ("[accounts.a]\nwave = 1\n", 1, "a cannot log in: set username"),
    "half a login": ('[accounts.a]\nusername = {env = "A"}', 1, "it has no password"),
    "a plain password": (
        f'[accounts.a]\n{LOGIN}url = "https://x"\ntoken = "secret"\n',
        5,
        "token must be {env",
    ),
    "an unknown setting": (
        f"[accounts.a]\n{LOGIN}waves = 1\n",
        4,
        "unknown setting waves; did you mean wave?",
    ),
    "a far setting": (f"[accounts.a]\n{LOGIN}x = 1\n", 4, "setting x; [accounts.a] may hold user"),
    "no URL": (
        f'[accounts.a]\n{LOGIN}url = "https://a.example:x/v3"\n',
        4,
        "url is not a valid URL: check its host and port; write it as https://HOST/PATH",
    ),
    "an unknown default": ("[defaults]\n\nwaves = 1\n", 3, "unknown setting waves"),
    "a wave": (f"[accounts.a]\n{LOGIN}wave = 0\n", 4, "wave must be an integer, 1 or more"),
    "a rate": (f'[accounts.a]\n{LOGIN}rate = "5"\n', 4, "rate must be a number of requests"),
    "no rate": (f'[accounts.a]\n{LOGIN}rate = "0/s"\n', 4, "rate must be a number of requests"),
    "labels": (
        f"[accounts.a]\n{LOGIN}labels = {{a = 1}}\n",
        4,
        "labels must be a table of strings",
    ),
    "a label's table": (f"[accounts.a]\n{LOGIN}[accounts.a.labels]\na = 1\n", 4, "labels must be"),
    "manifests": (f'[accounts.a]\n{LOGIN}manifests = "m"\n', 4, "manifests must be a list"),
    "a budget": (f"[accounts.a]\n{LOGIN}budget = {{x = 1}}\n", 4, "budget must be a table with"),
    "parallelism": ("[fleet]\nparallelism = 0\n", 2, "parallelism must be an integer"),
    "a fleet": ("fleet = 1\n", 1, "fleet must be a table: [fleet]"),
    "an account": ("[accounts]\na = 1\n", 2, "accounts.a must be a table: [accounts.a]"),
    "no files": ('\naccounts_from = "none/*.toml"\n', 2, "accounts_from matches no file"),
    "elsewhere": ('accounts_from = "/etc/*.toml"\n', 1, "accounts_from must be a glob of files"),
    "stars": ('accounts_from = "accounts/**.toml"\n', 1, "accounts_from must be a glob of files"),
    "a folder": ('accounts_from = "."\n', 1, "accounts_from must be a glob of files"),
    "a variable": ("[defaults]\nvars = {day = 2026-01-31}\n", 2, "vars must be a table"),
    "a variable's part": (
        "[defaults]\nvars = {x = [{t = 10:00:00}]}\n",
        2,
        "vars must be a table",
    ),
    "no number": (f"[accounts.a]\n{LOGIN}vars = {{x = nan}}\n", 4, "vars must be a table"),
    "a null character": (
        '[accounts.a]\ntoken = {cmd = ["pass", "a\\u0000"]}\n',
        2,
        "token must be {env",
    ),
    "a lock": (
        f'state = "git:o#refs/r/{{account}}"\n[accounts.a]\n{LOGIN}[accounts.a-lock]\n{LOGIN}',
        1,
        "the lock of the account a would be stored where the account a-lock stores its state",
    ),
    "what another shares": (
        f'[accounts.a]\nmanifests = ["b"]\n{LOGIN}[accounts.b]\n{LOGIN}manifests = ["b", "b/b"]\n',
        2,
        "b is the account a's own folder, but the account b also has manifests there: end the list",
    ),
    "a folder in what another shares": (
        (
            f'[accounts.a]\n{LOGIN}manifests = ["c", "b/a"]\n'
            f'[accounts.b]\n{LOGIN}manifests = ["b", "d"]\n'
        ),
        4,
        "b/a is the account a's own folder, but the account b also has manifests there: end the",
    ),
    "a last folder of two": (
        (
            f'[accounts.a]\nmanifests = ["a", "x"]\n{LOGIN}'
            f'[accounts.b]\nmanifests = ["b", "x"]\n{LOGIN}'
        ),
        2,
        "x is the account a's own folder, but the account b also has manifests there: end the list",
    ),
    "a folder in an own one": (
        f'[accounts.a]\nmanifests = ["m"]\n{LOGIN}[accounts.b]\nmanifests = ["m/b"]\n{LOGIN}',
        2,
        "m is the account a's own folder, but the account b also has manifests there: end the list",
    ),
    "one state": (
        f'state = "file:s.json"\n[accounts.a]\n{LOGIN}[accounts.b]\n{LOGIN}',
        1,
        "several accounts would store their state in file:s.json",
    ),
}


@pytest.mark.parametrize(("text", "line", "message"), FINDINGS.values(), ids=FINDINGS)
def test_every_mistake_is_a_finding_at_its_line(
    root: Path, text: str, line: int, message: str
) -> None:
    with pytest.raises(InvalidSettingsError) as caught:
        read(root, text)
    (finding,) = caught.value.findings
    assert str(finding).startswith(f"reconciler.toml:{line}:1: setting: ")
    assert message in finding.message
    assert "secret" not in str(finding)


def test_all_mistakes_are_told_at_once(root: Path) -> None:
    (root / "a.toml").write_text("wave = 0\n")
    with pytest.raises(InvalidSettingsError, match="4 findings in the settings") as caught:
        read(root, f'accounts_from = "a.toml"\n[accounts.a]\n{LOGIN}rate = 5\n')
    assert [str(item.position) for item in caught.value.findings] == [
        *("a.toml:1:1", "a.toml:1:1", "a.toml:1:1"),
        "reconciler.toml:5:1",
    ]


def test_a_file_of_an_account_that_leads_nowhere(root: Path) -> None:
    (root / "a.toml").symlink_to("nowhere")
    with pytest.raises(ConfigurationError, match=r"a\.toml cannot be read: No such file"):
        read(root, 'accounts_from = "*a.toml"\n')


def test_a_login_is_read_where_it_is_stored(root: Path) -> None:
    (root / "word").write_text("from a file\n")
    command = [sys.executable, "-c", "print('from-a-command'); print('more')"]
    text = f"[accounts.a]\n{LOGIN}[accounts.b]\ntoken = {{cmd = {command!r}}}\n"
    first, second = read(root, text).all
    found = login_of(first, {"NAME": "me"})
    assert (found.username, found.password, found.token) == ("me", "from a file", "")
    assert login_of(second, {}).token == "from-a-command"


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["/nowhere"], "cannot start /nowhere: No such file"),
        ([sys.executable, "-c", "print('secret'); exit(3)"], "exited with 3"),
        ([sys.executable, "-c", ""], "printed nothing"),
        ([sys.executable, "-c", "import os; os.write(1, b'\\xff')"], "is not UTF-8"),
    ],
)
def test_a_login_that_is_not_available(root: Path, command: list[str], why: str) -> None:
    (only,) = read(root, f"[accounts.a]\ntoken = {{cmd = {command!r}}}\n").all
    with pytest.raises(ConfigurationError, match="the token of the account a is not") as caught:
        login_of(only, {})
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", ["two words", "caf\u00e9"])
def test_a_token_that_is_none(root: Path, token: str) -> None:
    (only,) = read(root, '[accounts.a]\ntoken = {env = "TOKEN"}\n').all
    with pytest.raises(ConfigurationError, match="the token of the account a contains a") as caught:
        login_of(only, {"TOKEN": token})
    assert token not in str(caught.value)


SHARED = 'manifests = ["monitors/_shared/", "monitors/{account}"]\n'


@pytest.mark.parametrize(
    ("first", "second", "is_refused"),
    [
        (f"{LOGIN}{SHARED}", f"{LOGIN}{SHARED}", True),
        (f"{LOGIN}{SHARED}", f"{LOGIN}manifests = ['/']\n", True),
        (f"{LOGIN}manifests = ['/']\n", LOGIN, True),
        (LOGIN, LOGIN, False),  # with folders of their own they are parts of one account
        (f"{LOGIN}{SHARED}", f"{LOGIN}{SHARED}".replace("NAME", "SAME"), True),
        (f"{LOGIN}{SHARED}", f"{LOGIN}{SHARED}".replace("NAME", "OTHER"), False),
        (f"{LOGIN}{SHARED}", f"{LOGIN}{SHARED}".replace("NAME", "MISSING"), False),
        (f"{LOGIN}{SHARED}url = 'https://a/'\n", f"{LOGIN}{SHARED}url = 'https://a'\n", True),
        (f"{LOGIN}{SHARED}url = 'https://a'\n", f"{LOGIN}{SHARED}url = 'https://b'\n", False),
        (f"{LOGIN}{SHARED}url = 'https://here/v3'\n", f"{LOGIN}{SHARED}", True),
        (
            f"token = {{env = 'NAME'}}\n{SHARED}",
            f"token = {{env = 'SAME'}}\n{SHARED}",
            True,
        ),
        (  # a command is not run for this
            f"token = {{cmd = ['/nowhere']}}\n{SHARED}",
            f"token = {{cmd = ['/nowhere']}}\n{SHARED}",
            True,
        ),
    ],
)
def test_two_accounts_that_would_manage_the_same_monitors(
    root: Path, first: str, second: str, *, is_refused: bool
) -> None:
    found = read(root, f"[accounts.a]\n{first}[accounts.b]\n{second}")
    environment = {
        "NAME": "me",
        "SAME": "me",
        "OTHER": "you",
        "ALERTSITE_URL": "https://here/v3",
    }
    with pytest.raises(ConfigurationError) if is_refused else nullcontext() as caught:
        Siblings(found, environment, "").check()
    if caught is not None:
        assert "a (reconciler.toml:" in str(caught.value)
        assert "me" not in str(caught.value).split()


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("https://a.example/v3", "HTTPS://A.Example:443/v3/", True),
        ("https://a.example/v3", "https://a.example./v3", True),
        ("https://a.example/v3", "https://a.example:00443//.//v3", True),
        ("https://a.example/v3", "https://a.example/x/%2e%2E/%763", True),
        ("https://a.example/v3", "https://a.example/v3#part", True),
        ("https://a.example", "https://a.example/", True),
        ("http://127.0.0.1:8901/v3", "http://localhost:08901/v3", True),
        ("http://[::1]:8901/v3", "http://[0:0::1]:8901/v3", True),
        ("https://a.example/v3", "https://a.example:444/v3", False),
        ("https://a.example/v3", "https://a.example/v4", False),
        ("https://a.example/a%2Fb", "https://a.example/a/b", False),
        ("http://127.0.0.1:443/v3", "https://127.0.0.1:443/v3", False),
    ],
)
def test_one_server_in_another_spelling(
    root: Path, first: str, second: str, *, is_one: bool
) -> None:
    tables = (
        f"[accounts.{name}]\n{LOGIN}{SHARED}url = '{url}'\n"
        for name, url in (("a", first), ("b", second))
    )
    found = read(root, "".join(tables))
    with pytest.raises(ConfigurationError) if is_one else nullcontext():
        Siblings(found, {"NAME": "me"}, "").check()


def test_an_account_of_its_own_file_is_named_by_that(root: Path) -> None:
    (root / "one.toml").write_text(f"# one\n{LOGIN}{SHARED}")
    (root / "two.toml").write_text(f"{LOGIN}{SHARED}url = 'https://two'\n")
    first, second = read(root, 'accounts_from = "[ot][nw][eo].toml"\n').all
    assert (first.wording.url, second.wording.url) == ("ALERTSITE_URL", "url in two.toml")
    both = Accounts((first, second._replace(url="")), are_named=True)
    with pytest.raises(ConfigurationError, match=r"one \(one.toml:2\) and two \(two.toml:1\)"):
        Siblings(both, {"NAME": "me"}, "").check()


def test_folders_here_and_elsewhere(tmp_path: Path, root: Path) -> None:
    found = account("a", str(tmp_path / "shared"), "monitors/a")
    assert folder_of(found) == str(root)


def account(name: str, *folders: str, **labels: str) -> AccountSettings:
    return AccountSettings(name, manifests=folders or ("monitors",), labels=labels)


ALL = Accounts(
    (
        account("acme-prod", "m/_shared", "m/acme", tier="prod"),
        account("acme-test", "m/_shared", "m/test/acme", tier="test"),
        account("beta", "m/beta", tier="prod")._replace(file="accounts/beta.toml"),
    ),
    are_named=True,
)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), "acme-prod acme-test beta"),
        (Selection(is_all=True), "acme-prod acme-test beta"),
        (Selection(("acme-*",)), "acme-prod acme-test"),
        (Selection(("beta", "acme-prod")), "acme-prod beta"),
        (Selection(excluded=("acme-*",)), "beta"),
        (Selection(labels=("tier=prod",)), "acme-prod beta"),
        (Selection(("acme-*",), labels=("tier=p*",)), "acme-prod"),
    ],
)
def test_who_is_meant(selection: Selection, expected: str) -> None:
    assert [item.name for item in select(ALL, selection)] == expected.split()


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(("gamma",)), "--account gamma matches no account"),
        (Selection(excluded=("gamma",)), "--not-account gamma matches no account"),
        (Selection(labels=("prod",)), "--label prod is not a label"),
        (Selection(("beta",), labels=("tier=test",)), "no account matches all the labels"),
        (Selection(labels=("customer=*",)), "no account matches all the labels"),
    ],
)
def test_a_selection_that_means_nobody(selection: Selection, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select(ALL, selection)


def test_an_account_that_is_misspelt_is_answered_by_the_one_that_is_meant() -> None:
    with pytest.raises(UsageError) as caught:
        select(ALL, Selection(("acme-pord",)))
    assert caught.value.hint == (
        "Did you mean acme-prod? reconciler.toml has these: acme-prod, acme-test, beta."
    )
    many = ALL._replace(all=tuple(account(f"a{number:02}") for number in range(22)))
    with pytest.raises(UsageError) as caught:
        select(many, Selection(("beta",)))
    assert caught.value.hint.endswith("a18, a19 and 2 more.")


def test_whoever_asks_for_a_label_that_nobody_has_is_told_which_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        select(ALL, Selection(labels=("tier=production",)))
    assert caught.value.hint == "Accounts have these labels: tier=prod, tier=test."
    bare = ALL._replace(all=tuple(item._replace(labels={}) for item in ALL.all))
    with pytest.raises(UsageError) as caught:
        select(bare, Selection(labels=("tier=prod",)))
    assert caught.value.hint == "No account has labels in reconciler.toml."


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("README.md m/other/x.yaml m/x.yaml", ""),
        ("m/acme/x.yaml", "acme-prod"),
        ("m/acme-2/x.yaml", ""),
        ("m/_shared/x.yaml", "acme-prod acme-test"),
        ("m/_defaults.yaml", "acme-prod acme-test beta"),
        ("m/test/_defaults.yml", "acme-test"),
        ("_defaults.yaml", "acme-prod acme-test beta"),
        ("accounts/beta.toml", "beta"),
        ("reconciler.toml", "acme-prod acme-test beta"),
    ],
)
def test_whose_files_have_changed(changed: str, expected: str) -> None:
    found = select(ALL, Selection(), set(changed.split()))
    assert [item.name for item in found] == expected.split()


@pytest.mark.parametrize("total", [1, 2, 3, 4, 7])
def test_each_account_is_in_one_shard(total: int) -> None:
    accounts = tuple(AccountSettings(f"a{number}") for number in range(5))
    shards = [Shard(number, total).of(accounts) for number in range(1, total + 1)]
    assert sorted(item for shard in shards for item in shard) == sorted(accounts)
    sizes = list(map(len, shards))
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("budget", "managed", "limit"),
    [
        (Budget(25, 10), 1000, 6),
        (Budget(25, 10), 40, 4),
        (Budget(25, 10), 9, 0),
        (Budget(3, 100), 1000, 0),
    ],
)
def test_shards_share_what_may_be_lost(budget: Budget, managed: int, limit: int) -> None:
    assert Shard(1, 4).limit(budget, managed) == limit


@pytest.mark.parametrize("budget", [Budget(25, 10), Budget(1, 100), Budget(100, 1)])
@pytest.mark.parametrize("sizes", [(4,) * 8, (1, 2, 3), (1000, 1), (30, 30, 30)])
def test_all_shards_lose_no_more_than_one_run_would(budget: Budget, sizes: tuple[int, ...]) -> None:
    limits = [Shard(1, len(sizes)).limit(budget, managed) for managed in sizes]
    assert sum(limits) <= budget.limit(sum(sizes))


@pytest.mark.parametrize("folder", ["../shared", "/srv/shared", ".."])
def test_who_knows_whether_files_elsewhere_have_changed(folder: str) -> None:
    alone = Accounts((account("a", folder, "m/a"), account("b", "m/b")), are_named=True)
    found = select(alone, Selection(), {"README.md"})
    assert [item.name for item in found] == ["a"]


def test_every_command_of_an_account_can_be_named_with_it() -> None:
    """What takes an account is known, and nothing else."""

    def of(command: click.Command, name: str) -> Iterator[str]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for part in command.list_commands(context):
                found = command.get_command(context, part)
                assert found is not None
                yield from of(found, f"{name} {part}".strip())
        elif any("-a" in param.opts for param in command.params):
            yield name

    assert set(of(reconciler, "")) == OF_ACCOUNT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run: reconciler state rm a/b", "run: reconciler state rm -a north a/b"),
        ("run: reconciler state rm a/b -a south", "run: reconciler state rm a/b -a south"),
        ("run: reconciler validate -a south.", "run: reconciler validate -a south."),
        (
            "Make a plan: reconciler plan --out FILE",
            "Make a plan: reconciler plan -a north --out FILE",
        ),
        (
            "reconciler undo or reconciler pull.",
            "reconciler undo -a north or reconciler pull -a north.",
        ),
        ("To begin, run: reconciler init", "To begin, run: reconciler init"),
        (
            "reconciler.toml, state rm, reconciler planner",
            "reconciler.toml, state rm, reconciler planner",
        ),
    ],
)
def test_commands_in_a_text_name_the_account(text: str, expected: str) -> None:
    assert with_account(text, "north") == expected
    assert with_account(text, "default") == text
