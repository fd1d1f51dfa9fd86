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
        self._notified: Notified | None = None

    def take(self, found: Round, drifts: Mapping[str, Drift]) -> None:
        """Tells what is new in a round; what could not be told is new in the next one, too."""
        before = self._notified if self._notified is not None else self._read()
        news, self._notified = news_of(found, drifts, before)
        if news.is_something and not self._services.send(news_message(news)):
            self._notified = before
        if self._notified != before:
            self._write(self._notified)

    def forget(self) -> None:
        """Reads before the next round what stands: another watcher may lead meanwhile."""
        self._notified = None

    def _read(self) -> Notified:
        try:
            data = durable.read(NOTIFIED)
            return Notified() if data is None else Notified.from_json(json_text.read(data))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._say(f"{NOTIFIED} cannot be read, so all that stands is told as new: {error}")
            return Notified()

    def _write(self, notified: Notified) -> None:
        try:
            durable.make_folder(NOTIFIED.parent)
            durable.replace(NOTIFIED, f"{as_json(notified.to_json())}\n".encode())
        except OSError as error:
            self._say(f"{NOTIFIED} cannot be written, so a restart tells again: {error}")
