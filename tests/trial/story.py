"""What a release has, built twice and tried where nothing else is installed."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_SECONDS = 300
"""How long any step may take; a build fetches what the zipapp holds."""
_STORY = """\
set -e
{command} init fleet
cd fleet
make plan
{command} apply --auto-approve
make plan
"""


def _build(folder: Path) -> Path:
    """The `dist` of a clone in that folder."""
    subprocess.run(["git", "clone", "--quiet", _ROOT, folder], check=True, timeout=_SECONDS)
    subprocess.run(
        [sys.executable, "packaging/dist.py"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=_SECONDS,
    )
    return folder / "dist"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build(tmp_path_factory.mktemp("first") / "clone")


def _sums(dist: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in dist.iterdir()}


def test_two_builds_have_the_same_bytes(built: Path, tmp_path: Path) -> None:
    """In another folder, which has a blank in its name."""
    assert _sums(_build(tmp_path / "at another place")) == _sums(built)
    lines = (built / "SHA256SUMS").read_text().splitlines()
    named = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert named == {name: hash_ for name, hash_ in _sums(built).items() if name != "SHA256SUMS"}


def test_the_bill_of_materials_names_all_that_is_installed(built: Path) -> None:
    (path,) = built.glob("*.cdx.json")
    bom = json.loads(path.read_text())
    locked = (_ROOT / "requirements" / "tool.txt").read_text().splitlines()
    names = {line.partition("==")[0] for line in locked if "==" in line}
    assert {part["name"] for part in bom["components"]} == names
    assert bom["metadata"]["component"]["version"]


def _tell(folder: Path, command: str, path: str) -> str:
    done = subprocess.run(
        ["bash"],
        input=_STORY.format(command=command),
        cwd=folder,
        env={"HOME": str(folder), "PATH": path, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _without_tools() -> str:
    tools = Path(sys.executable).parent
    path = [part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != tools]
    return os.pathsep.join(path)


def _is_told(shown: str) -> bool:
    first, _, rest = shown.partition("Plan: 1 to add, 0 to change, 0 to destroy.")
    return "wrote  Makefile" in first and "No changes." in rest.rpartition("Apply complete!")[2]


def test_the_wheel_in_an_empty_environment(built: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "empty"], check=True)
    tools = tmp_path / "empty" / "bin"
    (wheel,) = built.glob("*.whl")
    install = [tools / "pip", "install", "--quiet", "--disable-pip-version-check", wheel]
    subprocess.run(install, check=True, timeout=_SECONDS, capture_output=True)
    assert _is_told(_tell(tmp_path, "reconciler", f"{tools}{os.pathsep}{_without_tools()}"))
    shutil.rmtree(tmp_path / "fleet")
    # Not on the PATH, it still says how it is run.
    assert _is_told(_tell(tmp_path, str(tools / "reconciler"), _without_tools()))
    pages = {path.name for path in (tools.parent / "share" / "man" / "man1").iterdir()}
    assert {"reconciler.1", "reconciler-plan.1"} <= pages


def test_the_zipapp(built: Path, tmp_path: Path) -> None:
    shutil.copy2(built / "reconciler.pyz", tmp_path)
    python = shutil.which("python3", path=_without_tools()) or sys.executable
    assert _is_told(_tell(tmp_path, f"{python} {tmp_path}/reconciler.pyz", _without_tools()))
