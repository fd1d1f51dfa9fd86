import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import ConfigurationError
from reconciler.manifests import Parser, write
from reconciler.manifests.editor import insert_ids
from reconciler.manifests.edits import NotEditableError

SAMPLE = """\
# yaml-language-server: $schema=../schemas/email-smtp.schema.json
apiVersion: reconciler/v1
kind: email-smtp
metadata:
  name: prod-relay # the pair
  # for selecting
  labels: {team: mail-core}
spec:
  name: Production
"""

# What stands before, and what stands after the id 7 was written into the only document.
EDITS = {
    "the sample": (SAMPLE, SAMPLE.replace("the pair\n", "the pair\n  id: 7\n")),
    "no last line break": ("metadata:\n  name: x", "metadata:\n  name: x\n  id: 7"),
    "only blanks behind": ("metadata:\n  name: x  ", "metadata:\n  name: x  \n  id: 7"),
    "CRLF": ("metadata:\r\n  name: x\r\na: 1\r\n", "metadata:\r\n  name: x\r\n  id: 7\r\na: 1\r\n"),
    "CRLF to the end": ("metadata:\r\n  name: x", "metadata:\r\n  name: x\r\n  id: 7"),
    "byte order mark": ("\ufeffmetadata:\n name: x\n", "\ufeffmetadata:\n name: x\n id: 7\n"),
    "beyond the first plane": (
        "a: é\U0001f600\nmetadata:\n  name: x\n",
        "a: é\U0001f600\nmetadata:\n  name: x\n  id: 7\n",
    ),
    "name in the middle": (
        "metadata:\n    labels: {}\n    name: x\n    a: 1\n",
        "metadata:\n    labels: {}\n    name: x\n    id: 7\n    a: 1\n",
    ),
    "name elsewhere": (
        "spec: {name: a}\nmetadata:\n  labels:\n    name: b\n  name: x\nname: c\n",
        "spec: {name: a}\nmetadata:\n  labels:\n    name: b\n  name: x\n  id: 7\nname: c\n",
    ),
    "metadata elsewhere": (
        "spec: [{metadata: {name: a}}]\nmetadata:\n  name: x\n",
        "spec: [{metadata: {name: a}}]\nmetadata:\n  name: x\n  id: 7\n",
    ),
    "name on the next line": (
        "metadata:\n  name:\n    x\n  a: 1\n",
        "metadata:\n  name:\n    x\n  id: 7\n  a: 1\n",
    ),
    "block scalar": (
        "metadata:\n  a: 1\n  name: |-\n    x\n\n  b: 1\n",
        "metadata:\n  a: 1\n  name: |-\n    x\n  id: 7\n\n  b: 1\n",
    ),
    "two lines": (
        'metadata:\n  name: "x\\\n    y"\n',
        'metadata:\n  name: "x\\\n    y"\n  id: 7\n',
    ),
    "two lines in a compact mapping": (
        "? metadata\n: name: 'x\n    y'\n",
        "? metadata\n: name: 'x\n    y'\n  id: 7\n",
    ),
    "compact mapping": ("? metadata\n: name: x\n", "? metadata\n: name: x\n  id: 7\n"),
    "block scalar in a compact mapping": (
        "? metadata\n: name: >-\n    x\n  a: 1\n",
        "? metadata\n: name: >-\n    x\n  id: 7\n  a: 1\n",
    ),
    "explicit key": (
        "metadata:\n  ? name\n  : x\n  ? a\n",
        "metadata:\n  ? name\n  : x\n  id: 7\n  ? a\n",
    ),
    "explicit key of a block scalar": (
        "metadata:\n  ? name\n  : >-\n    x\n",
        "metadata:\n  ? name\n  : >-\n    x\n  id: 7\n",
    ),
    "anchors, tags and aliases": (
        "a: &a x\nmetadata: &m !!map\n  &n name: *a\nb: *n\n",
        "a: &a x\nmetadata: &m !!map\n  &n name: *a\n  id: 7\nb: *n\n",
    ),
    "flow": ("metadata: {name: x}\n", "metadata: {name: x, id: 7}\n"),
    "flow with more": ("metadata: { name : x , a: 1 }", "metadata: { name : x, id: 7 , a: 1 }"),
    "flow on several lines": (
        "metadata: {\n  a: 1,\n  name: 'x' # the name\n}\n",
        "metadata: {\n  a: 1,\n  name: 'x', id: 7 # the name\n}\n",
    ),
    "flow with an alias": (
        "a: &a x\nmetadata: {name: *a}\n",
        "a: &a x\nmetadata: {name: *a, id: 7}\n",
    ),
    "JSON": (
        '{"metadata": {"name": "x", "labels": {}}}',
        '{"metadata": {"name": "x", "id": 7, "labels": {}}}',
    ),
    "document markers": (
        "%YAML 1.2\n--- # one\nmetadata:\n  name: x\n...\n",
        "%YAML 1.2\n--- # one\nmetadata:\n  name: x\n  id: 7\n...\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), EDITS.values(), ids=EDITS)
def test_an_id_is_written_beside_the_name(before: str, after: str) -> None:
    edited = insert_ids(before.encode(), {0: 7})
    assert edited.decode() == after
    documents, findings = Parser().parse("", edited)
    assert findings == []
    assert documents[0].value["metadata"]["id"] == 7


def test_empty_documents_count() -> None:
    text = "---\n---\nmetadata: {name: a}\n---\n# nothing\n---\nmetadata:\n  name: b\n"
    documents, _ = Parser().parse("", text.encode())
    assert [document.number for document in documents] == [1, 3]
    assert insert_ids(text.encode(), {3: 7}).decode() == f"{text}  id: 7\n"
    assert insert_ids(text.encode(), {1: 7}).decode() == text.replace("a}", "a, id: 7}")


REFUSED = {
    "no such document": ("metadata: {name: x}\n---\n", 2, "there is no metadata in the document"),
    "empty document": ("---\n---\nmetadata: {name: x}\n", 0, "there is no metadata"),
    "no metadata": ("a: 1\n", 0, "there is no metadata in the document"),
    "metadata that is a text": ("metadata: x\n", 0, "there is no metadata in the document"),
    "document that is a list": ("- metadata: {name: x}\n", 0, "there is no metadata"),
    "no name": ("metadata: {a: 1}\n", 0, "the key name is not a plain key"),
    "name behind an alias": (
        "a: &a name\nmetadata: {*a : x}\n",
        0,
        "the key name is not a plain key",
    ),
    "metadata behind an alias": (
        "a: &a metadata\nb: {c: [d]}\n*a : {name: x}\n",
        0,
        "metadata is not a plain mapping",
    ),
    "id": ("metadata: {name: x, id: 1}\n", 0, "metadata already has the key id"),
    "empty id": ("metadata:\n  name: x\n  id:\n", 0, "metadata already has the key id"),
    "merge": ("a: &a {}\nmetadata: {name: x, <<: *a}\n", 0, "metadata already has the key <<"),
    "alias": ("a: &a {name: x}\nmetadata: *a\n", 0, "metadata is not a plain mapping"),
    "alias of it": (
        "metadata: &a {name: x}\nb: *a\n",
        0,
        "the value is marked &a, and line 2 repeats it",
    ),
    "name twice": ("metadata: {name: x, name: y}\n", 0, "the file has findings"),
    "syntax": ("metadata: {name: x\n", 0, "the file has findings"),
}


@pytest.mark.parametrize(("text", "document", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_edited_is_refused(text: str, document: int, reason: str) -> None:
    with pytest.raises(NotEditableError) as caught:
        insert_ids(text.encode(), {document: 7})
    assert reason in str(caught.value)


def test_other_encodings_are_refused() -> None:
    with pytest.raises(NotEditableError, match="not UTF-8"):
        insert_ids("metadata: {name: é}".encode("latin-1"), {0: 7})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"old\r\n")
    return path


def test_a_file_is_replaced_and_keeps_its_mode(file: Path) -> None:
    file.chmod(0o640)
    before = file.stat().st_ino
    write(str(file), b"new\r\n", b"old\r\n")
    assert file.read_bytes() == b"new\r\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert file.stat().st_ino != before  # another file, whole before it took the name
    assert list(file.parent.iterdir()) == [file]


def test_a_link_stays_one(file: Path) -> None:
    folder = file.parent / "links"
    folder.mkdir()
    link = folder / "b.yaml"
    link.symlink_to("../a.yaml")
    write(str(link), b"new", b"old\r\n")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"
    assert list(folder.iterdir()) == [link]


def test_a_file_that_changed_is_left_alone(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="changed since it was read"):
        write(str(file), b"new", b"older\r\n")
    assert file.read_bytes() == b"old\r\n"
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_is_gone_stays_gone(file: Path) -> None:
    file.unlink()
    with pytest.raises(ConfigurationError) as caught:
        write(str(file), b"new", b"old\r\n")
    assert str(caught.value) == f"cannot write {file}: No such file or directory"
    assert list(file.parent.iterdir()) == []


def test_a_folder_or_a_pipe_is_no_file(file: Path) -> None:
    pipe = file.parent / "pipe"
    os.mkfifo(pipe)
    for path, reason in ((file.parent, "Is a directory"), (pipe, "not seekable")):
        with pytest.raises(ConfigurationError, match=reason):
            write(str(path), b"new", b"")


@pytest.fixture
def not_root() -> Iterator[Path]:
    """A file of an ordinary user, who the test then is: root may write everything."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder, "a.yaml")
        path.write_bytes(b"old\r\n")
        if is_root:
            os.chown(folder, 65534, 65534)
            os.chown(path, 65534, 65534)
            os.seteuid(65534)
        try:
            yield path
        finally:
            if is_root:
                os.seteuid(0)


def test_what_may_not_be_written_is_left_alone(not_root: Path) -> None:
    not_root.chmod(0o444)
    with pytest.raises(ConfigurationError, match="Permission denied"):
        write(str(not_root), b"new", b"old\r\n")
    not_root.chmod(0o644)
    not_root.parent.chmod(0o555)
    with pytest.raises(ConfigurationError, match="Permission denied"):
        write(str(not_root), b"new", b"old\r\n")
    not_root.parent.chmod(0o755)
    assert not_root.read_bytes() == b"old\r\n"
    assert list(not_root.parent.iterdir()) == [not_root]


def test_many_ids_are_written_at_once() -> None:
    text = "kind: a\nmetadata:\n  name: x\n"
    edited = insert_ids("---\n".join([text] * 3).encode(), {0: 7, 2: 9}).decode()
    assert edited == "---\n".join([f"{text}  id: 7\n", text, f"{text}  id: 9\n"])
