"""The house of ARCHITECTURE.md, enforced: floors, pure rooms, one importer for each package."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

PACKAGE = Path(__file__).parents[2] / "reconciler"

# Highest first. A room imports only from floors below its own; those of one floor are strangers.
FLOORS: list[set[str]] = [
    {"cli"},
    {"usecases"},
    {"state_session"},
    {"manifests", "schema", "secrets", "state_store", "alertsite", "render"},
    {"context", "durable"},
    {"core"},
    {"errors"},
]
ENTRY, SANDBOX = "reconciler.__main__", "reconciler.sandbox"
PURE = ["errors", "core", "render"]
# What deciding may import beside the project: no I/O, clock, environment or chance.
PURE_IMPORTS = {
    "__future__",
    "binascii",
    "bisect",
    "collections",
    "deepdiff",
    "difflib",
    "enum",
    "fnmatch",
    "functools",
    "hashlib",
    "html",
    "itertools",
    "jinja2",
    "json",
    "math",
    "operator",
    "posixpath",
    "re",
    "shlex",
    "string",
    "typing",
    "unicodedata",
    "urllib",
    "xml",
}
# The room that imports a package. httpx has two, since GitHub is another server with other rules
# than AlertSite, whose client would hide that; what serves pages has two, since the sandbox is a
# program of its own.
IMPORTERS = {
    "apprise": "cli.signals",
    "_ruamel_yaml": "manifests",
    "click": "cli",
    "deepdiff": "core",
    "distributed": "usecases.dask_executor",
    "httpcore": "alertsite",
    "httpx": "alertsite usecases.platforms",
    "jinja2": "render.html",
    "jsonschema": "schema",
    "jsonschema_rs": "schema",
    "obstore": "state_store",
    "opentelemetry": "cli.signals",
    "prometheus_client": "cli.signals",
    "ruamel": "manifests",
    "starlette": "sandbox cli.watch_server",
    "tenacity": "alertsite",
    "uvicorn": "sandbox cli.watch_server",
}
FORBIDDEN_NAMES = {"base", "common", "helpers", "manager", "utils"}

GRAPH = grimp.build_graph("reconciler", include_external_packages=True, cache_dir=None)


def modules(part: str) -> set[str]:
    name = f"reconciler.{part}"
    return {name} | GRAPH.find_descendants(name)


def illegal(floors: list[set[str]]) -> set[tuple[str, str]]:
    ordered = [grimp.Layer(*sorted(floor), independent=True) for floor in floors]
    broken = GRAPH.find_illegal_dependencies_for_layers(ordered, containers={"reconciler"})
    return {(dependency.importer, dependency.imported) for dependency in broken}


def test_rooms_import_from_lower_floors_only() -> None:
    assert illegal(FLOORS) == set()


def test_an_arrow_upwards_would_be_seen() -> None:
    assert ("reconciler.usecases", "reconciler.core") in illegal(FLOORS[::-1])


def test_every_room_has_a_floor() -> None:
    known = {room for floor in FLOORS for room in floor} | {"__main__", "sandbox"}
    children = {name.rpartition(".")[2] for name in GRAPH.find_children("reconciler")}
    assert children == known


@pytest.mark.parametrize("room", sorted({room for floor in FLOORS for room in floor}))
def test_no_room_has_a_circle(room: str) -> None:
    inside = modules(room)
    arrows = {
        module: GRAPH.find_modules_directly_imported_by(module) & inside - {module}
        for module in inside
    }
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {error.args[1]}")


def test_the_house_fits_on_one_screen() -> None:
    entries = {path.name for path in PACKAGE.iterdir()} - {"__pycache__"}
    assert len(entries) <= 17


def test_the_sandbox_imports_nothing_of_the_tool_and_only_the_cli_imports_it() -> None:
    imported = {
        target
        for module in modules("sandbox")
        for target in GRAPH.find_modules_directly_imported_by(module)
        if target.startswith("reconciler") and not target.startswith(SANDBOX)
    }
    importers = {
        source
        for module in modules("sandbox")
        for source in GRAPH.find_modules_that_directly_import(module)
        if not source.startswith(SANDBOX)
    }
    assert imported == set()
    assert importers == {"reconciler.cli.runtime"}


@pytest.mark.parametrize("part", PURE)
def test_deciding_and_rendering_are_pure(part: str) -> None:
    outside = {
        target.partition(".")[0]
        for module in modules(part)
        for target in GRAPH.find_modules_directly_imported_by(module)
        if not target.startswith("reconciler")
    }
    assert outside <= PURE_IMPORTS


@pytest.mark.parametrize(("package", "part"), IMPORTERS.items())
def test_each_third_party_package_has_its_importer(package: str, part: str) -> None:
    assert package in GRAPH.modules
    importers = GRAPH.find_modules_that_directly_import(package)
    assert importers
    rooms = [modules(room) for room in part.split()]
    assert importers <= set().union(*rooms)
    assert all(importers & room for room in rooms)


def test_nothing_but_the_listed_packages_is_imported() -> None:
    outside = {name for name in GRAPH.modules if not name.startswith("reconciler")}
    third_party = outside - set(sys.stdlib_module_names) - {"__future__"}
    assert third_party - {"anyio"} == set(IMPORTERS)


def test_modules_are_well_named() -> None:
    assert {path.stem for path in PACKAGE.rglob("*.py")}.isdisjoint(FORBIDDEN_NAMES)


def test_no_class_name_means_two_things() -> None:
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(path.relative_to(PACKAGE).as_posix())
    assert len(found) > 200
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_only_where_a_run_must_survive_a_bug_is_every_error_caught() -> None:
    catchers = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and isinstance(node.type, ast.Name)
        and node.type.id in {"ReconcilerError", "Exception", "BaseException"}
    }
    assert catchers <= {"cli", "sandbox", "secrets.py", "usecases"}


def test_help_imports_no_command() -> None:
    script = """
import subprocess
import sys
from reconciler.cli import run
assert run(["--help"]) == 0
print(sorted(name for name in sys.modules if name.startswith("reconciler.cli.")))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    last = done.stdout.splitlines()[-1]
    assert last == "['reconciler.cli.console', 'reconciler.cli.context']"
