"""Laws of defaults: for any tree of them, each value is that of the nearest definition."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.model import Desired
from reconciler.usecases.load import load_fleet

from build import SCHEMAS

KINDS = sorted(SCHEMAS.kinds)
FOLDERS = ["", "a", "a/b", "a/b/c", "a/d", "e"]
REQUIRED = {
    "billing_plancode": "UBM - A/A",
    "hostname": "mx.example.com",
    "smtp_hostname": "smtp.example.com",
    "pop3_hostname": "pop.example.com",
    "email": "probe@example.com",
}
# An interval is longer than any timeout, as a round trip demands.
VALUES = {
    "port": st.integers(1, 9),
    "interval": st.integers(60, 69),
    "timeout": st.integers(1, 9),
    "enabled": st.booleans(),
    "note": st.sampled_from(["", "x", "ü"]) | st.just({"secretRef": {"env": "NOTE"}}),
    "locations": st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True).map(
        lambda ids: [{"id": number} for number in ids]
    ),
    "email": st.sampled_from(["a@example.com", "b@example.com"]),
}
FIELDS = st.fixed_dictionaries({}, optional=VALUES)


class Given(NamedTuple):
    """One Defaults document."""

    folder: str
    kinds: tuple[str, ...]
    spec: dict[str, Any]


class Manifest(NamedTuple):
    """One manifest; its number is its name and its file's."""

    folder: str
    kind: str
    spec: dict[str, Any]


class Tree(NamedTuple):
    """A workspace without findings."""

    given: list[Given]
    manifests: list[Manifest]


def knows(kind: str, field: str) -> bool:
    return field in SCHEMAS.kinds[kind].fields


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Defaults of which no two of a folder contradict each other, and manifests."""
    given: list[Given] = []
    taken: set[tuple[str, str, str]] = set()
    for folder in draw(st.lists(st.sampled_from(FOLDERS), max_size=8)):
        kinds = tuple(draw(st.lists(st.sampled_from(KINDS), max_size=3, unique=True)))
        spec = {}
        for field, value in draw(FIELDS).items():
            places = {(folder, kind, field) for kind in kinds or KINDS if knows(kind, field)}
            if places and places.isdisjoint(taken):
                taken |= places
                spec[field] = value
        if spec:
            given.append(Given(folder, kinds, spec))
    manifests = []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(KINDS))
        required = {field: value for field, value in REQUIRED.items() if knows(kind, field)}
        own = {field: value for field, value in draw(FIELDS).items() if knows(kind, field)}
        manifests.append(Manifest(draw(st.sampled_from(FOLDERS)), kind, required | own))
    return Tree(given, manifests)


def merged(tree: Tree, manifest: Manifest) -> dict[str, Any]:
    """What a manifest says, found out in the most simple way: from the top down."""
    parts = manifest.folder.split("/") if manifest.folder else []
    found: dict[str, Any] = {}
    for depth in range(len(parts) + 1):
        for item in tree.given:
            if item.folder == "/".join(parts[:depth]) and manifest.kind in (item.kinds or KINDS):
                found |= {
                    field: value
                    for field, value in item.spec.items()
                    if knows(manifest.kind, field)
                }
    return found | manifest.spec


@contextmanager
def written(tree: Tree, order: Any = None) -> Iterator[Path]:
    """The tree on disk; an order spreads the documents over both names in any way."""
    documents: dict[Path, list[Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / ".git").mkdir()  # so that nothing above it counts
        given = list(tree.given)
        if order is not None:
            order.shuffle(given)
        for item in given:
            name = order.choice(["_defaults.yaml", "_defaults.yml"]) if order else "_defaults.yaml"
            applies_to = {"appliesTo": list(item.kinds)} if item.kinds else {}
            value = {"apiVersion": "reconciler/v1", "kind": "Defaults", **applies_to}
            documents.setdefault(root / item.folder / name, []).append(value | {"spec": item.spec})
        for number, manifest in enumerate(tree.manifests):
            documents[root / manifest.folder / f"m{number}.yaml"] = [
                {
                    "apiVersion": "reconciler/v1",
                    "kind": manifest.kind,
                    "metadata": {"name": f"m{number}"},
                    "spec": {"name": f"Monitor {number}", **manifest.spec},
                }
            ]
        for path, values in documents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n---\n".join(map(json.dumps, values)))
        yield root


def loaded(*paths: Path) -> dict[str, Desired]:
    return {item.name: item for item in load_fleet(list(map(str, paths)), SCHEMAS).desired}


def said(item: Desired) -> str:
    """What is planned with, spelled so that true is not 1."""
    return json.dumps([dict(item.fields), dict(item.secrets)], sort_keys=True)


@given(trees())
@settings(max_examples=60)
def test_each_value_is_that_of_the_nearest_definition(tree: Tree) -> None:
    with written(tree) as root:
        found = loaded(root)
        assert len(found) == len(tree.manifests)
        for number, manifest in enumerate(tree.manifests):
            item = found[f"m{number}"]
            expected = {"name": f"Monitor {number}", **merged(tree, manifest)}
            values = {**item.fields, **item.secrets}
            assert json.dumps(values, sort_keys=True) == json.dumps(expected, sort_keys=True)
            assert item.inherited.keys() == expected.keys() - manifest.spec.keys() - {"name"}
            for field, origin in item.inherited.items():
                text = Path(origin.path).read_text().split("\n---\n")[origin.document]
                assert json.loads(text)["spec"][field] == expected[field]


@given(trees(), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_the_order_of_files_and_documents_changes_nothing(tree: Tree, order: Any) -> None:
    with written(tree) as root, written(tree, order) as other:
        found = loaded(root)
        assert {name: said(item) for name, item in loaded(other).items()} == {
            name: said(item) for name, item in found.items()
        }
        paths = [
            root / item.folder / f"m{number}.yaml" for number, item in enumerate(tree.manifests)
        ]
        order.shuffle(paths)
        assert loaded(*paths) == found


@given(trees())
@settings(max_examples=40)
def test_a_file_alone_says_what_it_says_among_the_others(tree: Tree) -> None:
    with written(tree) as root:
        found = loaded(root)
        for number, manifest in enumerate(tree.manifests):
            alone = loaded(root / manifest.folder / f"m{number}.yaml")
            assert alone == {f"m{number}": found[f"m{number}"]}
