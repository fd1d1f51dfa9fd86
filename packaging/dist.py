"""Builds all that a release has, so that the same commit gives the same bytes: make dist.

Nothing here may depend on the time, the machine or the folder: times are those of the commit, the
order is that of names, and what pip notes about where it installed from is taken out.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
BUILD = ROOT / "build"
NAME = "alertsite-reconciler"
_NOTES = ("direct_url.json", "REQUESTED")
"""Files in which pip notes from where, and by whose wish, it installed."""


def main() -> None:
    """Builds into `dist/`, which then holds nothing else."""
    for folder in (DIST, BUILD):
        shutil.rmtree(folder, ignore_errors=True)
    DIST.mkdir()
    os.environ.setdefault("SOURCE_DATE_EPOCH", _commit_time())
    _python("packaging/man.py", str(BUILD / "man"))
    _python("-m", "hatchling", "build", "--directory", str(DIST))
    (wheel,) = DIST.glob("*.whl")
    version = wheel.name.split("-")[1]
    _build_zipapp(wheel, DIST / "reconciler.pyz")
    _write_sbom(DIST / f"{NAME}-{version}.cdx.json", version)
    built = sorted(DIST.iterdir())
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in built]
    (DIST / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    print("".join(lines), end="")


def _write_sbom(target: Path, version: str) -> None:
    """What the tool depends on, by the lock; the generator does not know the tool's version."""
    _python(
        *("-m", "cyclonedx_py", "requirements", "requirements/tool.txt"),
        *("--pyproject", "pyproject.toml", "--mc-type", "application"),
        *("--output-reproducible", "--spec-version", "1.6"),
        *("--output-file", str(target)),
    )
    bom = json.loads(target.read_text(encoding="utf-8"))
    tool = bom["metadata"]["component"]
    tool["version"] = version
    tool["purl"] = f"pkg:pypi/{NAME}@{version}"
    for item in bom["dependencies"]:
        if item["ref"] == tool["bom-ref"]:
            item["dependsOn"] = [part["bom-ref"] for part in bom["components"]]
    target.write_text(json.dumps(bom, indent=2) + "\n", encoding="utf-8")


def _commit_time() -> str:
    """Seconds of the commit; of the format of zip where there is none, as in an sdist."""
    if not (ROOT / ".git").exists():
        return "315532800"
    command = ["git", "log", "-1", "--format=%ct"]
    return subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def _build_zipapp(wheel: Path, target: Path) -> None:
    """One file with the tool and what it depends on, for this Python and this platform."""
    site = BUILD / "site"
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
    into = ("--no-deps", "--target", str(site))
    _python(*pip, *into, "--require-hashes", "--requirement", "requirements/tool.txt")
    _python(*pip, *into, str(wheel))
    shutil.rmtree(site / "bin")  # scripts that name the Python of this machine
    for record in site.glob("*.dist-info/RECORD"):
        for name in _NOTES:
            (record.parent / name).unlink(missing_ok=True)
        dropped = ("../../bin/", *(f"{record.parent.name}/{name}" for name in _NOTES))
        lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = sorted(line for line in lines if not line.startswith(dropped))
        record.write_text("".join(kept), encoding="utf-8")
    _python(
        *("-m", "shiv", "--site-packages", str(site), "--entry-point", "reconciler.__main__:main"),
        *("--python", "/usr/bin/env python3", "--compressed", "--reproducible"),
        *("--output-file", str(target)),
    )


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
