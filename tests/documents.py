"""Whether what the tool prints or keeps fits the schema of its format."""

import json
from functools import cache
from typing import Any

import jsonschema

from reconciler.schema import schema_folder


def check(document: Any, name: str) -> None:
    """Fails if a document does not fit `schemas/NAME.schema.json`."""
    _validator(name).validate(document)


@cache
def _validator(name: str) -> Any:
    schema = json.loads((schema_folder() / f"{name}.schema.json").read_bytes())
    return jsonschema.Draft202012Validator(schema)
