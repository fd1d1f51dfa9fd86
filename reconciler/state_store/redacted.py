"""How known secrets are kept out of a store and its journals.

Rule: what is written stays the JSON document that it is. What the state says of a field that holds
a secret is decided before (`state.without_secrets`); this is the second line. It is for what others
say: values of fields, and texts. An address, a name or a word of the format may be the same as a
weak password, or as the user of a URL. It stays: a record under another address would be lost, and
its monitor be created again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.core.model import JSON
    from reconciler.core.redactor import Redactor

_BY_FIELD = frozenset({"fields", "unseen", "left", "body"})
"""What has a value for each field."""
_SAID = frozenset({"value", "sent", "before", "after", "message", "actor", "pipeline"})
"""What is a value of a field, or a text of others; in `bindings` there are addresses."""


def cleaned(data: bytes, redactor: Redactor) -> bytes:
    """What is left of the text of a JSON document without secrets."""
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # no document, and nothing that is written here
        return data
    if not redactor.holds(text):
        return data
    return f"{json.dumps(without_secrets(json.loads(text), redactor), indent=1)}\n".encode("ascii")


def without_secrets(document: JSON, redactor: Redactor) -> JSON:
    """A JSON document that is kept, with a placeholder for each secret in what others say."""
    if isinstance(document, list):
        return [without_secrets(item, redactor) for item in document]
    if not isinstance(document, dict):
        return document
    found = {}
    for key, item in document.items():
        if key in _SAID:
            found[key] = redactor.value(item)
        elif key in _BY_FIELD and isinstance(item, dict):
            found[key] = {field: redactor.value(value) for field, value in item.items()}
        elif key == "prior" and isinstance(item, dict):
            found[key] = {field: without_secrets(was, redactor) for field, was in item.items()}
        else:
            found[key] = item if key == "bindings" else without_secrets(item, redactor)
    return found
