"""Tells people what begins and what is over in the accounts that are watched.

What stands is in a file of the working folder, so that a watcher that is started again does not
tell it again. A watcher that takes over from one in another folder tells once more what stands.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler import durable
from reconciler.core import json_text
from reconciler.core.news import Notified, news_of
from reconciler.render import as_json
from reconciler.render.notifications import news_message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.cli.signals.notification import Services
    from reconciler.core.drift import Drift
    from reconciler.core.model import JSON
    from reconciler.core.watch import Round


NOTIFIED = Path(".reconciler/watch-notified.json")


class WatchNews:
    """What people are told round by round.

    Args:
        services: are told.
        say: is told if what stands cannot be read or kept.
    """

    def __init__(self, services: Services, say: Callable[[str], None]) -> None:
        self._services = services
        self._say = say
        self._notified: dict[str, Notified] = {}

    def take(self, found: Round, drifts: Mapping[str, Drift]) -> None:
        """Tells each service what is new to it: also what it could not be told before."""
        before = self._notified or self._read()
        self._notified = {}
        for index, key in enumerate(self._services.keys):
            was = before.get(key, Notified())
            news, notified = news_of(found, drifts, was)
            is_told = not news.is_something or self._services.send(index, news_message(news))
            self._notified[key] = notified if is_told else was
        if self._notified != before:
            self._write(self._notified)

    def forget(self) -> None:
        """Reads before the next round what stands: another watcher may lead meanwhile."""
        self._notified = {}

    def _read(self) -> dict[str, Notified]:
        try:
            data = durable.read(NOTIFIED)
            kept = {} if data is None else json_text.read(data)["services"]
            if isinstance(kept, list):
                kept = {}  # earlier versions kept the order of the URLs, which tells nothing
            return {str(key): Notified.from_json(it) for key, it in kept.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._say(
                f"{NOTIFIED} cannot be read, so all current drift and failures are reported as "
                f"new: {json_text.reason_of(error)}"
            )
            return {}

    def _write(self, notified: dict[str, Notified]) -> None:
        kept: JSON = {"services": {key: it.to_json() for key, it in notified.items()}}
        try:
            durable.make_folder(NOTIFIED.parent)
            durable.replace(NOTIFIED, f"{as_json(kept)}\n".encode())
        except OSError as error:
            self._say(
                f"{NOTIFIED} cannot be written, so a restart reports the same again: "
                f"{json_text.reason_of(error)}"
            )
