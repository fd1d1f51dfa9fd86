"""Comments, labels, issues and reviewed plans, on servers that answer as GitHub and GitLab do."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import Done, Relays, Run, Workspace

from reconciler.context import Clock
from reconciler.core.diff import FieldChange
from reconciler.core.drift import Drift, Drifted
from reconciler.core.model import Account as AccountName
from reconciler.render.markdown import drift_markdown
from reconciler.render.view import View

import platforms
from platforms import GitHub, GitLab, Reply

_STRANGER = {"github": "somebody", "gitlab": 1}
_SHA = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.fixture(params=["github", "gitlab"])
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def platform(name: str) -> Iterator[Any]:
    kind = GitHub if name == "github" else GitLab
    with platforms.serving(kind()) as found:
        yield found


@pytest.fixture
def comment(run: Run, platform: Any, name: str, workspace: Workspace) -> Callable[..., Done]:
    """Shows a text in the request."""

    def show(text: str, *arguments: str, **options: Any) -> Done:
        (workspace.root / "plan.md").write_text(text, encoding="utf-8")
        env = platform.env | options.pop("env", {})
        flags = ("--platform", name, "--file", "plan.md")
        return run("comment", *flags, *arguments, env=env, **options)

    return show


@contextmanager
def answering(
    platform: Any, reply: Reply, when: Callable[[platforms.Asked], bool], *, acts: bool = False
) -> Iterator[None]:
    """Lets a platform give that answer to some requests, which it carries out only if it `acts`."""
    real = platform.answer

    def answer(asked: platforms.Asked, headers: Any) -> Any:
        if not when(asked):
            return real(asked, headers)
        if acts:
            real(asked, headers)
        return reply

    platform.answer = answer
    yield
    platform.answer = real


def test_a_comment_is_written_updated_and_left_alone(comment: Run, platform: Any) -> None:
    done = comment("## Plan\n\n- one\n")
    assert (done.code, done.out) == (0, "")
    assert done.err == "The comment on request 7 is written.\n"
    marker, text = platform.comments[0]["body"].split("\n", 1)
    assert marker.startswith("<!-- reconciler account=default digest=sha256:")
    assert text == "## Plan\n\n- one"

    platform.comments[0]["body"] = platform.comments[0]["body"].replace("\n", "\r\n") + "\n"
    before = len(platform.writes())
    assert "is as it was" in comment("## Plan\n\n- one\n").err
    assert platform.writes()[before:] == []

    assert "is updated" in comment("## Plan\n\n- two\n").err
    (only,) = platform.comments
    assert only["body"].endswith("- two")


def test_only_our_own_comments_with_the_marker_at_their_beginning_are_ours(
    comment: Run, platform: Any, name: str
) -> None:
    comment("text")
    body = platform.comments[0]["body"]
    platform.comments.clear()
    platform.say(body, author=_STRANGER[name])
    platform.say(f"quoted:\n{body}")
    platform.say(body.replace("account=default", "account=other"))
    kept = [dict(item) for item in platform.comments]
    assert "is written" in comment("text").err
    assert platform.comments[:3] == kept
    assert len(platform.comments) == 4


def test_a_comment_behind_many_pages_is_found(comment: Run, platform: Any) -> None:
    platform.page = 2
    for number in range(7):
        platform.say(f"talk {number}")
    comment("one")
    assert "is updated" in comment("two").err
    assert len(platform.comments) == 8


def test_behaviors(comment: Run, platform: Any) -> None:
    comment("one")
    assert "is written" in comment("two", "--behavior", "new").err
    assert "is as it was" in comment("two", "--behavior", "new").err
    assert len(platform.comments) == 2
    comment("three", "--behavior", "delete-and-new")
    (only,) = platform.comments
    assert only["body"].endswith("three")
    writes = [line.split()[0] for line in platform.writes()]
    assert writes == ["POST", "POST", "POST", "DELETE", "DELETE"]
    comment("three", "--behavior", "delete-and-new")
    assert len(platform.writes()) == 5


def test_two_accounts_have_two_comments(comment: Run, platform: Any) -> None:
    comment("one", "--account", "a --> b")
    comment("two", "--account", "c")
    comment("three", "--account", "a --> b")
    assert [item["body"].split("\n")[1] for item in platform.comments] == ["three", "two"]
    assert platform.comments[0]["body"].count("-->") == 1


@pytest.mark.parametrize("status", [403, 404])
def test_where_no_token_may_write_the_text_is_shown_elsewhere(
    comment: Run, platform: Any, tmp_path: Path, status: int
) -> None:
    message = {"message": "Resource not accessible by integration"}
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    for env, printed in (({"GITHUB_STEP_SUMMARY": str(summary)}, ""), ({}, "## Plan\n")):
        platform.before = [Reply(status, message)]
        done = comment("## Plan", env=env)
        assert (done.code, done.out) == (0, printed)
        assert "Warning: cannot write a comment here" in done.err
        assert f"{status}: Resource not accessible by integration" in done.err
    assert summary.read_text(encoding="utf-8") == "before\n## Plan\n"
    assert platform.comments == []


def test_a_token_that_only_reads_is_said_as_that(comment: Run, platform: Any) -> None:
    platform.read_only = True
    done = comment("## Plan")
    assert (done.code, done.out) == (0, "## Plan\n")


def test_without_a_token_nothing_is_asked(comment: Run, platform: Any) -> None:
    done = comment("## Plan", env={"GITHUB_TOKEN": "", "GITLAB_TOKEN": ""})
    assert (done.code, done.out) == (0, "## Plan\n")
    assert "_TOKEN is not set" in done.err
    assert platform.asked == []


def test_a_bad_token_is_no_fork(comment: Run) -> None:
    done = comment("text", env={"GITHUB_TOKEN": "old-token", "GITLAB_TOKEN": "old-token"}).expect(
        3, err=("401: Bad credentials", "_TOKEN is not valid; renew it.")
    )
    assert "old-token" not in done.text


def test_a_refused_text_is_an_error_with_the_platforms_own_words(
    comment: Run, platform: Any
) -> None:
    comment("one")
    odd = Reply(422, {"message": "Validation Failed", "errors": [{"message": "Body is odd"}]})
    with answering(platform, odd, lambda asked: asked.method in {"PATCH", "PUT"}):
        comment("two").expect(6, err="422: Validation Failed; Body is odd")


def test_a_text_that_does_not_fit_is_refused_before_it_is_sent(comment: Run, platform: Any) -> None:
    comment("x" * 1_000_001).expect(5, err="--format markdown=FILE")
    assert platform.asked == []


def test_too_many_requests_are_waited_for(comment: Run, platform: Any, hurried: Clock) -> None:
    waited: list[float] = []

    def sleep(seconds: float, _stop: object) -> None:
        waited.append(seconds)

    clock = hurried._replace(sleep=sleep)
    reset = str(int(hurried.now().timestamp()) + 30)
    spent = (("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", reset))
    platform.before = [
        Reply(429, {}, (("Retry-After", "7"),)),
        Reply(403, {"message": "API rate limit exceeded"}, spent),
        Reply(503),
    ]
    assert comment("text", clock=clock).code == 0
    assert waited[0] == 7.0
    assert 25.0 < waited[1] <= 30.0
    assert waited[2] == 3.0
    assert len(platform.comments) == 1

    platform.before = [Reply(429, {}, (("Retry-After", "3600"),))]
    comment("other", clock=clock).expect(6, err="Run it again in 3600 s.")


def test_a_write_that_may_have_arrived_is_not_repeated(comment: Run, platform: Any) -> None:
    def is_comment(asked: platforms.Asked) -> bool:
        return asked.method == "POST" and asked.path != "/graphql"

    with answering(platform, Reply(502, {"message": "Bad gateway"}), is_comment, acts=True):
        assert comment("text").code == 6
    assert len(platform.comments) == 1
    assert "is as it was" in comment("text").err


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Reply(200, b"<html>"), "the response is not JSON"),
        (Reply(500, {"message": "oops"}), "500: oops"),
        (Reply(400, b"plain"), ": 400\n"),
        (Reply(400, ["a list"]), ": 400\n"),
    ],
)
def test_odd_answers_are_errors(comment: Run, platform: Any, fault: Reply, words: str) -> None:
    platform.before = [fault]
    comment("text").expect(6, err=words)


@pytest.mark.parametrize("value", [None, 1, [1], {"data": 1}, {"id": 1}, [{"id": 1}], [[]], "text"])
def test_answers_that_are_not_what_the_api_gives(comment: Run, platform: Any, value: Any) -> None:
    odd = Reply(200, json.dumps(value).encode())
    with answering(platform, odd, lambda asked: asked.path.endswith(("/comments", "/notes"))):
        comment("text").expect(6, err="unexpected response from the platform's API")
    with answering(platform, odd, lambda _: True):
        assert comment("text").code in {0, 6}


@pytest.mark.parametrize(
    ("variable", "value"),
    [("TOKEN", "of two\nlines"), ("TOKEN", "umläut"), ("API_URL", "http://a:port")],
)
def test_a_setting_that_cannot_be_sent_is_named(
    comment: Run, name: str, variable: str, value: str
) -> None:
    prefix = "CI_API_V4_URL" if (name, variable) == ("gitlab", "API_URL") else ""
    setting = prefix or f"{name.upper()}_{variable}"
    done = comment("text", env={setting: value})
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith(f"Error: {setting} ")
    assert value not in done.err or variable != "TOKEN"


def test_a_token_may_end_with_a_line(comment: Run, name: str) -> None:
    assert comment("text", env={f"{name.upper()}_TOKEN": f"{platforms.TOKEN}\n"}).code == 0


def test_nobody_there(comment: Run, hurried: Clock, name: str) -> None:
    env = {"GITHUB_GRAPHQL_URL": "http://127.0.0.1:9/", "CI_API_V4_URL": "http://127.0.0.1:9"}
    who, setting = ("GitLab", "CI_API_V4_URL")
    if name == "github":
        who, setting = ("GitHub", "GITHUB_API_URL and GITHUB_GRAPHQL_URL")
    comment("text", env=env, clock=hurried).expect(
        6,
        err=(
            f"Error: {who} cannot be reached at http://127.0.0.1:9: Connection refused\n",
            f"Check {setting}, and the network, then run it again.",
        ),
    )


def test_what_a_pipeline_must_say(
    run: Run, comment: Run, platform: Any, name: str, tmp_path: Path
) -> None:
    done = comment("text", env={"GITHUB_REF": "refs/heads/main", "CI_MERGE_REQUEST_IID": ""})
    assert done.code == 3
    assert "Specify one with --request." in done.err
    none = {"GITHUB_REF": "", "CI_MERGE_REQUEST_IID": ""}
    assert comment("text", "--request", "7", env=none).code == 0
    comment("text", env={"GITHUB_REPOSITORY": "", "CI_PROJECT_ID": ""}).expect(3)
    assert run("comment", "--platform", name, env=platform.env).code == 64
    assert comment("   ").code == 3
    assert run("comment", "--platform", name, "--file", "absent.md", env=platform.env).code == 3
    event = tmp_path / "event.json"
    event.write_text('{"pull_request": {"number": 7}}', encoding="utf-8")
    if name == "github":
        told = {"GITHUB_REF": "refs/heads/main", "GITHUB_EVENT_PATH": str(event)}
        assert comment("text", env=told).code == 0
        event.write_text("{", encoding="utf-8")
        assert comment("text", env=told).code == 3


def test_labels_follow_the_plan(
    relays: Relays, workspace: Workspace, comment: Run, platform: Any
) -> None:
    account = relays(3)
    platform.labels = ["urgent", "monitoring:destroy"]
    assert account.run("plan", "--out", "plan.json").code == 0
    done = comment("text", "plan.json")
    lines = [line for line in done.err.splitlines() if line.startswith("Label ")]
    assert lines == [
        "Label added: monitoring:changes",
        "Label added: monitoring:loss",
        "Label removed: monitoring:destroy",
    ]
    assert sorted(platform.labels) == ["monitoring:changes", "monitoring:loss", "urgent"]

    assert account.apply().code == 0
    path = workspace.root / "monitors" / "fleet.yaml"
    path.write_text(path.read_text(encoding="utf-8").rpartition("---\n")[0], encoding="utf-8")
    assert account.run("plan", "--out", "plan.json", "--prune").code == 0
    comment("other text", "plan.json")
    names = ("changes", "destroy", "loss")
    assert sorted(platform.labels) == [*(f"monitoring:{name}" for name in names), "urgent"]


def test_labels_that_may_not_be_set_do_not_take_the_comment_away(
    relays: Relays, comment: Run, platform: Any
) -> None:
    account = relays(3)
    assert account.run("plan", "--out", "plan.json").code == 0

    def sets_labels(asked: platforms.Asked) -> bool:
        return asked.path.endswith(("/labels", "/merge_requests/7")) and asked.method != "GET"

    with answering(platform, Reply(403, {"message": "no"}), sets_labels):
        done = comment("text", "plan.json")
    done.expect(0, err=("is written", "Warning: cannot set labels here"))


@pytest.fixture
def drifting(run: Run, platform: Any, name: str, workspace: Workspace) -> Callable[..., Done]:
    """Keeps the issue for these drifted monitors."""

    def keep(
        *addresses: str,
        port: int = 25,
        new: tuple[int, ...] = (),
        causes: tuple[str, ...] = (),
        **options: Any,
    ) -> Done:
        monitors = [
            {
                "address": address,
                "id": 1,
                "applied_at": "2026-01-01T00:00:00Z",
                "run": "r",
                "is_deleted": False,
                "causes": list(causes),
                "fields": [{"field": "port", "applied": 587, "live": port}],
            }
            for address in addresses
        ]
        drift = {
            "format_version": "2.0",
            "account": {"name": "default", "url": "https://example.com"},
            "summary": {"drifted": len(monitors), "kept": 0},
            "monitors": monitors,
            "unmanaged": [{"id": id_, "type": "email-smtp", "name": "By hand"} for id_ in new],
        }
        (workspace.root / "drift.json").write_text(json.dumps(drift), encoding="utf-8")
        (workspace.root / "drift.md").write_text(f"Drift: {addresses}", encoding="utf-8")
        flags = ("--platform", name, "--file", "drift.md")
        return run("issue", "drift.json", *flags, env=platform.env, **options)

    return keep


def test_a_note_that_was_refused_is_written_by_the_next_run(drifting: Run, platform: Any) -> None:
    drifting("email-smtp/a")
    with answering(platform, Reply(422, {"message": "no"}), lambda asked: asked.method == "POST"):
        assert drifting("email-smtp/a", "email-smtp/b").code != 0
    assert drifting("email-smtp/a", "email-smtp/b").code == 0
    assert [text for _, text in platform.notes] == ["Newly drifted:\n\n- `email-smtp/b`"]


def test_an_issue_is_open_while_there_is_drift(drifting: Run, platform: Any) -> None:
    assert drifting().err == "The drift issue is not needed.\n"
    assert drifting("email-smtp/a").err == "The drift issue is written.\n"
    assert drifting("email-smtp/a").err == "The drift issue is as it was.\n"
    assert platform.notes == []
    assert drifting("email-smtp/a", "email-smtp/b").err == "The drift issue is updated.\n"
    (issue,) = platform.issues
    number = issue.get("number") or issue["iid"]
    assert platform.notes == [(number, "Newly drifted:\n\n- `email-smtp/b`")]
    assert drifting("email-smtp/b").err == "The drift issue is updated.\n"
    assert len(platform.notes) == 1
    drifting("email-smtp/b", port=26)
    assert len(platform.notes) == 2
    assert drifting().err == "The drift issue is closed.\n"
    assert drifting().err == "The drift issue is not needed.\n"
    assert issue["title"] == "AlertSite has drifted from the manifests"


def test_a_note_says_how_monitoring_was_lost(drifting: Run, platform: Any) -> None:
    drifting("email-smtp/a")
    drifting("email-smtp/a", "email-smtp/b", causes=("disabled",))
    ((_, note),) = platform.notes
    assert note == "Newly drifted:\n\n- `email-smtp/b` has lost monitoring (disabled)"


def test_an_issue_tells_new_monitors_too(drifting: Run, platform: Any) -> None:
    assert drifting(new=(7,)).err == "The drift issue is written.\n"
    assert drifting("email-smtp/a", new=(7, 8)).err == "The drift issue is updated.\n"
    ((_, text),) = platform.notes
    assert text.endswith("\n\n- `email-smtp/a`\n- `monitor 8, without a manifest`")
    assert drifting().err == "The drift issue is closed.\n"


def test_an_issue_names_no_more_than_some(drifting: Run, platform: Any) -> None:
    drifting("email-smtp/a")
    drifting(*(f"email-smtp/m{number:02}" for number in range(30)))
    ((_, text),) = platform.notes
    assert text.endswith("- and 10 more")


def test_an_issue_that_may_not_be_written(
    drifting: Run, platform: Any, run: Run, workspace: Workspace
) -> None:
    platform.read_only = True
    drifting("email-smtp/a").expect(0, err="Warning: cannot write an issue here")
    for text in ("{", "{}"):
        (workspace.root / "drift.json").write_text(text, encoding="utf-8")
        flags = ("--platform", "github", "--file", "drift.md")
        run("issue", "drift.json", *flags, env=platform.env).expect(3, err="drift.json")


def test_the_reviewed_plan_comes_back_if_its_manifests_are_here(
    relays: Relays, run: Run, workspace: Workspace, platform: Any, name: str
) -> None:
    account = relays(3)
    get = ("reviewed", "--platform", name, "--out", "back.json", "--commit", _SHA)
    back = workspace.root / "back.json"
    assert account.run("plan", "--out", "plan.json").code == 0
    data = (workspace.root / "plan.json").read_bytes()

    back.write_text("left here by somebody", encoding="utf-8")
    done = run(*get, env=platform.env)
    assert (done.code, back.exists()) == (0, False)
    assert "There is no reviewed plan: no request merged by this commit has one." in done.err

    platform.keep(_SHA, "plan.json", data)
    done = run(*get, env=platform.env).expect(0)
    assert back.read_bytes() == data
    assert platforms.TOKEN not in done.text
    assert platform.elsewhere
    assert not any(platforms.TOKEN in headers for headers in platform.elsewhere)

    workspace.replace("fleet.yaml", "name: relay-02", "name: relay-02x")
    done = run(*get, env=platform.env)
    assert (done.code, back.exists()) == (0, False)
    assert "it was made from other manifests than those here" in done.err

    platform.keep(_SHA, "plan.json", b"{}")
    done = run(*get, env=platform.env)
    assert (done.code, back.exists()) == (0, False)
    assert "There is no reviewed plan" in done.err

    back.mkdir()
    done = run(*get, env=platform.env)
    assert (done.code, back.exists()) == (3, True)
    assert "back.json cannot be written: Is a directory" in done.err
    back.rmdir()

    platform.before = [Reply(403, {"message": "no"})]
    run(*get, env=platform.env).expect(0, err="it cannot be read")
    assert run(*get[:-2], env=platform.env).code == 3
    done = run(*get, "--out", ".", env=platform.env).expect(3)
    assert done.err.startswith("Error: . cannot be written")


def test_nothing_is_taken_from_a_fork(run: Run, platform: Any, name: str) -> None:
    platform.keep(_SHA, "plan.json", b"{}", "666" if name == "gitlab" else "fork/monitors")
    done = run("reviewed", "--platform", name, "--commit", _SHA, env=platform.env)
    assert "no request merged by this commit has one" in done.err


def _encrypted(archive: bytes) -> bytes:
    data = bytearray(archive)
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def _of_unknown_method(archive: bytes) -> bytes:
    data = bytearray(archive)
    data[8] = data[data.index(b"PK\x01\x02") + 10] = 77
    return bytes(data)


@pytest.mark.parametrize("damaged", [lambda _: b"no archive", _encrypted, _of_unknown_method])
def test_an_artifact_that_is_no_archive(run: Run, damaged: Callable[[bytes], bytes]) -> None:
    with platforms.serving(GitHub()) as platform:
        platform.keep(_SHA, "plan.json", b"{}")
        platform.files = {key: damaged(data) for key, data in platform.files.items()}
        done = run("reviewed", "--platform", "github", "--commit", _SHA, env=platform.env)
    done.expect(6, err="is not an archive with one file")


@pytest.mark.large
def test_a_drift_of_many_monitors_fits_into_an_issue(
    run: Run, platform: Any, name: str, workspace: Workspace
) -> None:
    def keep(*numbers: int) -> Done:
        field = FieldChange("confirmation_note", "a" * 60, "b" * 60)
        drift = Drift(
            AccountName("default", "https://example.com"),
            tuple(
                Drifted(f"email-smtp/m{number:05}", number, "2026-01-01T00:00:00Z", "r", (field,))
                for number in numbers
            ),
            kept=0,
        )
        text = json.dumps(drift.to_json())
        (workspace.root / "drift.json").write_text(text, encoding="utf-8")
        text = drift_markdown(drift, View())
        (workspace.root / "drift.md").write_text(text, encoding="utf-8")
        flags = ("--platform", name, "--file", "drift.md")
        return run("issue", "drift.json", *flags, env=platform.env)

    assert keep(*range(1, 1000)).err == "The drift issue is written.\n"
    assert keep(*range(1, 1001)).err == "The drift issue is updated.\n"
    ((_, note),) = platform.notes
    assert note == "Newly drifted:\n\n- `email-smtp/m01000`"
    assert keep(*range(1, 9000)).err == "The drift issue is updated.\n"
    assert keep(*range(1, 8999)).err == "The drift issue is updated.\n"
    assert len(platform.notes) == 2
