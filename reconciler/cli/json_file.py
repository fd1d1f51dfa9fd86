"""JSON files that a person or a pipeline names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler import durable
from reconciler.core import json_text
from reconciler.errors import ConfigurationError

if TYPE_CHECKING:
    from reconciler.core.model import JSON


def read(path: str, hint: str, *, name: str = "", most: int | None = None) -> JSON:
    """The value in a file of at most that many bytes; `name` is what messages call it.

    Raises:
        ConfigurationError: it cannot be read, or is not JSON.
    """
    try:
        return json_text.read(durable.read_any(path, most))
    except (OSError, ValueError) as error:
        reason = json_text.reason_of(error)
        raise ConfigurationError(f"{name or path} cannot be read: {reason}", hint) from error
