import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ConfigurationError
from reconciler.state_store import open_store

_IMPORTED = """
import sys
from reconciler.state_store import open_store
open_store("file:state.json")
print([name for name in ("subprocess", "obstore") if name in sys.modules])
"""
_WITHOUT_OBSTORE = """
import sys
from reconciler.errors import ConfigurationError
from reconciler.state_store import open_store
sys.modules["obstore"] = None
try:
    open_store("s3://states/state.json")
except ConfigurationError as error:
    print(error, error.hint)
"""


def run(program: str) -> str:
    return subprocess.check_output([sys.executable, "-c", program], text=True, timeout=60)


@pytest.mark.parametrize(
    "location",
    [
        "",
        " ",
        "state\n.json",
        "ftp://host/state.json",
        "S3://states/state.json",
        "s3:states",
        "C:\\state.json",
        "file:",
        "file:folder/",
        "folder/",
        "file://host/state.json",
        "git:",
        "git:#refs/reconciler/state",
        "git:--upload-pack=ls",
        "git:origin#state",
        "git:origin#",
        "git:origin#refs/a b",
        "git:origin#refs/a..b",
        "s3://",
        "s3:///state.json",
        "s3://states/a//b",
        "s3://states/../b",
    ],
)
def test_what_is_no_place_is_refused(location: str, clone: Any) -> None:
    with pytest.raises(ConfigurationError) as error:
        open_store(location, folder=clone())
    assert repr(location) in str(error.value)
    assert "Write " in error.value.hint


def test_an_unknown_scheme_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError) as error:
        open_store("ftp://host/state.json")
    for known in ("file:PATH", "git:REMOTE", "s3://", "gs://", "az://"):
        assert known in error.value.hint


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("state.json", "{here}/state.json"),
        ("./a:b", "{here}/a:b"),
        ("file:state.json", "{here}/state.json"),
        ("file:../state.json", "{above}/state.json"),
        ("file:{above}/state.json", "{above}/state.json"),
        ("file://{above}/state.json", "{above}/state.json"),
        ("file:~/state.json", "{above}/state.json"),
    ],
)
def test_a_path_starts_from_the_current_folder(location: str, path: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.mkdir()
    location = location.format(above=tmp_path)
    store = open_store(location, folder=here)
    expected = Path(path.format(here=here, above=tmp_path))
    assert store.location == location
    assert store.journals == expected.parent
    assert store.journal_prefix == f"{expected.name}."
    assert str(expected) in store.backup()


def test_a_key_that_is_a_folder_gets_a_name(s3: Any) -> None:
    assert "a/b/state.json.backup" in open_store(s3("a/b/")).backup()
    assert " state.json.backup" in open_store("s3://states").backup()


def test_a_file_needs_neither_processes_nor_obstore() -> None:
    assert run(_IMPORTED) == "[]\n"


def test_a_missing_obstore_is_named_with_how_to_get_it() -> None:
    said = run(_WITHOUT_OBSTORE)
    assert "needs the package obstore, which is not installed" in said
    assert "pip install obstore" in said


def test_a_missing_account_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError, match="Account must be specified") as error:
        open_store("az://states/state.json")
    assert "AZURE_STORAGE_" in error.value.hint


def test_google_takes_the_same_form() -> None:
    assert open_store("gs://states/state.json").journal_prefix.startswith("gs-")


def test_outside_a_repository_git_is_no_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a git repository") as error:
        open_store("git:origin", folder=tmp_path)
    assert "--state file:PATH" in error.value.hint


def test_without_git_it_is_no_place(
    tmp_path: Path, clone: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = clone()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="git, which is not on the PATH"):
        open_store("git:origin", folder=here)


def test_a_password_in_the_location_is_not_shown(clone: Any) -> None:
    here = clone()
    store = open_store("git:https://ann:secret@host.invalid/x.git", folder=here)
    assert store.location == "git:https://host.invalid/x.git"
    assert "secret" not in store.backup()
    other = open_store("git:https://ann:changed@host.invalid/x.git", folder=here)
    assert store.journal_prefix == other.journal_prefix
    for harmless in ("git:ssh://git@host.invalid/x.git", "git:git@host.invalid:x.git"):
        assert open_store(harmless, folder=here).location == harmless


def test_the_default_ref_may_be_written_out(clone: Any) -> None:
    here = clone()
    short, long = (
        open_store(location, folder=here)
        for location in ("git:origin", "git:origin#refs/reconciler/state")
    )
    assert short.journal_prefix == long.journal_prefix
    assert short.journals == here / ".reconciler"
    assert os.sep not in short.journal_prefix
