"""Laws of pulling: whatever AlertSite did, the manifests then say it, and no other line changed."""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from reconciler.core.model import Live
from reconciler.core.planner import decide
from reconciler.core.state import Record, State
from reconciler.manifests.parser import BREAK
from reconciler.manifests.positions import Source, roots
from reconciler.secrets import Vault
from reconciler.usecases.load import load_fleet
from reconciler.usecases.plan import Planned, Workspace
from reconciler.usecases.pull import find_pull, write

from build import ACCOUNT, SCHEMAS

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30
) | st.sampled_from(
    [
        "yes",
        "587",
        "- x",
        "a: b",
        "a #b",
        "'q'",
        '"q"',
        "one\ntwo\n",
        " x\ny",
        "x\r\ny",
        "{a}",
        "null",
    ]
)
HOSTS = st.from_regex(re.compile(r"[a-z0-9:/.'#,{\[&*!-]{1,12}"), fullmatch=True)
NUMBERS = st.integers(1, 65535)
SETS = st.lists(st.integers(1, 60), min_size=1, max_size=5, unique=True)


def as_set(numbers: list[int]) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "name": TEXTS.filter(lambda text: bool(text.strip())),
    "billing_plancode": TEXTS.filter(lambda text: bool(text.strip())),
    "hostname": HOSTS,
    "port": NUMBERS,
    "enabled": st.booleans(),
    "interval": NUMBERS,
    "locations": SETS.map(as_set),
    "mode": TEXTS,
    "alert_note": TEXTS | st.just(""),
    "custom_properties": SETS.map(lambda ids: [{"id": each, "value_id": 5} for each in ids]),
}
EXTRA = {"folder": TEXTS, "retries": NUMBERS, "tls": st.fixed_dictionaries({"mode": TEXTS})}
REQUIRED = {"name", "billing_plancode", "hostname"}


def as_json(value: Any) -> str:
    """JSON that is YAML: without characters that must not stand in a file as they are."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(
        char if char.isprintable() or ord(char) > 0xFFFF else f"\\u{ord(char):04x}" for char in text
    )


def spec_of(draw: Any) -> dict[str, Any]:
    names = [name for name in FIELDS if name in REQUIRED or draw(st.booleans())]
    return {name: draw(FIELDS[name]) for name in draw(st.permutations(names))}


def dressed(draw: Any, value: Any, indent: str) -> str:
    """A value in one of the ways in which it can be written, with comments where they fit."""
    comment = draw(st.sampled_from(["", "", " # c", "  # é: 1"]))
    if isinstance(value, str):
        ways = [as_json(value)]
        if value.isprintable() and "'" not in value:
            ways.append(f"'{value}'")
        if re.fullmatch("[a-z]+", value) and value not in {"yes", "null", "true", "false"}:
            ways.append(value)
        if value and value.isprintable() and value.strip() == value:
            header, end = draw(st.sampled_from([("|-", ""), (">-", ""), ("|-", "\n")]))
            ways.append(f"{header}{comment}\n{indent}   {value}{end}")
        way = draw(st.sampled_from(ways))
        return way if way[0] in "|>" else way + comment
    if isinstance(value, list) and draw(st.booleans()):
        items = [f"\n{indent}  - {as_json(item)}{comment}" for item in value]
        if draw(st.booleans()):
            pairs = [[f"{key}: {each}" for key, each in item.items()] for item in value]
            between = f"\n{indent}  "
            items = [f"\n{indent}- {between.join(item)}{comment}" for item in pairs]
        return "".join(items)
    if isinstance(value, list) and draw(st.booleans()):
        items = [f"\n{indent}    {as_json(item)}" for item in value]
        return f"[{','.join(items)}\n{indent}  ]{comment}"
    return as_json(value) + comment


def manifest(draw: Any, number: int, spec: dict[str, Any], extra: dict[str, Any]) -> str:
    metadata = f"metadata: {{name: m-{number}, id: {number}}}"
    head = f"kind: email-smtp\napiVersion: reconciler/v1\n{metadata}\n"
    between = st.sampled_from(["", "", "\n", "  # about the next\n", "# left\n\n"])
    if draw(st.integers(0, 4)) == 0:
        return f"{head}spec: {as_json(spec)} # c\nextra: {as_json(extra)}\n"
    lines = [f"  {name}: {dressed(draw, value, '  ')}\n" for name, value in spec.items()]
    text = "".join(draw(between) + line for line in lines)
    rest = "".join(f"  {name}: {dressed(draw, value, '  ')}\n" for name, value in extra.items())
    return f"{head}spec:\n{text}" + (f"# more\nextra:\n{rest}" if extra else "")


def as_live(draw: Any, spec: dict[str, Any]) -> dict[str, Any]:
    """The fields as AlertSite may spell them."""
    live = dict(spec)
    for name in ("port", "interval"):
        if live.get(name) and draw(st.booleans()):
            live[name] = str(live[name])
    if live.get("locations"):
        live["locations"] = [
            {**item, "name": "São", "region": 1} for item in live["locations"][::-1]
        ]
    return live


@st.composite
def drifts(draw: Any) -> tuple[bytes, list[Live], dict[str, Record], list[set[str]]]:
    """A file, what AlertSite has, what was applied, and the fields that moved."""
    texts, live, records, moved = [], [], {}, []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        spec = spec_of(draw)
        extra = {name: draw(EXTRA[name]) for name in draw(st.sets(st.sampled_from(sorted(EXTRA))))}
        texts.append(manifest(draw, number, spec, extra))
        fields = {**spec, **extra}
        names = draw(st.sets(st.sampled_from(sorted(fields))))
        now = {name: draw({**FIELDS, **EXTRA}[name]) for name in names}
        for name in names - REQUIRED - {"alert_note", *EXTRA}:
            if draw(st.integers(0, 5)) == 0:
                now[name] = draw(st.sampled_from([None, ""]))
        live.append(Live(number, "email-smtp", as_live(draw, {**spec, **extra, **now})))
        records[f"email-smtp/m-{number}"] = Record(number, fields, {}, "", "run")
        moved.append(names)
    text = draw(st.sampled_from(["---\n", "--- # next\n"])).join(texts)
    text = text.replace("\n", draw(st.sampled_from(["\n", "\n", "\r\n"])))
    return (draw(st.sampled_from(["", "\ufeff"])) + text).encode(), live, records, moved


def untouched(data: bytes, moved: list[set[str]]) -> list[str]:
    """The lines of a file on which no field stands that moved."""
    text = data.decode().removeprefix("\ufeff")
    source, touched = Source(text), set[int]()
    for root, names in zip(roots(text), moved, strict=True):
        for section in ("spec", "extra"):
            entry = root.entry(section)
            for key, value in entry.value.entries if entry else ():
                if key.text in names:
                    touched |= {*range(source.number(key.start), source.number(value.end) + 1)}
    return [line for number, line in enumerate(BREAK.split(text)) if number not in touched]


def is_part(lines: list[str], whole: list[str]) -> bool:
    """Whether the lines follow each other in the whole, with others between."""
    remaining = iter(whole)
    return all(line in remaining for line in lines)


@given(drifts())
def test_after_a_pull_the_plan_is_empty(
    drift: tuple[bytes, list[Live], dict[str, Record], list[set[str]]],
) -> None:
    data, live, records, moved = drift
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.yaml")
        path.write_bytes(data)
        fleet = load_fleet([folder], SCHEMAS)
        plan = decide(ACCOUNT, fleet.desired, records, live, SCHEMAS.kinds)
        state = State("lineage", ACCOUNT, records=records)
        workspace = Workspace(fleet, SCHEMAS, Vault({}, ""))
        pull = find_pull(
            workspace, Planned({item.id: item for item in live}, plan, {}), state, take_all=False
        )
        assert pull.skipped == ()
        assert pull.edited == 0
        assert [state_error for _, state_error in write(pull, nullcontext) if state_error] == []

        after = load_fleet([folder], SCHEMAS)
        assert decide(ACCOUNT, after.desired, records, live, SCHEMAS.kinds).changes == ()
        lines = BREAK.split(path.read_bytes().decode().removeprefix("\ufeff"))
        assert is_part(untouched(data, moved), lines)
    event(f"{len(pull.edits)} edits")
