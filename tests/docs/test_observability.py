"""The page on events and metrics names each of them, in the words of the code."""

import json
import re
from pathlib import Path

from reconciler.cli.signals.metrics import METRICS
from reconciler.schema import schema_folder

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "observability.md").read_text(
    encoding="utf-8"
)


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its first two rows."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)
    return [[cell.strip() for cell in row.split(" | ")] for row in found[1:]]


def test_each_metric_is_in_the_table() -> None:
    assert rows("Metrics") == [
        [f"`{metric.name}`", ", ".join(f"`{label}`" for label in metric.labels), metric.help]
        for metric in METRICS
    ]


def test_each_event_is_in_the_table() -> None:
    schema = json.loads((schema_folder() / "events.schema.json").read_bytes())
    assert rows("Events") == [
        [f"`{event['properties']['type']['const']}`", event["description"]]
        for event in schema["oneOf"]
    ]
