"""What is generated from the code is as the code is now, and nothing of the code is left out."""

from __future__ import annotations

import re

import pytest

from reconciler.cli.config import OWN_VARIABLES
from reconciler.cli.formats import Subject, formats
from reconciler.core.decisions import Decision
from reconciler.core.lint.codes import UNASKED
from reconciler.core.plan import NoteCode
from reconciler.errors import ExitCode

from docs.codes import FINDINGS, NOTES, REFUSALS, WARNINGS
from docs.findings import finding_codes
from docs.pages import DOCS, ROOT, page
from docs.reference import ENVIRONMENT, FORMATS, OTHERS, llms, reference, schema


@pytest.mark.parametrize("path", [*reference(), "llms.txt"])
def test_it_is_up_to_date(path: str, request: pytest.FixtureRequest) -> None:
    """With --update-golden it is written."""
    expected = llms() if path == "llms.txt" else reference()[path]
    file = DOCS / path
    if request.config.getoption("--update-golden"):
        file.write_text(expected, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == expected


def test_each_variable_is_named() -> None:
    """Each that the code reads; some by a key of `reconciler.toml`."""
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "reconciler").rglob("*.py")
        if "sandbox" not in path.parts
    )
    found = set(re.findall(r"\b(?:ALERTSITE|RECONCILER)_[A-Z]+(?:_[A-Z]+)*\b(?!_)", code))
    keys = set(re.findall(r"`(\w+)` in `reconciler.toml`", "".join(ENVIRONMENT.values())))
    by_key = {f"RECONCILER_{key.upper()}" for key in keys}
    named = {name.removesuffix("_FILE") for name in found}
    assert set(ENVIRONMENT) == named | by_key
    assert set(OWN_VARIABLES) == {name for name in ENVIRONMENT if name.startswith("RECONCILER_")}


def test_each_variable_of_a_platform_is_named() -> None:
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "reconciler").rglob("*.py")
        if "sandbox" not in path.parts
    )
    of_others = "BUILD|CI|CLICOLOR|DASK|GITHUB|GITLAB|JOB"
    found = re.findall(rf'"((?:{of_others})_[A-Z0-9_]+)"', code)
    found += re.findall(r'environ\.get\(\s*"([A-Z0-9_]+)"', code)
    named = [*ENVIRONMENT, *", ".join(OTHERS).split(", ")]
    own_of_git = {"GIT_CONFIG_COUNT"}
    assert {it for it in found if not any(one.startswith(it) for one in named)} <= own_of_git


def test_each_variable_that_reaches_the_network_is_named() -> None:
    code = (ROOT / "reconciler" / "alertsite" / "session.py").read_text(encoding="utf-8")
    named = {one for names in OTHERS for one in names.split(", ")}
    found = set(re.findall(r"\b(?:[A-Z]+_PROXY|SSL_CERT_[A-Z]+)\b", code))
    assert found == {name for name in named if name.endswith("_PROXY") or "SSL_CERT" in name}


def test_each_format_is_explained() -> None:
    assert set(FORMATS) == {name for subject in Subject for name in formats(subject)}


def test_each_exit_code_is_in_the_table() -> None:
    rows = re.findall(
        r"^\| (\d+) \| .+ \|$", page("docs/reference/exit-codes.md").text, re.MULTILINE
    )
    assert [int(code) for code in rows] == [int(code) for code in ExitCode]


def test_each_code_of_a_finding_is_explained_once() -> None:
    errors = [code for found in FINDINGS.values() for code in found]
    assert sorted([*errors, *WARNINGS]) == sorted(finding_codes())
    assert WARNINGS.keys() == UNASKED


def test_each_code_of_a_plan_is_explained() -> None:
    """Each that the schema of a plan has, which names all that a plan may hold."""
    plan = schema("plan")["properties"]
    assert set(REFUSALS) == set(plan["refusals"]["items"]["properties"]["code"]["enum"])
    assert set(NOTES) == set(plan["notes"]["items"]["properties"]["code"]["enum"])
    assert set(NOTES) == set(NoteCode)
    decided = {word.partition(" ")[2] for word in Decision if word.startswith("refuse ")}
    assert decided <= set(REFUSALS)
