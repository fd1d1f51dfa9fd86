"""Comments for the tool: found wherever YAML has a comment, and nowhere else."""

from pathlib import Path

import pytest

from reconciler.manifests.directives import Directive, comments


def found(tmp_path: Path, text: str | bytes) -> list[Directive]:
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return comments(str(path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1 # reconciler: disable=x", Directive(1, 6, "disable=x", is_alone=False)),
        ("a: 1\t#reconciler:disable=x  \n", Directive(1, 6, "disable=x", is_alone=False)),
        ("\ufeffa: 1 # reconciler: x", Directive(1, 6, "x", is_alone=False)),
        ("a: 1\r\n# reconciler: x\r\n", Directive(2, 1, "x", is_alone=True)),
        ("a: 1\r  # reconciler: x", Directive(2, 3, "x", is_alone=True)),
        ("a: # note # reconciler: x", Directive(1, 11, "x", is_alone=False)),
        ("a: 'ü' # reconciler: x", Directive(1, 8, "x", is_alone=False)),
        ("a: 'it # is' # reconciler: x", Directive(1, 14, "x", is_alone=False)),
        ("a: | # reconciler: x\n  text # reconciler: y\n", Directive(1, 6, "x", is_alone=False)),
        ("a: >-\n  # reconciler: y\n# reconciler: x\n", Directive(3, 1, "x", is_alone=True)),
        ("a: [1, # reconciler: x\n  2]", Directive(1, 8, "x", is_alone=False)),
    ],
)
def test_comments_are_found(tmp_path: Path, text: str, expected: Directive) -> None:
    assert found(tmp_path, text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "a: 1 # other: disable=x",
        "a: 1# reconciler: x",
        "a: '# reconciler: x'",
        'a: "b # reconciler: x\n  # reconciler: y"',
        "a: |\n  # reconciler: x\n  b # reconciler: y\n",
        "'a # reconciler: x': 1",
        "reconciler: 1",
        b"a: 1 # reconciler: \xff",
    ],
)
def test_what_stands_in_a_value_or_is_no_text_is_not_found(
    tmp_path: Path, text: str | bytes
) -> None:
    assert found(tmp_path, text) == []


def test_a_file_that_was_spoilt_meanwhile_breaks_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, "a: [1 # reconciler: x") == [Directive(1, 7, "x", is_alone=False)]


def test_a_file_that_is_gone_has_none(tmp_path: Path) -> None:
    assert comments(str(tmp_path / "gone.yaml")) == []
