"""What a sandbox is started with, and what may change while it runs. Rule: values only."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal, NamedTuple

from reconciler.sandbox.faults import Fault
from reconciler.sandbox.worlds import PLAIN, World

Showing = Literal["echoed", "masked", "omitted"]
Witness = Callable[[str, str, str], None]


class UserLogin(NamedTuple):
    """What the user of one more account logs in with."""

    username: str
    password: str


class Controls:
    """The world and the faults of a running sandbox, which obeys a change from its next request on.

    They may be changed from any thread.

    Attributes:
        world: how it behaves. What the world did to earlier writes stays done.
    """

    def __init__(self, world: World = PLAIN, faults: Iterable[Fault] = ()) -> None:
        self.world = world
        self.faults = tuple(faults)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The rules, tried in order; when they are replaced, counting starts anew."""
        return tuple(rule for rule, _ in self._counted)

    @faults.setter
    def faults(self, rules: Iterable[Fault]) -> None:
        # At once, as requests may arrive in another thread; the first turn of each rule is 1.
        self._counted = [(rule, count(1 - rule.skip)) for rule in rules]

    def take(self, method: str, path: str) -> Fault | None:
        """The rule for this request, the first that applies; the request is counted.

        A request that a rule skips, or that comes after its last time, is left to the rules after
        it.
        """
        for rule, turns in self._counted:
            if rule.fits(method, path):
                turn = next(turns)
                if turn >= 1 and (rule.times is None or turn <= rule.times):
                    return rule
        return None


@dataclass(frozen=True, slots=True)
class Options:
    """How one sandbox behaves.

    Attributes:
        schemas: the manifest schema of each kind that can be created and edited, by kind.
        seed: monitors as GET returns them, `id` and `type` included. Loaded into a new database
            only, so that what was deleted stays deleted.
        logins: of further accounts at the same address, each with monitors of its own and empty at
            first. Inferred: one user sees one account, and no id is that of monitors of two.
        database: the SQLite file; None keeps everything in memory. Sandboxes may share a file.
        port: the port on 127.0.0.1; 0 takes any free one.
        request_log: a file that gets one JSON object per line for each request.
        token_life: seconds after which a token is refused. Documented: one hour.
        page_size: the most monitors one list answer holds; None pages only when `limit` is asked
            for. Unknown whether AlertSite pages this list.
        strict: refuse unknown and read-only fields instead of storing or ignoring them.
        secret_fields: how GET shows fields whose names look like secrets, which are stored as they
            were sent. Unknown how AlertSite shows a mailbox password.
        witness: called with a moment, a method and a path below /api/v3; it may block, as each
            call has a thread of its own. The moments of a request are `before` (it is whole, and
            nothing is done yet), `during` (what it changes is committed, and no byte of the answer
            is sent) and `after` (the answer is with the operating system). A request that a fault
            drops has no more than the first. A create that a fault answers before its effect (see
            `World.backend`) has its `during` before the effect too. An `Abandon` raised before
            drops the request as if it had never arrived; raised during, it drops the answer.
        controls: which of the behaviours that the documentation leaves open it has, and its faults.
        clock: seconds that never go back. A test may set them: what waits looks at them again
            every few milliseconds, and everything else only when a request arrives.
    """

    schemas: Mapping[str, Mapping[str, Any]]
    seed: Sequence[Mapping[str, Any]] = ()
    logins: Sequence[UserLogin] = ()
    database: Path | None = None
    port: int = 0
    request_log: Path | None = None
    token_life: float = 3600.0
    page_size: int | None = None
    strict: bool = False
    secret_fields: Showing = "omitted"
    witness: Witness | None = None
    controls: Controls = field(default_factory=Controls)
    clock: Callable[[], float] = time.monotonic
