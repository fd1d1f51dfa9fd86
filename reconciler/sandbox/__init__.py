"""The AlertSite v3 API for email monitors, served on loopback: a program beside the tool.

Rule: nothing here is imported from the rest of `reconciler`, so that the server cannot share its
mistakes. What the tool and the server have in common, the schemas, is handed over as data.

The base URL of the vendor's pages is https://support.smartbear.com/alertsite/docs/. Every behaviour
is marked where it is implemented: documented, inferred (from another page) or unknown: permissive.
"""

from reconciler.sandbox.app import PASSWORD, USERNAME, VIEWER
from reconciler.sandbox.faults import Fault, parse_fault
from reconciler.sandbox.front import Abandon
from reconciler.sandbox.options import Controls, Options, UserLogin
from reconciler.sandbox.seeding import seeded
from reconciler.sandbox.server import running, serve
from reconciler.sandbox.worlds import World, parse_world

__all__ = [
    "PASSWORD",
    "USERNAME",
    "VIEWER",
    "Abandon",
    "Controls",
    "Fault",
    "Options",
    "UserLogin",
    "World",
    "parse_fault",
    "parse_world",
    "running",
    "seeded",
    "serve",
]
