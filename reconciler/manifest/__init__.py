"""Manifests as they stand in files: found, read, parsed, and located again for a finding.

Rule: this package is the only importer of ruamel.yaml. Positions are kept for nothing that is
healthy; a file with a finding is parsed again for them.
"""

from reconciler.manifest.files import find, read
from reconciler.manifest.parser import Document, Parser
from reconciler.manifest.places import Locator

__all__ = ["Document", "Locator", "Parser", "find", "read"]
