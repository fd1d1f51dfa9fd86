"""What may change while a sandbox runs. Rule: values only; whoever holds them may change them."""

from collections.abc import Iterable

from reconciler.sandbox.faults import Fault, Faults
from reconciler.sandbox.worlds import PLAIN, World


class Controls:
    """The world and the faults of a running sandbox, which obeys a change from its next request on.

    They are handed over in `Options.controls` and may be changed from any thread.

    Attributes:
        world: How it behaves. What the world did to earlier writes stays done.
    """

    def __init__(self, world: World = PLAIN, faults: Iterable[Fault] = ()) -> None:
        self.world = world
        self._faults = Faults(tuple(faults))

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The rules, tried in order; when they are replaced, counting starts anew."""
        return self._faults.rules

    @faults.setter
    def faults(self, rules: Iterable[Fault]) -> None:
        self._faults = Faults(tuple(rules))

    def take(self, method: str, path: str) -> Fault | None:
        """Return the rule for this request, and count the request."""
        return self._faults.take(method, path)
