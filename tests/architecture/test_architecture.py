"""The layers of ARCHITECTURE.md, enforced on every run."""

import ast
import sys
from pathlib import Path

import grimp
import pytest

PACKAGE = Path(__file__).parents[2] / "reconciler"

# Highest first. A module imports only from layers below its own; siblings do not know each other.
LAYERS: list[set[str]] = [
    {"cli"},
    {"workflow"},
    {"recorder"},
    {"known"},
    {"manifest", "schema", "secrets", "store", "alertsite", "render", "executor"},
    {"saved_plan"},
    {"result"},
    {"decide", "drift", "importing", "lint", "probe", "why"},
    {"budget", "retire"},
    {"situation"},
    {"pending"},
    {"plan"},
    {"diff", "fields", "rules", "secret_rules", "state"},
    {"mask"},
    {"durable", "generation", "model"},
    {"clock", "errors", "file_content", "json_text", "limits", "printable", "redactor", "stop"},
]
ENTRY, SANDBOX = "reconciler.__main__", "reconciler.sandbox"
PURE = [
    "errors",
    "generation",
    "json_text",
    "printable",
    "model",
    "redactor",
    "mask",
    "diff",
    "state",
    "rules",
    "fields",
    "budget",
    "pending",
    "plan",
    "situation",
    "retire",
    "decide",
    "drift",
    "importing",
    "lint",
    "probe",
    "why",
    "result",
    "saved_plan",
    "render",
]
# What deciding may import beside the project: no I/O, clock, environment or chance.
PURE_IMPORTS = {
    "__future__",
    "binascii",
    "collections",
    "deepdiff",
    "enum",
    "fnmatch",
    "hashlib",
    "html",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "string",
    "typing",
    "unicodedata",
    "urllib",
}
IMPORTERS = {
    "_ruamel_yaml": "manifest",
    "click": "cli",
    "deepdiff": "diff",
    "httpcore": "alertsite",
    "httpx": "alertsite",
    "jsonschema": "schema",
    "jsonschema_rs": "schema",
    "obstore": "store",
    "ruamel": "manifest",
    "starlette": "sandbox",
    "tenacity": "alertsite",
    "uvicorn": "sandbox",
}
FORBIDDEN_NAMES = {"base", "common", "helpers", "manager", "utils"}

GRAPH = grimp.build_graph("reconciler", include_external_packages=True, cache_dir=None)


def modules(part: str) -> set[str]:
    name = f"reconciler.{part}"
    return {name} | GRAPH.find_descendants(name)


def illegal(layers: list[set[str]]) -> set[tuple[str, str]]:
    ordered = [grimp.Layer(*sorted(layer), independent=True) for layer in layers]
    broken = GRAPH.find_illegal_dependencies_for_layers(ordered, containers={"reconciler"})
    return {(dependency.importer, dependency.imported) for dependency in broken}


def test_modules_import_from_lower_layers_only() -> None:
    assert illegal(LAYERS) == set()


def test_the_layers_would_be_missed() -> None:
    assert ("reconciler.plan", "reconciler.diff") in illegal(LAYERS[::-1])


def test_every_module_has_a_layer() -> None:
    known = {part for layer in LAYERS for part in layer} | {"__main__", "sandbox"}
    children = {name.rpartition(".")[2] for name in GRAPH.find_children("reconciler")}
    assert children == known


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
    assert importers == {"reconciler.cli.connection"}


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
def test_each_third_party_package_has_one_importer(package: str, part: str) -> None:
    assert package in GRAPH.modules
    importers = GRAPH.find_modules_that_directly_import(package)
    assert importers
    assert importers <= modules(part)


def test_nothing_but_the_listed_packages_is_imported() -> None:
    outside = {name for name in GRAPH.modules if not name.startswith("reconciler")}
    third_party = outside - set(sys.stdlib_module_names) - {"__future__"}
    assert third_party - {"anyio"} == set(IMPORTERS)


def test_modules_are_well_named() -> None:
    assert {path.stem for path in PACKAGE.rglob("*.py")}.isdisjoint(FORBIDDEN_NAMES)


def test_only_where_a_run_must_survive_a_bug_is_every_error_caught() -> None:
    catchers = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and isinstance(node.type, ast.Name)
        and node.type.id in {"ReconcilerError", "Exception", "BaseException"}
    }
    assert catchers <= {"cli", "executor.py", "sandbox", "secrets.py", "workflow"}


_WRITING = {"write_text", "write_bytes", "mkstemp", "NamedTemporaryFile", "hardlink_to", "fsync"}
_WRITERS = {"durable.py": _WRITING, "store/journal.py": {"fsync"}}


def _written_by(tree: ast.AST) -> set[str]:
    """What in a module writes files."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)} & _WRITING
    for call in calls:
        is_open = "open" in {getattr(call.func, "attr", ""), getattr(call.func, "id", "")}
        modes = {item.value for item in call.args if isinstance(item, ast.Constant)}
        if is_open and any(isinstance(mode, str) and {*mode} & {*"wxa"} for mode in modes):
            names.add("open")
    return names


def test_files_are_written_by_one_module() -> None:
    for path in PACKAGE.rglob("*.py"):
        name = str(path.relative_to(PACKAGE))
        if name.startswith("sandbox/") or name == "cli/output.py":  # its log · /dev/null
            continue
        assert _written_by(ast.parse(path.read_text())) <= _WRITERS.get(name, set()), name
