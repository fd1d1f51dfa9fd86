"""How GET shows fields whose names look like secrets. Rule: pure functions of JSON values, no I/O.

Unknown: whether AlertSite returns, masks or omits the password of a mailbox, and what it is called.
Its older API returns another password encoded; the recipients of this one have a `password`. So all
three can be chosen. Which names look like secrets is for the schemas to say.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from reconciler.sandbox.options import Showing

_MASK: Final = "********"
_MOST_KNOWN: Final = 1000


class SecretFields:
    """The fields that look like secrets, and the way in which one sandbox shows them."""

    def __init__(self, showing: Showing, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        self._showing = showing
        patterns = {pattern for schema in schemas.values() for pattern in _patterns(schema)}
        find = [re.compile(pattern).search for pattern in sorted(patterns)]

        @lru_cache(_MOST_KNOWN)
        def is_secret(name: str) -> bool:
            return any(search(name) for search in find)

        self._is_secret = is_secret

    def are_in(self, value: object) -> bool:
        """Say whether there is one at any depth."""
        if isinstance(value, dict):
            return any(self._is_secret(name) for name in value) or self.are_in([*value.values()])
        return isinstance(value, list) and any(map(self.are_in, value))

    def shown(self, text: bytes) -> bytes:
        """Return the JSON text of a monitor as GET answers it."""
        if self._showing == "echoed":
            return text
        return json.dumps(self._shown(json.loads(text)), separators=(",", ":")).encode()

    def _shown(self, value: object) -> object:
        if isinstance(value, list):
            return [self._shown(item) for item in value]
        if not isinstance(value, dict):
            return value
        shown = {name: self._shown(item) for name, item in value.items()}
        for name in filter(self._is_secret, value):
            if self._showing == "omitted":
                del shown[name]
            elif value[name] not in (None, ""):  # there is nothing to hide in an unset one
                shown[name] = _MASK
        return shown


def _patterns(schema: Mapping[str, Any]) -> Iterable[str]:
    """Return the patterns of the names below `extra` that need a secretRef in a manifest."""
    fields: Mapping[str, Mapping[str, Any]] = schema["$defs"]["extraFields"]
    return fields["patternProperties"]
