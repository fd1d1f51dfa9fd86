"""What a command says that was interrupted: it must be true of that command, at that moment."""

import io
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cli import ended, run
from reconciler.state_store import Key, open_store

_REST = " AlertSite was not changed.\n"


class Keyboard(io.TextIOWrapper):
    """A stdout at which somebody presses Ctrl-C as soon as a word is printed."""

    def __init__(self, word: str) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._word = word

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._word in text:
            signal.raise_signal(signal.SIGINT)
        return written


@pytest.fixture
def interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs a command in a folder of its own until it prints a word; the line that it ends with."""
    monkeypatch.chdir(tmp_path)
    for name in ("CI", "RECONCILER_STATE", "ALERTSITE_URL", "ALERTSITE_USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def until(word: str, *command: str, stream: str = "stdout") -> str:
        monkeypatch.setattr(sys, stream, Keyboard(word))
        handlers = {it: signal.getsignal(it) for it in (signal.SIGTERM, signal.SIGHUP)}
        try:
            assert run(command) == 130
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        if stream == "stderr":
            found = sys.stderr.buffer.getvalue().decode()  # type: ignore[attr-defined]
        else:
            found = capsys.readouterr().err
        return str(found.splitlines(keepends=True)[-1])

    return until


def manifests(*names: str) -> None:
    spec = Path(__file__).parents[2] / "reconciler/templates/example-smtp.yaml"
    for name in names:
        path = Path("monitors", f"{name}.yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(spec.read_text())


def test_a_plan_changes_nothing(interrupted: Callable[..., str]) -> None:
    manifests("a")
    assert interrupted("Plan: ", "plan") == "Interrupted: AlertSite was not changed.\n"


def test_a_second_interrupt_does_not_break_off_the_last_words(
    interrupted: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests("a")
    monkeypatch.setattr(sys, "stdout", Keyboard("Plan: "))
    assert interrupted("Interrupted", "plan", stream="stderr") == f"Interrupted:{_REST}"


def test_init_says_which_files_it_wrote(interrupted: Callable[..., str]) -> None:
    said = interrupted("wrote  schemas/defaults", "init")
    assert said == (
        "Interrupted. Written: monitors/example-smtp.yaml, schemas/defaults.schema.json." + _REST
    )
    assert Path("schemas/defaults.schema.json").exists()


def test_init_that_has_written_nothing_says_so(interrupted: Callable[..., str]) -> None:
    Path("monitors").mkdir()
    said = interrupted("kept   monitors", "init")
    assert said == "Interrupted: AlertSite was not changed.\n"


def test_import_says_that_its_files_stand(interrupted: Callable[..., str]) -> None:
    said = interrupted("Imported", "import", "--layout", "{kind}.yaml", "--no-defaults")
    head, _, rest = said.removeprefix("Interrupted. Written: ").partition(".yaml. ")
    assert rest == _REST.lstrip()
    written = sorted(str(path) for path in Path("monitors").iterdir())
    assert sorted(f"{head}.yaml".split(", ")) == written


def test_fmt_says_which_files_it_changed(interrupted: Callable[..., str]) -> None:
    manifests("a", "b", "c")
    for name in ("a", "b", "c"):
        path = Path("monitors", f"{name}.yaml")
        lines = path.read_text().replace("name: ", f"name: {name}-", 1).splitlines(keepends=True)
        kind = next(line for line in lines if line.startswith("kind:"))
        lines.remove(kind)
        path.write_text("".join([*lines, kind]))
    before = Path("monitors/c.yaml").read_text()
    said = interrupted("b.yaml", "fmt")  # a file is named once it is written
    assert said == f"Interrupted. Written: monitors/a.yaml, monitors/b.yaml.{_REST}"
    assert Path("monitors/c.yaml").read_text() == before


def test_state_push_says_that_the_state_is_replaced(
    interrupted: Callable[..., str], tmp_path: Path
) -> None:
    state = {"format_version": "1.0", "lineage": "l", "serial": 3, "account": "a"}
    state |= {"saved_at": "", "run": "r", "creating": {}, "records": {}}
    Path("new.json").write_text(json.dumps(state))
    location = f"file:{tmp_path}/kept.json"
    push = ("state", "push", "new.json", "--state", location)
    said = interrupted("has serial", *push, stream="stderr")
    assert said == f"Interrupted. Written: {location}.{_REST}"
    assert open_store(location).read(Key.STATE) is not None


def test_one_that_comes_while_a_class_is_made_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    """As in an import: Python 3.11 makes another error of it."""

    class Attribute:
        def __set_name__(self, owner: type, name: str) -> None:
            signal.raise_signal(signal.SIGINT)

    def begin() -> object:
        return type("Owner", (), {"attribute": Attribute()})

    assert ended(begin, ()).code == 130
    assert capsys.readouterr().err == f"Interrupted:{_REST}"
