"""AlertSite's API v3 over HTTP.

Rule: this package is the only importer of httpx and tenacity; what they raise is translated here.
Vendor facts are marked "documented", "inferred" or "unknown"; what is unknown is met permissively.
"""

from reconciler.alertsite.client import Reader, Writer
from reconciler.alertsite.session import Credentials, Session

__all__ = ["Credentials", "Reader", "Session", "Writer"]
