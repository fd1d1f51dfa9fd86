"""What several accounts are together: the order, the exit code, the budget, the seam."""

from __future__ import annotations

import json
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import durable
from reconciler.core.rollup import PartResult, RollUp, refuse_unsafe
from reconciler.core.safety import Budget, budget_together
from reconciler.errors import ConfigurationError, ExitCode, RefusedError
from reconciler.render.rollups import rollup_markdown, rollup_text
from reconciler.usecases.fleet_job import Job, digest_of, keep, merged, perform, run_jobs

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.core.model import JSON


def part(
    account: str, code: int | None, losses: int = 0, lost: int = 0, managed: int = 0
) -> PartResult:
    return PartResult(account, "apply", code, losses=losses, lost=lost, managed=managed)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([0, 0], 0),
        ([0, 2], 2),
        ([0, 4], 7),
        ([2, 3], 7),
        ([4, 4], 4),
        ([4, 6], 7),
        ([None, None], 7),
        ([0, None], 7),
        ([0, 130, 4], 130),
        ([7, 0], 7),
    ],
)
def test_the_exit_code_of_all(codes: list[int | None], expected: int) -> None:
    parts = tuple(part(str(number), code) for number, code in enumerate(codes))
    assert RollUp("apply", parts).exit_code == expected


def test_what_an_earlier_attempt_has_lost_counts() -> None:
    before = (part("a", 0, losses=1, lost=1, managed=50),)
    now = [part("b", 2, losses=1, lost=1, managed=50)]
    refuse_unsafe(now, Budget(2, 2), None, before=before)
    with pytest.raises(RefusedError, match=r"2 of 100 .* \(b 1, a 1\).* is 1"):
        refuse_unsafe(now, Budget(1, 100), None, before=before)
    with pytest.raises(RefusedError):
        refuse_unsafe(now, None, 1, before=before)
    refuse_unsafe([part("b", 0, managed=50)], Budget(0, 0), None, before=before)


@pytest.mark.parametrize(
    "said",
    [
        {"format_version": "2.0"},
        {"account": 5},
        {"exit_code": 999},
        {"exit_code": "0"},
        {"changes": []},
        {"changes": {"create": "1"}},
        {"tally": {"monitors": "1"}},
        {"digests": [1]},
        {"limit": "10"},
        {"ceiling": []},
        {"text": None},
        {"is_json": True, "text": "no JSON"},
        {"seconds": "1"},
        {"formats": {"markdown": 1}},
    ],
)
def test_what_is_no_result_is_not_taken_for_one(said: dict[str, JSON]) -> None:
    data = json.loads(json.dumps(part("a", 0).to_json()))
    assert PartResult.from_json(data) == part("a", 0)
    with pytest.raises((TypeError, ValueError)):
        PartResult.from_json(data | said)


def test_a_result_of_before_reports_were_counted() -> None:
    data = json.loads(json.dumps(part("a", 0).to_json()))
    for name in ("tally", "limit", "ceiling"):
        del data[name]
    assert PartResult.from_json(data | {"format_version": "1.0"}) == part("a", 0)


def test_what_all_have_together() -> None:
    parts = (
        part("a", 0)._replace(changes={"create": 1}, tally={"monitors": 2, "credits": 0.1}),
        part("b", 6),
        part("c", 0)._replace(changes={"create": 2}, tally={"monitors": 3, "credits": 0.2}),
    )
    found = RollUp("report", parts)
    assert (found.changes, found.tally) == ({"create": 3}, {"monitors": 5, "credits": 0.3})
    assert RollUp("status", parts[1:2]).to_json()["tally"] == {}


def test_the_failed_come_first_and_then_the_names() -> None:
    found = RollUp(
        "apply",
        tuple(map(part, "abcdefg", (0, 6, 2, None, 5, 7, 6))),
    )
    assert "".join(item.account for item in found.by_urgency) == "bgfedca"
    assert found.counts == {
        "failed": 2,
        "partial": 1,
        "refused": 1,
        "not-started": 1,
        "changes": 1,
        "done": 1,
    }


def test_what_nobody_could_plan_has_no_counts() -> None:
    failed = PartResult("a", "plan", 4), PartResult("b", "plan", 6)
    assert rollup_text(RollUp("plan", failed)).endswith("\n2 accounts: 2 failed.")
    assert "0 to add" not in rollup_markdown(RollUp("plan", failed))


@pytest.mark.parametrize(
    ("codes", "end"), [((0, 0), "2 done.\nNo drift."), ((0, 2), "1 with changes, 1 done.")]
)
def test_accounts_without_drift_say_so(codes: tuple[int, int], end: str) -> None:
    parts = tuple(PartResult(str(number), "drift", code) for number, code in enumerate(codes))
    assert rollup_text(RollUp("drift", parts)).endswith(end)


def test_plans_that_are_over_their_budget_come_first() -> None:
    over = part("c", 0, losses=2, lost=2)._replace(limit=1)
    plans = (part("a", 0), part("b", 0, losses=1, lost=1)._replace(limit=1), over)
    found = RollUp("plan", plans, limit=0)
    assert [item.account for item in found.by_urgency] == ["c", "a", "b"]
    assert (found.losses, found.is_over) == (3, True)
    assert not found._replace(limit=1).is_over  # c is refused alone
    assert not found._replace(limit=None).is_over


def test_the_budget_counts_over_all() -> None:
    parts = [part("a", 0, losses=2, lost=3, managed=50), part("b", 0, managed=50)]
    refuse_unsafe(parts, None, None)
    refuse_unsafe(parts, Budget(3, 100), None)
    with pytest.raises(RefusedError, match=r"2 of 100 monitors in all .*\(a 2\).* is 2") as caught:
        refuse_unsafe(parts, Budget(25, 2), None)
    assert ", 1 other has lost some in the last 24 hours, and the" in str(caught.value)
    assert "--allow-loss 2" in caught.value.hint
    refuse_unsafe(parts, Budget(25, 2), 2)
    refuse_unsafe(parts[1:], Budget(0, 0), None)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ((Budget(),) * 60, Budget(10, 30)),
        ((Budget(3, 5), Budget(0, 0)), Budget(10, 30)),
        ((Budget(), Budget(25, 10), Budget(12, 50)), Budget(25, 50)),
    ],
)
def test_accounts_may_lose_together_what_one_may(own: tuple[Budget, ...], expected: Budget) -> None:
    assert budget_together(own) == expected


def test_a_monitor_of_each_of_60_accounts_is_too_much() -> None:
    parts = [part(f"a{n:02}", 0, losses=1, lost=1, managed=1) for n in range(60)]
    refuse_unsafe(parts[:3], Budget(3, 100), None)
    with pytest.raises(
        RefusedError, match=r"60 of 60 .* a09 1 and 50 more\), .* is 10: "
    ) as caught:
        refuse_unsafe(parts, Budget(), None)
    assert "--allow-loss 60" in caught.value.hint
    assert "a10" not in str(caught.value)


def test_an_account_over_its_own_budget_is_refused_alone() -> None:
    """It loses nothing, so it does not stop the others; an option that allows it counts it."""
    over = part("a", 0, losses=92, lost=92, managed=172)._replace(limit=10)
    others = [part(name, 0, losses=6, lost=6, managed=50)._replace(limit=10) for name in "bc"]
    refuse_unsafe([over, others[0]], Budget(), None)
    with pytest.raises(RefusedError, match=r"12 of 272 .* \(b 6, c 6\)") as caught:
        refuse_unsafe([over, *others], Budget(), None)
    assert "--allow-loss 104" in caught.value.hint
    with pytest.raises(RefusedError):
        refuse_unsafe([over, *others], Budget(), 103)


def test_what_a_run_may_lose_counts_over_all() -> None:
    parts = [part(name, 0, losses=2, lost=2, managed=50) for name in "ab"]
    with pytest.raises(RefusedError, match=r"\(a 2, b 2\), and --allow-loss is 3: ") as caught:
        refuse_unsafe(parts, None, 3)
    assert "--allow-loss 4" in caught.value.hint
    refuse_unsafe(parts, None, 4)


def test_no_option_raises_the_ceiling_of_all() -> None:
    """It counts what was lost before, and not what an account that is refused alone would lose."""
    parts = [part(name, 0, losses=2, lost=3, managed=50)._replace(ceiling=5) for name in "ab"]
    over = part("c", 0, losses=9, lost=9, managed=50)._replace(limit=5, ceiling=5)
    said = r"4 of 150 .* \(a 2, b 2\), 2 others .* and RECONCILER_BUDGET is 5: nothing is applied"
    for allow_loss in (None, 99):
        refuse_unsafe([*parts, over], None, allow_loss, ceiling=Budget(6, 100))
        with pytest.raises(RefusedError, match=said) as caught:
            refuse_unsafe([*parts, over], None, allow_loss, ceiling=Budget(5, 100))
        assert "no flag overrides" in caught.value.hint
        assert "--allow-loss" not in caught.value.hint
        refuse_unsafe([over], None, allow_loss, ceiling=Budget(5, 100))


def greet(job: Job) -> PartResult:
    """What a worker does; at the top of a module, so that it can be pickled."""
    return PartResult(job.account, job.operation, 0, text=f"hello {job.account}")


def lose(job: Job) -> PartResult:
    raise AssertionError(f"{job.account} is done already")


def leave(job: Job) -> PartResult:
    raise SystemExit(job.account)


JOBS = [Job(name, "plan", ("--json",), approved="sha256:0") for name in ("b", "a", "c")]


@pytest.mark.parametrize(
    "executor",
    [
        lambda: ThreadPoolExecutor(2),
        lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn")),
    ],
)
def test_any_executor_runs_a_job(executor: object) -> None:
    assert callable(executor)
    running: Executor = executor()
    with running:
        found = list(run_jobs(JOBS, greet, running))
    assert [item.text for item in found] == ["hello b", "hello a", "hello c"]


class Disconnected(Executor):
    """It has lost whoever it gave the jobs to, and gives them up."""

    def submit(self, *_: object, **__: object) -> Future[Any]:
        future: Future[Any] = Future()
        future.cancel()
        return future


def test_jobs_whose_results_cannot_come_any_more_are_told_so() -> None:
    for item in run_jobs(JOBS, greet, Disconnected()):
        assert item.exit_code == ExitCode.UNAVAILABLE
        assert item.message == (
            "the connection to the workers was lost, so it is not known what was done; run the "
            "same command again"
        )


def test_a_job_is_known_by_all_that_it_says_but_for_its_approval() -> None:
    for said in ({"commit": "1"}, {"surroundings": ("x",)}, {"arguments": ()}, {"account": "z"}):
        assert JOBS[0].key != JOBS[0]._replace(**said).key
    assert JOBS[0].key == JOBS[0]._replace(approved="sha256:1").key


def test_a_result_is_a_file_that_is_made_once(tmp_path: Path) -> None:
    folder = str(tmp_path / "results")
    first = perform(JOBS[0], greet, folder)
    assert first.part == f"{folder}/b.plan.json"
    assert json.loads((tmp_path / "results" / "b.plan.json").read_text())["text"] == "hello b"
    assert perform(JOBS[0], lose, folder) == first
    assert perform(JOBS[0]._replace(approved=""), lose, folder) == first
    for other in (JOBS[0]._replace(approved="sha256:1"), JOBS[0]._replace(arguments=())):
        with pytest.raises(ConfigurationError, match="the result of a different run"):
            perform(other, greet, folder)


def test_a_bad_result_replaces_no_good_one_that_comes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = PartResult(JOBS[0].account, JOBS[0].operation, 8)
    folder, real = str(tmp_path), durable.replace
    with ThreadPoolExecutor(1) as faster:
        good = []

        def replace(path: Path, data: bytes) -> None:
            """Lets a worker that went well come in between."""
            if not good:
                good.append(faster.submit(keep, folder, JOBS[0], greet(JOBS[0])))
                wait(good, timeout=0.2)
            real(path, data)

        perform(JOBS[0], lambda _: bad, folder)
        monkeypatch.setattr(durable, "replace", replace)
        perform(JOBS[0], lambda _: bad, folder)
        assert good[0].result().text == "hello b"
    assert perform(JOBS[0], lose, folder).text == "hello b"
    assert [path.name for path in tmp_path.iterdir()] == ["b.plan.json"]


def test_what_is_not_started_leaves_no_file(tmp_path: Path) -> None:
    found = perform(JOBS[0], lambda job: job.not_started("no"), str(tmp_path))
    assert (found.status, found.part) == ("not-started", "")
    assert list(tmp_path.iterdir()) == []


def test_what_was_interrupted_can_go_on(tmp_path: Path) -> None:
    cut = perform(JOBS[0], lambda job: PartResult(job.account, job.operation, 130), str(tmp_path))
    assert (cut.status, cut.part, list(tmp_path.iterdir())) == ("interrupted", "", [])
    assert perform(JOBS[0], greet, str(tmp_path)).text == "hello b"


def test_a_file_that_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "b.plan.json").write_text("{}")
    with ThreadPoolExecutor(1) as executor:
        (found,) = run_jobs(JOBS[:1], greet, executor, str(tmp_path))
    assert (found.exit_code, "is not a result of an account" in found.message) == (3, True)
    with pytest.raises(ConfigurationError, match="is not a result of an account") as caught:
        merged(str(tmp_path), ["b"])
    assert caught.value.hint == (
        "Use a folder that has nothing but the results of one run, as --results writes them."
    )


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write results to"):
        perform(JOBS[0], greet, str(tmp_path / "file" / "results"))


@pytest.mark.parametrize("hidden", [".reconciler/b/state.json", "deep/.x/y.json", ".b.plan.json"])
def test_what_is_hidden_is_no_result(
    hidden: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / hidden).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / hidden).write_text("{}")
    for folder in ("results/1", ".results"):
        perform(JOBS[0], greet, folder)
        assert merged(folder.partition("/")[0], ["b"])[0].text == "hello b"
    (tmp_path / ".results" / "b.plan.json").unlink()
    (found,) = merged(".", ["b"])
    assert found.part == "results/1/b.plan.json"


def test_a_result_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "b.plan.json").mkdir()
    with pytest.raises(ConfigurationError, match=r"b\.plan\.json cannot be read: it is not a"):
        merged(str(tmp_path), ["b"])


def test_the_digest_is_of_all_that_a_fleet_is_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("_defaults.yaml", "a/x.yaml", "b/x.yaml"):
        (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / name).write_text("a: 1\n")
    seen = [digest_of(["m/a"])]
    for name in ("_defaults.yaml", "a/x.yaml"):
        (tmp_path / "m" / name).write_text("a: 2\n")
        seen.append(digest_of(["m/a"]))
    (tmp_path / "m" / "b" / "x.yaml").write_text("a: 2\n")
    assert digest_of(["m/a"]) == seen[-1]
    assert len(set(seen)) == 3


def test_the_ids_that_a_job_writes_make_no_other_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m" / "x.yaml"
    path.parent.mkdir()
    texts = [
        f"kind: a\nmetadata: {{name: x{ids}}}\nspec: {{port: {port}}}\n---\n- 1\n"
        for port in (1, 2)
        for ids in ("", ", id: 1", ", id: 2", ", ids: {b: 3}")
    ]
    seen: dict[bool, list[str]] = {True: [], False: []}
    for text in (*texts, "a: [\n", "b: [\n"):
        path.write_text(text)
        for writes_ids, digests in seen.items():
            digests.append(digest_of(["m"], writes_ids=writes_ids))
    assert len(set(seen[False])) == 10
    assert [len(set(seen[True][a:b])) for a, b in ((0, 4), (4, 8), (0, 8), (0, 10))] == [1, 1, 2, 4]
