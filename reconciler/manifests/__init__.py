"""Manifests as they stand in files: found, read, parsed, and located again for a finding.

Rule: this package is the only importer of ruamel.yaml. Positions are kept for nothing that is
healthy; a file with a finding is parsed again for them. What edits and writes manifests is in
modules that are imported by name, since most runs do not need them: `editor` sets fields in place,
`formatter` puts keys in order, `writer` writes new documents.
"""

from reconciler.manifests.files import Resolving, find, read, remove, write
from reconciler.manifests.parser import Document, Parser
from reconciler.manifests.positions import Locator

__all__ = [
    "Document",
    "Locator",
    "Parser",
    "Resolving",
    "find",
    "read",
    "remove",
    "write",
]
