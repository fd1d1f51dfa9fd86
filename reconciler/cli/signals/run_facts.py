"""What is known of a run by its events, for those who tell of it at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.core.events import DriftFound, Ended, OutcomeKnown, PlanMade, Started
from reconciler.core.model import DEFAULT_ACCOUNT

if TYPE_CHECKING:
    from datetime import datetime

    from reconciler.core.events import Event
    from reconciler.core.result import Outcome


class RunFacts:
    """What a listener knows of a run by what it was told so far."""

    def __init__(self) -> None:
        self.run = self.operation = ""
        self.account = DEFAULT_ACCOUNT
        self.plan: PlanMade | None = None
        self.drift: DriftFound | None = None
        self.outcomes: dict[str, Outcome] = {}
        self.ended: Ended | None = None

    def take(self, event: Event, _at: datetime) -> None:
        """Takes one event; what it says of a change replaces what was said before."""
        match event:
            case Started():
                self.run, self.operation = event.run, event.operation
            case PlanMade():
                self.plan, self.account = event, event.plan.account.name
            case DriftFound():
                self.drift, self.account = event, event.drift.account.name
            case OutcomeKnown():
                self.outcomes[event.outcome.change.address] = event.outcome
            case Ended():
                self.ended = event
            case _:
                pass
