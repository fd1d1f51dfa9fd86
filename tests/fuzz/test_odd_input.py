"""Odd input by name: each once ended with exit code 1, hung, or printed what it was told to."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from fuzz import target
from fuzz.cases import Corpus
from fuzz.target import Account, Answer, Ran, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_LIST = "GET /monitors"


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with serving() as account:
        yield account


@pytest.fixture
def corpus(tmp_path: Path, account: Account) -> Iterator[Corpus]:
    folder = tmp_path / "work"
    folder.mkdir()
    account.odd = {}
    made = Corpus(folder, account)
    made.begin()
    yield made
    target.clear(folder)


@pytest.fixture
def run(corpus: Corpus) -> Callable[..., Ran]:
    def run(*arguments: str) -> Ran:
        ran = target.run(corpus.folder, arguments, corpus.environment)
        target.check(ran, arguments)
        return ran

    return run


def _listed(corpus: Corpus, **fields: Any) -> bytes:
    """The list of monitors, of which the first has these fields."""
    first, *rest = corpus.live
    return json.dumps({"results": [{**first, **fields}, *rest]}).encode()


@pytest.mark.parametrize(
    "locations",
    [[{"id": [1]}], [{"id": {}}, {"id": None}], [{"id": True}, {"id": 1}], [[{}]], {"id": [1]}],
    ids=json.dumps,
)
def test_elements_without_a_usable_id_just_differ(
    locations: Any, corpus: Corpus, account: Account, run: Callable[..., Ran]
) -> None:
    account.odd = {_LIST: Answer(_listed(corpus, locations=locations))}
    plan = run("plan", "--json")
    assert plan.code == 0
    (change,) = json.loads(plan.out)["changes"]
    assert "locations" in {item["field"] for item in change["fields"]}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"results": [{"id": 7, "note": ' + b"[" * 900 + b"]" * 900 + b"}]}", "nested too deep"),
        (b"[" * 200_000, "nested too deep"),
        (b'[{"id": 7, "port": ' + b"9" * 5000 + b"}]", "too many digits"),
        (b'[{"id": 7, "port": NaN}]', "NaN"),
        (b'[{"id": 7, "port": -1e999}]', "-1e999"),
        (b'[{"id": 7, "name": "\xff"}]', "not UTF-8"),
        (b'[{"id": 7, "name": "a\x00b"}]', "control character"),
    ],
    ids=["deep", "deeper", "digits", "nan", "infinite", "not-utf-8", "nul"],
)
@pytest.mark.parametrize("command", ["plan", "import", "drift"])
def test_answer_that_cannot_be_used_says_why(
    command: str, body: bytes, why: str, account: Account, run: Callable[..., Ran]
) -> None:
    account.odd = {_LIST: Answer(body)}
    ran = run(command)
    assert ran.code == 6
    assert "GET /monitors returned" in ran.err
    assert why in ran.err


@pytest.mark.parametrize(
    "number", [7.5, True, None, [7], -7, 10**30, "7.0", "", {"id": 7}], ids=repr
)
def test_what_is_no_id_is_named(
    number: Any, corpus: Corpus, account: Account, run: Callable[..., Ran]
) -> None:
    account.odd = {_LIST: Answer(_listed(corpus, id=number))}
    ran = run("plan")
    assert ran.code == 6
    shown = json.dumps(number)
    assert f"GET /monitors returned a monitor whose id is {shown}" in ran.err


@pytest.mark.parametrize("command", ["plan", "drift", "import", "probe", "pull"])
def test_half_a_character_is_read_as_a_replacement(
    command: str, corpus: Corpus, account: Account, run: Callable[..., Ran]
) -> None:
    text = _listed(corpus, name="cut \ud83d", **{"odd\ud83d": 1})
    account.odd = {_LIST: Answer(text)}
    arguments = {"pull": ("pull", "--all", "--auto-approve"), "import": ("import", "--into", "new")}
    ran = run(*arguments.get(command, (command,)))
    assert ran.code in {0, 2, 7}
    if command in {"plan", "drift"}:
        assert '"cut �"' in ran.out


def test_half_a_character_is_planned_saved_and_applied(
    corpus: Corpus, account: Account, run: Callable[..., Ran]
) -> None:
    account.odd = {_LIST: Answer(_listed(corpus, note="cut \ud83d", name="\udc00"))}
    assert run("plan", "--out", "plan.json").code == 0
    assert run("show", "plan.json").code == 0
    assert run("apply", "plan.json").code == 7  # this account shows the same text for ever
    assert run("state", "pull").code == 0


def test_byte_order_mark_and_members_named_twice_are_usual(
    corpus: Corpus, account: Account, run: Callable[..., Ran]
) -> None:
    body = b"\xef\xbb\xbf" + _listed(corpus).replace(b'"port": ', b'"port": "x", "port": ', 1)
    account.odd = {_LIST: Answer(body)}
    ran = run("plan")
    assert ran.code == 0
    assert "port: 2525 → 587" in ran.out or 'port: "2525" → 587' in ran.out


def test_link_to_itself_is_a_finding(corpus: Corpus, run: Callable[..., Ran]) -> None:
    loop = corpus.folder / "monitors" / "loop.yaml"
    loop.symlink_to(loop)
    ran = run("plan")
    assert ran.code == 3
    assert "monitors/loop.yaml:1:1: unreadable: cannot read the file: " in ran.err


def test_folders_may_be_nested_deeper_than_pythons_stack(
    corpus: Corpus, run: Callable[..., Ran]
) -> None:
    target.make_deep(os.fsencode(corpus.folder / "monitors"), 1500)
    assert run("validate").code == 0


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("reconciler.toml", ("plan",), 3),
        ("reconciler.toml", ("state", "list"), 3),
        (".reconciler/state.json", ("plan",), 8),
        (".reconciler/state.json", ("state", "list"), 8),
        ("plan.json", ("show", "plan.json"), 3),
        ("plan.json", ("apply", "plan.json"), 3),
        ("plan.json", ("state", "push", "plan.json"), 8),
        ("monitors/relay.yaml", ("plan",), 3),
    ],
)
def test_pipe_in_the_place_of_a_file_holds_nobody_up(
    name: str, arguments: tuple[str, ...], code: int, corpus: Corpus, run: Callable[..., Ran]
) -> None:
    (corpus.folder / name).unlink()
    os.mkfifo(corpus.folder / name)
    ran = run(*arguments)
    assert ran.code == code
    if name != "plan.json":  # which a person has named, so that it may be a pipe with an end
        assert "it is not a regular file" in ran.err


def test_settings_of_any_size_are_refused(corpus: Corpus, run: Callable[..., Ran]) -> None:
    (corpus.folder / "reconciler.toml").write_text("#" * 70_000)
    ran = run("plan")
    assert ran.code == 3
    assert "it has more than 64 KiB" in ran.err


@pytest.mark.parametrize("command", [("plan",), ("validate", "--format", "github"), ("fmt",)])
def test_file_name_that_is_no_text_is_a_finding(
    command: tuple[str, ...], corpus: Corpus, run: Callable[..., Ran]
) -> None:
    path = os.fsencode(corpus.folder / "monitors") + b"/\xff.yaml"
    os.close(os.open(path, os.O_CREAT))
    ran = run(*command)
    assert ran.code == 3
    assert "its name is not UTF-8; rename it" in ran.out + ran.err


@pytest.mark.parametrize("arguments", [("plan", "--target", "\udcff"), ("validate", "\udcff.yaml")])
def test_argument_that_is_no_text_is_an_error_of_usage(
    arguments: tuple[str, ...], run: Callable[..., Ran]
) -> None:
    ran = run(*arguments)
    assert ran.code == 64
    assert "bytes that are not valid" in ran.err


@pytest.mark.parametrize("command", [("validate",), ("fmt",), ("plan", "--manifests")])
def test_name_that_is_too_long_is_no_bug(command: tuple[str, ...], run: Callable[..., Ran]) -> None:
    assert run(*command, "x" * 5000).code == 3


@pytest.mark.parametrize("text", [r'"\ud800"', '"\x00"', "9" * 5000, ".nan", "[" * 900])
def test_value_that_no_json_holds_is_a_finding(
    text: str, corpus: Corpus, run: Callable[..., Ran]
) -> None:
    path = corpus.folder / "monitors" / "relay.yaml"
    path.write_text(path.read_text().replace("587", text))
    ran = run("validate")
    assert ran.code == 3
    assert ran.out.startswith("monitors/relay.yaml:14:")


@pytest.mark.parametrize("part", ["records", "pending_creates", "account"])
def test_state_that_is_nested_too_deep_is_corrupt(
    part: str, corpus: Corpus, run: Callable[..., Ran]
) -> None:
    state = json.loads(corpus.state)
    state[part] = "DEEP"
    text = json.dumps(state).replace('"DEEP"', "[" * 900 + "]" * 900)
    (corpus.folder / ".reconciler/state.json").write_text(text)
    ran = run("plan")
    assert ran.code == 8
    assert "the state is corrupt: it is nested too deep" in ran.err


_HOSTILE = "m\n::error::owned\n##[error]owned\x1b[31m\x9b2J\u202e\u2028"


@pytest.mark.parametrize(
    "arguments",
    [
        ("validate", _HOSTILE),
        ("validate", _HOSTILE, "--lint"),
        ("validate", _HOSTILE, "--format", "github"),
        ("validate", _HOSTILE, "--lint", "--format", "json"),
        ("validate", _HOSTILE, "--format", "markdown"),
        ("validate", _HOSTILE, "--format", "junit=new\n::x\x1b"),
        ("validate", "--format", "\n::x\x1b"),
        ("validate", "--format", "sarif=no\n::x\x1b/a"),
        ("validate", f"{_HOSTILE}/nowhere"),
        ("plan", "--manifests", _HOSTILE),
        ("plan", "--manifests", _HOSTILE, "--json"),
        ("plan", "--manifests", _HOSTILE, "--out", "new\n::x\x1b.json"),
        ("plan", "--state", "file:a\n::x\x1b"),
        ("plan", "--target", "\x1b\n::x"),
        ("plan", "-\x1b\n::x"),
        ("why", "--manifests", _HOSTILE, "email-smtp/relay"),
        ("why", "--manifests", _HOSTILE, "email-smtp/relay.port"),
        ("why", "--manifests", _HOSTILE, "\x1b\n::x"),
        ("apply", "--manifests", _HOSTILE, "--auto-approve", "--write-ids"),
        ("apply", "\n::x\x1b"),
        ("pull", "--manifests", _HOSTILE, "--all", "--auto-approve"),
        ("import", "--into", "new\n::x\x1b"),
        ("import", "--into", _HOSTILE),
        ("import", "--layout", "\n::x\x1b{kind}.yaml"),
        ("fmt", _HOSTILE, "--diff"),
        ("init", "new\n::x\x1b"),
        ("show", "\n::x\x1b"),
        ("state", "show", "\n::x\x1b"),
        ("state", "push", "\n::x\x1b"),
        ("explain", "\n::x\x1b"),
        ("schema", "\n::x\x1b"),
        ("\x1b\n::x",),
    ],
    ids=ascii,
)
def test_no_name_steers_a_terminal_or_a_runner(
    arguments: tuple[str, ...], corpus: Corpus, run: Callable[..., Ran]
) -> None:
    (corpus.folder / "monitors").rename(corpus.folder / _HOSTILE)
    run(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan",),
        ("plan", "--prune", "--show-requests"),
        ("plan", "--detail", "grouped"),
        ("plan", "--detail", "summary"),
        ("plan", "--json"),
        ("drift",),
        ("drift", "--json"),
        ("why", "email-smtp/relay"),
        ("why", "email-smtp/relay.note"),
        ("pull", "--all", "--auto-approve"),
        ("import", "--into", "new"),
        ("probe",),
        ("state", "list"),
        ("state", "pull"),
        ("state", "show", "email-smtp/relay"),
        ("apply", "--auto-approve"),
        ("apply", "--auto-approve", "--json"),
    ],
    ids=" ".join,
)
def test_no_answer_and_no_state_steers_a_terminal_or_a_runner(
    arguments: tuple[str, ...], corpus: Corpus, account: Account, run: Callable[..., Ran]
) -> None:
    fields = {"note": _HOSTILE, _HOSTILE: _HOSTILE, "name": _HOSTILE, "alert_note": _HOSTILE}
    account.odd = {_LIST: Answer(_listed(corpus, **fields))}
    state = json.loads(corpus.state)
    record = state["records"]["email-smtp/relay"]
    record["fields"]["note"] = record["applied_at"] = record["run"] = _HOSTILE
    state["records"][f"email-smtp/{_HOSTILE}"] = {**record, "id": 9}
    (corpus.folder / ".reconciler/state.json").write_text(json.dumps(state))
    run(*arguments)


@pytest.mark.parametrize("spec", ["text", "[1]", "null", "7"])
def test_defaults_whose_spec_is_no_mapping(
    spec: str, corpus: Corpus, run: Callable[..., Ran]
) -> None:
    text = f"apiVersion: reconciler/v1\nkind: Defaults\nspec: {spec}\n"
    (corpus.folder / "monitors" / "_defaults.yaml").write_text(text)
    assert run("validate").code == 3
