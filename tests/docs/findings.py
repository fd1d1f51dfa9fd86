"""The codes of findings that the code has, found where they are made.

A code is a text in the call that makes the finding. So each such call is looked up, and the text is
followed to where it is written: in the call itself, in a constant, in a variable of the function,
in what another function returns, or in the calls of the function it is a parameter of. What cannot
be followed fails, so that no code is missed.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from reconciler.core.lint.codes import CODES

from docs.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAKERS = ("Diagnostic", "Problem", "BadReference")
"""The classes of findings, each with the code as its second value."""


def finding_codes() -> frozenset[str]:
    """The codes of all findings but those of lint, which has a list of its own."""
    modules = (it for it in _modules() if not it.name.startswith("core/lint/"))
    return frozenset(code for it in modules for code in it.codes()) - CODES.keys()


class _Module(NamedTuple):
    """The syntax of a module, by its path below the package."""

    name: str
    tree: ast.Module

    def codes(self) -> Iterator[str]:
        """The codes in all calls that make a finding."""
        for call, within in self._calls():
            if _called(call) in _MAKERS:
                yield from self._texts(call.args[1], within)

    def _calls(self) -> Iterator[tuple[ast.Call, ast.FunctionDef | None]]:
        """All calls, each with the function around it."""
        yield from _within(self.tree, None)

    def _texts(self, node: ast.expr, within: ast.FunctionDef | None) -> Iterator[str]:
        """What a code can be."""
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.Attribute(attr="code"):
                return  # that of another finding, which is looked up where that is made
            case ast.Name(id=name) if within is not None and name in _parameters(within):
                yield from self._given(within, name)
            case ast.Name(id=name) if within is not None and (found := _assigned(within, name)):
                for value, index in found:
                    yield from self._value(value, index, within)
            case ast.Name(id=name):
                yield from self._texts(_constant(name), None)
            case _:
                raise AssertionError(f"{self._place(node)}: which code is {ast.unparse(node)}?")

    def _value(self, value: ast.expr, index: int | None, within: ast.FunctionDef) -> Iterator[str]:
        """A value that is assigned; with an index, one of several that a function returns."""
        if index is None:
            yield from self._texts(value, within)
        elif isinstance(value, ast.Tuple):
            yield from self._texts(value.elts[index], within)
        else:
            assert isinstance(value, ast.Call), self._place(value)
            assert isinstance(value.func, ast.Name), self._place(value)
            function = self._function(value.func.id)
            for node in ast.walk(function):
                if isinstance(node, ast.Return):
                    assert isinstance(node.value, ast.Tuple), self._place(node)
                    yield from self._texts(node.value.elts[index], function)

    def _given(self, function: ast.FunctionDef, parameter: str) -> Iterator[str]:
        """What the calls of a function in its module hand to a parameter."""
        index = _parameters(function).index(parameter)
        calls = [(it, within) for it, within in self._calls() if _called(it) == function.name]
        assert calls, self._place(function)
        for call, within in calls:
            is_method = isinstance(call.func, ast.Attribute)
            yield from self._texts(call.args[index - is_method], within)

    def _function(self, name: str) -> ast.FunctionDef:
        (found,) = (
            node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.FunctionDef) and node.name == name
        )
        return found

    def _place(self, node: ast.AST) -> str:
        return f"{self.name}:{getattr(node, 'lineno', 0)}"


@cache
def _modules() -> tuple[_Module, ...]:
    """The modules that make findings, and that of the codes which have a name."""
    package = ROOT / "reconciler"
    texts = {
        path.relative_to(package).as_posix(): path.read_text() for path in package.rglob("*.py")
    }
    return tuple(
        _Module(name, ast.parse(text))
        for name, text in sorted(texts.items())
        if name == "core/lint/codes.py" or any(f"{maker}(" in text for maker in _MAKERS)
    )


def _within(
    node: ast.AST, function: ast.FunctionDef | None
) -> Iterator[tuple[ast.Call, ast.FunctionDef | None]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, function
        yield from _within(child, child if isinstance(child, ast.FunctionDef) else function)


def _called(call: ast.Call) -> str:
    """The name of the function or method that is called."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _parameters(function: ast.FunctionDef) -> list[str]:
    return [item.arg for item in function.args.args]


def _assigned(function: ast.FunctionDef, name: str) -> list[tuple[ast.expr, int | None]]:
    """The values that a function gives a variable, with the index if it takes several at once."""
    found: list[tuple[ast.expr, int | None]] = []
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)]) if target == name:
                found.append((node.value, None))
            case ast.Assign(targets=[ast.Tuple(elts=parts)]):
                names = [part.id if isinstance(part, ast.Name) else "" for part in parts]
                found += [(node.value, names.index(name))] if name in names else []
    return found


def _constant(name: str) -> ast.expr:
    """The value of a constant, which has one name in the whole package."""
    found = [
        node.value
        for module in _modules()
        for node in module.tree.body
        if isinstance(node, ast.Assign)
        if isinstance(node.targets[0], ast.Name) and node.targets[0].id == name
    ]
    assert len(found) == 1, name
    return found[0]
