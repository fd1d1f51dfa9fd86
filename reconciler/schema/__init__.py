"""Manifests against the JSON Schemas: accepted quickly, explained slowly.

Rule: this package is the only importer of jsonschema and jsonschema-rs. The Rust validator accepts,
60 times as fast; the Python one is loaded only to explain what was not accepted. What JSON Schema
cannot say is an `x-` annotation that is checked here.
"""

from reconciler.schema.formats import problem_of
from reconciler.schema.schemas import (
    API_VERSION,
    DEFAULTS,
    OVERRIDE,
    Schemas,
    installed_schemas,
    schema_folder,
)

__all__ = [
    "API_VERSION",
    "DEFAULTS",
    "OVERRIDE",
    "Schemas",
    "installed_schemas",
    "problem_of",
    "schema_folder",
]
