import os
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.model import Origin
from reconciler.errors import ConfigurationError, Diagnostic
from reconciler.manifests import Locator, Parser, find, read
from reconciler.manifests.parser import MAX_ALIASED_NODES, MAX_DEPTH


def parse(text: str | bytes) -> tuple[list[Any], list[Diagnostic]]:
    data = text.encode() if isinstance(text, str) else text
    documents, findings = Parser().parse("a.yaml", data)
    return [document.value for document in documents], findings


# The YAML 1.2 core schema (yaml.org/spec/1.2.2, 10.3.2), and what YAML 1.1 would have made of it.
SCALARS = {
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "nULL": "nULL",
    "true": True,
    "True": True,
    "TRUE": True,
    "tRUE": "tRUE",
    "false": False,
    "False": False,
    "FALSE": False,
    "yes": "yes",
    "No": "No",
    "on": "on",
    "off": "off",
    "0": 0,
    "-0": 0,
    "+12": 12,
    "010": 10,
    "08": 8,
    "0o17": 15,
    "0o8": "0o8",
    "0x1F": 31,
    "0xG": "0xG",
    "0b11": "0b11",
    "1_000": "1_000",
    "190:20:30": "190:20:30",
    "1.": 1.0,
    ".5": 0.5,
    "-1.5e3": -1500.0,
    "1e3": 1000.0,
    "1e": "1e",
    ".": ".",
    "1.2.3": "1.2.3",
    "2026-11-22": "2026-11-22",
    "2026-11-22T10:00:00Z": "2026-11-22T10:00:00Z",
    "=": "=",
    "<<": "<<",
    "'1'": "1",
    '"true"': "true",
    "!!str 1": "1",
    "!!int 1": 1,
    "!!float 1": 1.0,
    "!!bool true": True,
    "!!null ''": None,
    "|\n  1\n": "1\n",
    "123456789012345678901234567890": 123456789012345678901234567890,
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items(), ids=SCALARS)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    values, findings = parse(f"a: {text}")
    assert values == [{"a": value}]
    assert type(values[0]["a"]) is type(value)
    assert findings == []


FINDINGS = {
    "duplicate key": ("a: 1\nb: 2\na: 3\n", (3, 1), "duplicate-key"),
    "duplicate key deep inside": ("a:\n  b: 1\n  'b': 2\n", (3, 3), "duplicate-key"),
    "number as key": ("1: a\n", (1, 1), "key-not-string"),
    "truth as key": ("a:\n  true: 1\n", (2, 3), "key-not-string"),
    "null as key": ("? \n: 1\n", (1, 2), "key-not-string"),
    "list as key": ("? [a]\n: 1\n", (1, 3), "key-not-string"),
    "tagged number as key": ("!!int 1: a\n", (1, 1), "key-not-string"),
    "a tag for another shape": ("a: !!seq {b: 1}\n", (1, 4), "unknown-tag"),
    "unknown tag": ("a: !secret x\n", (1, 4), "unknown-tag"),
    "unknown tag on a mapping": ("a: !obj {b: 1}\n", (1, 4), "unknown-tag"),
    "tag that does not fit": ("a: !!int x\n", (1, 4), "bad-tag"),
    "not finite": ("a: .inf\n", (1, 4), "not-finite"),
    "not a number": ("a: .NaN\n", (1, 4), "not-finite"),
    "too large to be finite": ("a: 1e999\n", (1, 4), "not-finite"),
    "alias inside its anchor": ("a: &x [*x]\n", (1, 8), "recursive-alias"),
    "alias without anchor": ("a: *x\n", (1, 4), "unknown-alias"),
    "alias across documents": ("a: &x 1\n---\nb: *x\n", (3, 4), "unknown-alias"),
    "tab": ("a:\n\tb: 1\n", (2, 1), "tab"),
    "tab after spaces": ("a:\n  b: 1\n  \tc: 2\n", (3, 3), "tab"),
    "unclosed list": ("a: [1, 2", (1, 4), "syntax"),
    "unclosed list at the end": ("a: 1\nb: [\n", (2, 5), "syntax"),
    "nothing but an opening": ("[", (1, 2), "syntax"),
    "unclosed quote": ("a: 1\nb: 'x\n", (2, 4), "syntax"),
    "bad indentation": ("a: 1\n  b: 2\n", (2, 4), "syntax"),
    "control character": ("a: b\nc: \x00", (2, 4), "syntax"),
    "U+2028 in a comment": ("a: 1\n# x\u2028b: 2\n", (2, 4), "syntax"),
    "U+2029 in a comment": ("a: 1 # é\u2029b: 2\n", (1, 9), "syntax"),
    "U+0085 after a value": ("a: 1\x85b: 2\n", (1, 5), "syntax"),
    "a carriage return alone": ("# x\r\n# y\rb: 2\r\n", (2, 4), "syntax"),
    "U+2028 in quotes": ("a: 'x\u2028y'\n", (1, 6), "syntax"),
    "nesting in brackets": ("[" * 100_000, (1, MAX_DEPTH + 1), "syntax"),
    "nesting in braces": ("{a: " * 100_000, (1, 4 * MAX_DEPTH + 1), "syntax"),
    "nesting in dashes": ("- " * 100_000, (1, 2 * MAX_DEPTH + 1), "syntax"),
}


@pytest.mark.parametrize(("text", "place", "code"), FINDINGS.values(), ids=FINDINGS)
def test_findings_have_a_place_and_a_code(text: str, place: tuple[int, int], code: str) -> None:
    _, findings = parse(text)
    assert [(item.position.line, item.position.column, item.code) for item in findings] == [
        (*place, code)
    ]


@pytest.mark.parametrize("text", ["a: !hunter2 x\n", "a: *hunter2\n", "a: !!int hunter2\n"])
def test_no_message_shows_what_may_be_a_password(text: str) -> None:
    _, (finding,) = parse(text)
    assert "hunter2" not in str(finding)


def test_all_findings_of_a_file_are_found_at_once() -> None:
    values, findings = parse("a: 1\na: 2\nb: !x 1\n1: c\n---\nd: .inf\n")
    assert [item.code for item in findings] == [
        "duplicate-key",
        "unknown-tag",
        "key-not-string",
        "not-finite",
    ]
    assert values == [{"a": 1, "b": 1}, {"d": ".inf"}]


@pytest.mark.parametrize(
    ("text", "words"),
    {
        "a: [1\nb: 2\n": "a [ that is not closed, or a missing comma",
        "a: {b: 1\nc: 2\n": "a { that is not closed, or a missing comma",
        "a: 'x\nb: 2\n": "a quote that is not closed",
        "a:\n  b: 1\n c: 2\n": "a key is expected here; check the indentation and the quotes",
        "a: 1\n  b: 2\n": "a key that is indented further than the one before it",
        "a: b: c\n": 'a value that holds a colon and a space; quote it: "a: b"',
        "a: 1\nb\nc: 2\n": "a key here, or in the line before, has no colon after it",
        "a: @x\n": "a value that starts with @; quote it",
        "a: *.example.com\n": "a value that starts with * or &; quote it",
        "a: [1,,2]\n": "a value is missing here",
        'a: "\\q"\n': "a backslash in double quotes; use single quotes, or write it twice",
        "a: |x\n  y\n": "text after | or >; write it in the lines below, indented",
        "a: - b\n": "a list in the line of its key; write it in the lines below",
        "a: 1\n<<<<<<< HEAD\nb: 2\n=======\n": "a merge conflict that is not resolved",
    }.items(),
)
def test_a_syntax_error_is_said_in_words_of_ours(text: str, words: str) -> None:
    _, (finding,) = parse(text)
    assert finding.message == f"not YAML: {words}"


def test_documents_before_a_syntax_error_are_kept() -> None:
    values, findings = parse("a: 1\n---\nb: [\n")
    assert values == [{"a": 1}]
    assert [item.code for item in findings] == ["syntax"]


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    _, findings = parse("\n".join(lines))
    assert [item.code for item in findings] == ["syntax"]
    assert str(MAX_ALIASED_NODES) in findings[0].message


def test_aliases_repeat_values() -> None:
    text = "a: &x {b: [1]}\nc: *x\nd: &y text\ne: *y\n&k f: 1\n"
    assert parse(text) == (
        [{"a": {"b": [1]}, "c": {"b": [1]}, "d": "text", "e": "text", "f": 1}],
        [],
    )


def test_a_quoted_key_does_not_make_a_plain_one_good() -> None:
    parser = Parser()
    assert parser.parse("a.yaml", b'"1": a')[1] == []
    assert [item.code for item in parser.parse("b.yaml", b"1: a")[1]] == ["key-not-string"]


def test_documents_know_their_number_and_line() -> None:
    data = b"# comment\n---\n---\na: 1\n...\n---\n\nb: 2\n"
    documents, _ = Parser().parse("a.yaml", data)
    assert [(item.number, item.line, item.value) for item in documents] == [
        (1, 4, {"a": 1}),
        (2, 8, {"b": 2}),
    ]


@pytest.mark.parametrize("data", [b"", b"# only a comment\n", b"---\n", b"~\n"])
def test_empty_documents_are_no_manifests(data: bytes) -> None:
    assert parse(data) == ([], [])


def test_a_byte_order_mark_is_accepted() -> None:
    assert parse(b"\xef\xbb\xbfa: 1") == ([{"a": 1}], [])


class TestFind:
    def test_files_are_found_in_folders_and_sorted(self, tmp_path: Path) -> None:
        for name in ("b.yaml", "a.yml", "x/c.yaml", "README.md", ".d.yaml", ".git/e.yaml"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        names = [str(Path(path).relative_to(tmp_path)) for path in find([str(tmp_path)]).files]
        assert names == ["a.yml", "b.yaml", "x/c.yaml"]

    def test_a_named_file_is_taken_once_whatever_its_name(self, tmp_path: Path) -> None:
        file = tmp_path / "a.txt"
        file.touch()
        assert find([str(file), str(file)]).files == [str(file)]

    def test_links_to_folders_are_not_followed_and_that_is_said(self, tmp_path: Path) -> None:
        """Or what is behind them would be taken for deleted."""
        (tmp_path / "a.yaml").touch()
        (tmp_path / "loop").symlink_to(tmp_path)
        assert find([str(tmp_path)]).files == [str(tmp_path / "a.yaml"), str(tmp_path / "loop")]
        finding = read(str(tmp_path / "loop"))
        assert isinstance(finding, Diagnostic)
        assert "links to folders are not followed" in finding.message

    @pytest.mark.parametrize("make", [False, True], ids=["missing folder", "empty folder"])
    def test_nothing_to_read_is_an_error(self, tmp_path: Path, *, make: bool) -> None:
        folder = tmp_path / "monitors"
        if make:
            folder.mkdir()
        with pytest.raises(ConfigurationError, match=r"monitors: there (is|are) no") as caught:
            find([str(folder)])
        assert ("reconciler import" if make else "reconciler init") in caught.value.hint


class TestRead:
    def test_files_longer_than_one_read(self, tmp_path: Path) -> None:
        file = tmp_path / "a.yaml"
        file.write_bytes(b"#" * 200_000)
        assert read(str(file)) == b"#" * 200_000

    def test_too_large(self, tmp_path: Path) -> None:
        file = tmp_path / "a.yaml"
        with file.open("wb") as stream:
            stream.truncate(16 * 1024 * 1024 + 1)
        finding = read(str(file))
        assert isinstance(finding, Diagnostic)
        assert finding.code == "too-large"

    def test_not_utf_8_names_the_place(self, tmp_path: Path) -> None:
        file = tmp_path / "a.yaml"
        file.write_bytes("a: 1\nä: ".encode() + b"\xff\n")
        finding = read(str(file))
        assert isinstance(finding, Diagnostic)
        assert (finding.position.line, finding.position.column, finding.code) == (2, 4, "not-utf-8")

    def test_unreadable(self, tmp_path: Path) -> None:
        file = tmp_path / "a.yaml"
        file.symlink_to(tmp_path / "nowhere")
        finding = read(str(file))
        assert isinstance(finding, Diagnostic)
        assert (finding.code, finding.message) == (
            "unreadable",
            "cannot read the file: No such file or directory",
        )

    def test_a_pipe_does_not_block(self, tmp_path: Path) -> None:
        pipe = tmp_path / "a.yaml"
        os.mkfifo(pipe)
        finding = read(str(pipe))
        assert isinstance(finding, Diagnostic)
        assert finding.message == "cannot read the file: it is not a regular file"

    def test_a_pipe_that_more_may_come_through_is_not_taken_for_whole(self) -> None:
        reader, writer = os.pipe()
        try:
            os.write(writer, b"a: 1\n")
            finding = read(f"/dev/fd/{reader}")
        finally:
            os.close(reader)
            os.close(writer)
        assert isinstance(finding, Diagnostic)
        assert finding.message == "cannot read the file: it is not a regular file"


class TestLocator:
    TEXT = "a: 1\n---\n# comment\nspec:\n  port: 25\n  locations:\n    - id: 10\n    - {id: x}\n"

    @pytest.mark.parametrize(
        ("pointer", "of_key", "place"),
        [
            ((), False, (4, 1)),
            (("spec",), False, (5, 3)),
            (("spec",), True, (4, 1)),
            (("spec", "port"), False, (5, 9)),
            (("spec", "port"), True, (5, 3)),
            (("spec", "locations", 1, "id"), False, (8, 12)),
            (("spec", "nothing"), False, (5, 3)),
        ],
    )
    def test_places(
        self,
        tmp_path: Path,
        pointer: tuple[str | int, ...],
        place: tuple[int, int],
        *,
        of_key: bool,
    ) -> None:
        file = tmp_path / "a.yaml"
        file.write_text(self.TEXT)
        position = Locator().position(Origin(str(file), 1, 1), pointer, of_key=of_key)
        assert (position.line, position.column) == place

    def test_a_file_that_has_changed_is_named_all_the_same(self, tmp_path: Path) -> None:
        file = tmp_path / "a.yaml"
        file.write_text("a: [")
        position = Locator().position(Origin(str(file), 3, 1), ("a",))
        assert (position.path, position.line, position.column) == (str(file), 1, 1)
