"""Accounts in shards, and their results; `test_e2e_dask` has workers of a scheduler."""

import contextlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import Account, Done, Run, Workspace, manifest, monitor

from reconciler.context import SYSTEM, Clock
from reconciler.core.rollup import PartResult
from reconciler.sandbox import PASSWORD, USERNAME

from listening import free_ports

COUNT = 30
NAMES = [f"customer-{number:02}" for number in range(COUNT)]
ENV = {"LOGIN_NAME": USERNAME, "LOGIN_PASSWORD": PASSWORD}
SETTINGS = """
state = "file:.reconciler/{account}/state.json"

[defaults]
username = {env = "LOGIN_NAME"}
password = {env = "LOGIN_PASSWORD"}
budget = {monitors = 1000, percent = 100}
"""


class Fleet:
    """Some accounts, each an AlertSite of its own with a monitor to change and one to make."""

    def __init__(self, root: Path, run: Run, accounts: list[Account]) -> None:
        self.root = root
        self.accounts = accounts
        self._run = run

    def __call__(self, *arguments: str, clock: Clock = SYSTEM, **env: str) -> Done:
        return self._run(*arguments, cwd=self.root, env=ENV | env, clock=clock)

    def made(self) -> list[list[dict[str, Any]]]:
        """All monitors of each account."""
        return [account.monitors() for account in self.accounts]


@pytest.fixture
def fleets(tmp_path: Path, run: Run, serving: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Serves a fleet while a block runs; the next one has the same addresses."""
    ports = dict(zip(NAMES, free_ports(COUNT), strict=True))

    @contextlib.contextmanager
    def one(
        label: str, witness: Callable[..., None] | None = None, *, count: int = COUNT
    ) -> Iterator[Fleet]:
        root = tmp_path / label
        workspace = Workspace(root)
        accounts, settings = [], [SETTINGS]
        with contextlib.ExitStack() as stack:
            for name in NAMES[:count]:
                options: dict[str, Any] = {"port": ports[name], "request_log": root / f"{name}.log"}
                if witness is not None:
                    options["witness"] = partial(witness, name)
                workspace.write(f"{name}/new.yaml", manifest("email-smtp", "new", name="New"))
                old = manifest("email-smtp", "old", 1, name="Old", port=587)
                workspace.write(f"{name}/old.yaml", old)
                seed = monitor("email-smtp", 1, name="Old", port=25)
                account = stack.enter_context(serving(seed, **options))
                settings.append(f'[accounts.{name}]\nurl = "{account.url}"\n')
                accounts.append(account)
            (root / "reconciler.toml").write_text("\n".join(settings), encoding="utf-8")
            yield Fleet(root, run, accounts)

    return one


def report(done: Done) -> Any:
    """The roll-up, without how long it took, and when: the id of a run says it."""
    found = done.json
    for item in found["accounts"]:
        del item["value"]["run"]
        del item["seconds"]
    return found


ALL = ("--all-accounts", "--auto-approve", "--json", "--results", "results")


@pytest.mark.large
def test_shards_are_merged_into_the_report_of_one_run(fleets: Callable[..., Any]) -> None:
    with fleets("threads", count=20) as threads:
        wanted = report(threads("apply", *ALL))
        assert report(threads("merge", "results", "--json")) == wanted
        made = threads.made()
    with fleets("shards", count=20) as fleet:
        for number in (1, 2, 4):
            assert fleet("apply", *ALL, "--shard", f"{number}/4").code == 0
        partial_ = fleet("merge", "results", "--json")
        assert (partial_.code, partial_.json["summary"]) == (7, {"not-started": 5, "done": 15})
        assert fleet("apply", *ALL, "--shard", "/4", JOB_COMPLETION_INDEX="2").code == 0
        merged = fleet("merge", "results", "--json")
        assert (merged.code, report(merged)) == (0, wanted)
        assert fleet.made() == made
        calls = len(fleet.accounts[0].requests())
        again = fleet("apply", *ALL, "--shard", "1/4")
        assert (again.code, len(fleet.accounts[0].requests())) == (0, calls)


def test_what_was_not_done_in_a_shard_is_told_by_the_merge(
    fleets: Callable[..., Any], hurried: Clock
) -> None:
    """An account that is down is asked three times, and has a result; then it is done again."""
    with fleets("down", count=20) as fleet:
        settings = fleet.root / "reconciler.toml"
        text = settings.read_text()
        settings.write_text(text.replace(fleet.accounts[0].url, "http://127.0.0.1:9/api/v3"))
        shard = ("--shard", "1/20", "--results", "results", "--auto-approve")
        only = ("-a", "customer-0?", "-a", "customer-1?")
        fleet("apply", *only, *shard, clock=hurried).expect(6)
        merged = fleet("merge", "results", *only, "--format", "markdown=report.md")
        assert (merged.code, "1 failed, 19 not started" in merged.out) == (7, True)
        assert "customer-00: failed" not in merged.out
        assert (fleet.root / "report.md").read_text().startswith("**20 accounts: 1 failed, 19 not")
        settings.write_text(text)
        fleet("apply", *only, *shard).expect(3, err="is the result of a different run")


def test_results_of_different_options_are_no_run(fleets: Callable[..., Any]) -> None:
    with fleets("options", count=10) as fleet:
        only = ("-a", "customer-0?", "--results", "results")
        first = fleet("plan", *only, "--shard", "1/2", "--format", "markdown=1.md")
        second = fleet("plan", *only, "--shard", "2/2", "--format", "markdown=2.md")
        assert (first.code, second.code) == (0, 0)
        assert fleet("merge", "results", "-a", "customer-0?").code == 0
        (fleet.root / "results" / "customer-09.plan.json").unlink()
        alone = ("-a", "customer-09", "--results", "results")
        assert fleet("plan", *alone, "--prune").code == 0
        refused = fleet("merge", "results", "-a", "customer-0?")
        assert (refused.code, refused.out) == (3, "")
        assert "of several runs: plan --prune in results/" in refused.err
        assert "; plan in results/" in refused.err


def test_results_of_different_places_are_no_run(fleets: Callable[..., Any]) -> None:
    with fleets("places", count=10) as fleet:
        only = ("plan", "-a", "customer-0?", "--results", "results")
        assert fleet(*only, "--shard", "1/2").code == 0
        elsewhere = {"RECONCILER_STATE": "file:other/{account}.json"}
        assert fleet(*only, "--shard", "2/2", **elsewhere).code == 0
        refused = fleet("merge", "results", "-a", "customer-0?")
        assert (refused.code, refused.out) == (3, "")
        assert "of several runs: plan in results/" in refused.err
        assert "ALERTSITE_URL and RECONCILER_STATE" in refused.err


def test_ids_that_an_apply_writes_make_it_no_other_run(fleets: Callable[..., Any]) -> None:
    """Those of one account in a shared manifest neither stop another account."""
    with fleets("ids", count=3) as fleet:
        shared = fleet.root / "monitors" / "_shared" / "all.yaml"
        shared.parent.mkdir()
        shared.write_text(manifest("email-smtp", "all", name="All"))
        settings = fleet.root / "reconciler.toml"
        folders = 'manifests = ["monitors/_shared", "monitors/{account}"]'
        settings.write_text(settings.read_text().replace("[defaults]", f"[defaults]\n{folders}"))
        argv = ("apply", *ALL, "--write-ids", "--shard", "1/1")
        first = fleet(*argv).expect(0)
        assert all(f"{name}: " in shared.read_text() for name in NAMES[:3])
        assert "\n  id: " in (fleet.root / "monitors" / NAMES[0] / "new.yaml").read_text()
        asked = [len(account.requests()) for account in fleet.accounts]
        again = fleet(*argv)
        assert (again.code, report(again)) == (0, report(first))
        assert [len(account.requests()) for account in fleet.accounts] == asked
        shared.write_text(shared.read_text() + "  timeout: 33\n")
        fleet(*argv).expect(3, err="is the result of a different run")


def test_a_result_holds_no_secret_of_the_command_line(fleets: Callable[..., Any]) -> None:
    with fleets("notify", count=10) as fleet:
        only = ("-a", "customer-0?", "--results", "results", "--auto-approve")
        fleet("apply", *only, "--notify", "json://user:not-a-word@127.0.0.1:9/x")
        texts = [path.read_text() for path in (fleet.root / "results").iterdir()]
        assert len(texts) == 10
        assert "not-a-word" not in "".join(texts)


def test_results_of_another_state_are_not_taken(fleets: Callable[..., Any]) -> None:
    with fleets("state", count=10) as fleet:
        only = ("plan", "-a", "customer-0?", "--results", "results")
        assert fleet(*only).code == 0
        calls = len(fleet.accounts[0].requests())
        assert fleet(*only).code == 0
        assert len(fleet.accounts[0].requests()) == calls
        refused = fleet(*only, RECONCILER_STATE="file:other/{account}.json")
        assert (refused.code, "is the result of a different run" in refused.err) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("plan", "--shard", "0/4"), 64, "0 is not between 1 and 4"),
        (("plan", "--shard", "/4"), 64, "needs the number of the shard in JOB_COMPLETION_INDEX"),
        (("plan", "--shard", "a/4"), 64, "write it as I/N, such as 2/8, or /N"),
        (("plan", "--shard", "3/4"), 0, "No account is in shard 3/4."),
        (("apply", "--all-accounts", "--shard", "1/4"), 64, "in the waves 1, 2, and a shard"),
        (("plan", "--executor", "dask:tcp://10.0.0.1:8786"), 64, "has no TLS"),
        (("plan", "--executor", "ray://localhost:1"), 64, "is not the address of a scheduler"),
        (("plan", "--executor", "dask:tls://127.0.0.1:9"), 3, "cannot be used"),
        (
            ("apply", "-a", "a", "--write-ids", "--executor", "dask:tcp://localhost:1"),
            64,
            "--write-ids cannot be used with --executor",
        ),
        (
            (
                "apply",
                "-a",
                "a",
                "--notify",
                "json://word@x",
                "--executor",
                "dask:tcp://localhost:1",
            ),
            64,
            "--notify cannot be used with --executor",
        ),
        (("merge", "results"), 3, "there are no results in results"),
        (("merge", "other"), 3, "other/a.apply.json is not a result of an account"),
        (("merge", "several"), 3, "apply of 1 in several/b.apply.json; plan of 1"),
        (("merge", "double"), 3, "are both results of a"),
    ],
)
def test_what_is_refused(
    run: Run, workspace: Workspace, arguments: tuple[str, ...], code: int, said: str
) -> None:
    accounts = "[accounts.a]\n[accounts.b]\nwave = 2\n"
    text = f'state = "file:{{account}}.json"\n[defaults]\ntoken = {{env = "T"}}\n{accounts}'
    workspace.settings(text.replace("{{", "{"))
    for name in ("a", "b"):
        (workspace.root / "monitors" / name).mkdir()
    for name in ("other/a.apply.json", "results/other.txt"):
        (workspace.root / name).parent.mkdir()
        (workspace.root / name).write_text("{}")
    for name in ("several/a.plan.json", "several/b.apply.json", "double/x/a.json", "double/a.json"):
        account, operation, *_ = name.rpartition("/")[2].split(".")
        result = PartResult(account, operation.replace("json", "plan"), 0).to_json()
        (workspace.root / name).parent.mkdir(exist_ok=True, parents=True)
        about = {"job": "", "commit": "1", "approved": ""}
        (workspace.root / name).write_text(json.dumps(result | about))
    run(*arguments).expect(code, err=said)


def test_without_the_settings_of_accounts_there_is_nothing_to_spread(run: Run) -> None:
    run("plan", "--shard", "1/2").expect(64, err="need accounts in reconciler.toml")
