"""Whether a document that the tool wrote is what its format's schema describes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.schema.schemas import schema_folder

if TYPE_CHECKING:
    from reconciler.core.model import JSON

_LONGEST = 200


def problem_of(name: str, value: JSON) -> str:
    """The first way in which a value does not fit `schemas/NAME.schema.json`; empty if it fits."""
    from jsonschema_rs import Draft202012Validator  # 25 ms

    schema = json.loads((schema_folder() / f"{name}.schema.json").read_bytes())
    for error in Draft202012Validator(schema).iter_errors(value):
        place = "/".join(map(str, error.instance_path))
        text = f"{place or 'the document'}: {error.message}"
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return ""
