"""Laws of putting keys in order: once is enough, nothing says anything else, nothing is lost."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from reconciler.manifests import Parser
from reconciler.manifests.formatter import tidy
from reconciler.usecases.fmt import Ordering

from build import SCHEMAS

ORDERING = Ordering(SCHEMAS)
FIELDS = {
    "name": ["Relay", "'R: 1'", '"R\\n2" # c'],
    "billing_plancode": ["UBM - A/A", "&plan UBM # c"],
    "hostname": ["mx.example.com", "\n    mx.example.com"],
    "port": ["25", "0x19 # hex\n      # and more of it"],
    "interval": ["5"],
    "locations": [
        "[{id: 10}, {id: 20}]",
        "\n    - id: 10 # c\n    # - id: 20",
        "\n  - id: 10\n\n  - id: 20",
        "[\n    {id: 10}, # c\n    {id: 20}\n  ]",
    ],
    "alert_note": ["|\n    one\n\n    # no comment", "|+\n    kept\n\n", ">-\n    a\n    b # c"],
    "mode": ["*plan", "Primary"],
}
ABOVE = st.sampled_from(["", "", "\n", "  # about {0}\n", "\n  # about {0}\n  # more\n", "\n\n"])
BELOW = st.sampled_from(["", "", "", "  # below {0}\n\n", "     # deep below {0}\n"])
METADATA = st.sampled_from(
    [
        "metadata: {labels: {b: c}, id: 7, name: x}",
        "metadata:\n    id: 7\n\n    # about it\n    name: x",
        "metadata: { # c\n  id: 7, name: x }",
        "metadata: &m\n  name: x\n  labels: {z: a, a: b}\n  id: 7",
    ]
)


@st.composite
def specs(draw: Any) -> str:
    names = draw(st.permutations(sorted(FIELDS)))
    names = [name for name in names if name in {"name", "hostname"} or draw(st.booleans())]
    lines = [
        "spec: # c\n" if draw(st.booleans()) else "spec:\n",
        draw(st.sampled_from(["", "\n  # head\n\n"])),
    ]
    for name in names:
        value = draw(st.sampled_from(FIELDS[name]))
        if value == "*plan" and not any("&plan" in line for line in lines):
            value = "Primary"
        space = "" if value.startswith("\n") else " "
        lines += [draw(ABOVE).format(name), f"  {name}:{space}{value}\n", draw(BELOW).format(name)]
    if lines[-1].startswith("  #"):
        lines.pop()  # behind the last key it is about the whole
    return "".join(lines).removesuffix("\n")


@st.composite
def documents(draw: Any) -> str:
    parts = [
        "apiVersion: reconciler/v1",
        "kind: email-smtp # the kind",
        draw(METADATA),
        draw(specs()),
        *draw(st.sampled_from([[], ["extra:\n  b: 1\n  a: 2"], ["extra: {} # none"]])),
        *draw(st.sampled_from([[], ["lifecycle: {retire: disable, protect: true}"]])),
    ]
    gaps = st.sampled_from(["", "", "\n", "# above\n", "\n# above\n", "# below\n\n"])
    ordered = draw(st.permutations(parts))
    return "".join(f"{draw(gaps)}{part}\n" for part in ordered) + draw(gaps)


@st.composite
def files(draw: Any) -> bytes:
    text = "# yaml-language-server: $schema=x\n" + "---\n".join(
        draw(st.lists(documents(), min_size=1, max_size=3))
    )
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    text = text.replace("\n", draw(st.sampled_from(["\n", "\n", "\r\n"])))
    return (draw(st.sampled_from(["", "\ufeff"])) + text).encode()


def values(data: bytes) -> list[Any]:
    found, findings = Parser().parse("", data)
    assert findings == []
    return [document.value for document in found]


def filled(data: bytes) -> Counter[str]:
    """How often each line stands there that is not blank."""
    return Counter(
        line for line in data.decode().removeprefix("\ufeff").splitlines() if line.strip()
    )


def is_in_order(value: dict[str, Any]) -> bool:
    orders = ORDERING.of(value)
    return all(
        list(part) == [name for name in order if name in part]
        for section, order in orders.items()
        if (part := value.get(section) if section else value) is not None
    )


@given(files())
def test_keys_are_in_order_and_nothing_else_is_different(data: bytes) -> None:
    tidied = tidy(data, ORDERING.of)
    again = tidy(tidied.data, ORDERING.of)

    assert again == tidied._replace(left=again.left)
    assert values(tidied.data) == values(data)
    assert bool(tidied.left) or all(map(is_in_order, values(tidied.data)))
    if (
        b"metadata: {" not in data and b"lifecycle" not in data
    ):  # in brackets, the line is different
        assert filled(tidied.data) == filled(data)
    event("left" if tidied.left else "in order" if tidied.data == data else "moved")


@given(files())
def test_comments_stay_with_their_keys(data: bytes) -> None:
    lines = tidy(data, ORDERING.of).data.decode().splitlines()
    for number, line in enumerate(lines):
        if found := re.fullmatch("  # about (.+)", line):
            name = found.group(1)
            following = [each for each in lines[number + 1 :] if each != "  # more"]
            assert following[0].startswith(f"  {name}:")
        if found := re.fullmatch(" +# (?:deep )?below (.+)", line):
            keys = [each for each in lines[:number] if re.match("  [a-z_]+:", each)]
            assert keys[-1].startswith(f"  {found.group(1)}:")
