"""Laws of moving: for any tree of defaults, what is moved says the same, and so does all else."""

import json
import os
import tempfile
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.model import canonical
from reconciler.usecases.load import Sources, load_fleet
from reconciler.usecases.move import find_move, move

from build import SCHEMAS

FOLDERS = ["a", "a/b", "a/b/c", "d"]
HEAD = {"apiVersion": "reconciler/v1"}
REQUIRED = {"name": "A", "billing_plancode": "UBM - A/A", "hostname": "mx.example.com"}
REFUSED = st.just({"inherit": False})
IDS = st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True).map(
    lambda ids: [{"id": number} for number in ids]
)
VALUES = {
    "port": st.integers(1, 3) | REFUSED,
    "note": st.sampled_from(["", "x", "on"]) | st.just({"secretRef": {"env": "NOTE"}}) | REFUSED,
    "locations": IDS | IDS.map(lambda ids: {"append": ids}) | REFUSED,
}
FIELDS = st.fixed_dictionaries({}, optional=VALUES)

SOURCES = Sources(("monitors",))


class Tree(NamedTuple):
    """Defaults by folder, and the fields of the manifests of each."""

    given: dict[str, dict[str, Any]]
    manifests: dict[str, list[dict[str, Any]]]


TREES = st.builds(
    Tree,
    st.dictionaries(st.sampled_from(["", *FOLDERS]), FIELDS.filter(bool)),
    st.dictionaries(st.sampled_from(FOLDERS), st.lists(FIELDS, min_size=1, max_size=2), min_size=1),
)


def write(tree: Tree) -> None:
    """The tree below `monitors`, whose every list has a default that it can be added to."""
    given = {**tree.given, "": {"locations": [{"id": 9}], **tree.given.get("", {})}}
    if not isinstance(given[""]["locations"], list):
        given[""]["locations"] = [{"id": 9}]
    for folder in ["", *FOLDERS]:
        Path("monitors", folder).mkdir(parents=True, exist_ok=True)
    for folder, spec in given.items():
        text = json.dumps({**HEAD, "kind": "Defaults", "spec": spec})
        Path("monitors", folder, "_defaults.yaml").write_text(text)
    for folder, specs in tree.manifests.items():
        documents = (
            json.dumps(
                {
                    **HEAD,
                    "kind": "email-smtp",
                    "metadata": {"name": f"{folder.replace('/', '-')}-{number}"},
                    "spec": {**REQUIRED, **_writable(spec, given)},
                }
            )
            for number, spec in enumerate(specs)
        )
        Path("monitors", folder, "all.yaml").write_text("\n---\n".join(documents))


def _writable(spec: dict[str, Any], given: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The fields, without what adds to a default that a nearer folder may refuse."""
    refuses = any(item.get("locations") == {"inherit": False} for item in given.values())
    if refuses and "append" in spec.get("locations", {}):
        return {name: value for name, value in spec.items() if name != "locations"}
    return spec


def said() -> dict[str, str]:
    fleet = load_fleet(["monitors"], SCHEMAS)
    return {
        item.address: canonical({**item.fields, **item.secrets})
        for item in fleet.by_address.values()
    }


@settings(max_examples=120)
@given(TREES, st.sampled_from(FOLDERS), st.sampled_from(["folder", "file"]), st.data())
def test_what_is_moved_says_the_same(
    tree: Tree, target: str, whole: str, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        write(tree)
        before = said()
        source = data.draw(st.sampled_from(sorted(tree.manifests)))
        if whole == "folder":
            plan = find_move([f"monitors/{source}"], "monitors/new/", SOURCES, SCHEMAS)
        else:
            path = f"monitors/{source}/all.yaml"
            plan = find_move([path], f"monitors/{target}/other.yaml", SOURCES, SCHEMAS)
        move(plan._replace(steps=()), lambda _: nullcontext())
        assert said() == before  # as if the run were killed before the first file is moved
        move(plan._replace(edits={}), lambda _: nullcontext())
        assert said() == before
        for path, new in plan.files.items():
            assert not os.path.lexists(path)
            assert Path(new).is_file()
