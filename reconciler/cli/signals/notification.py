"""Tells people about a run, through Apprise: chats, mailboxes, web hooks.

Only what is news is told: changes and failures of an apply, and drift that was not told before.
What was told is in a file of the working folder, since `drift` writes no state. Where the folder
does not outlive the run, and nobody keeps the file, all drift is news each time.

A URL is a secret, and so are parts of it: neither a message nor the log of Apprise shows any. What
a service was told is kept under a short digest of its URL, so that it stays known when the URLs are
in another order. Four hexadecimal digits tell a handful of services apart, and are too few to find
out a password by guessing: of all guesses, one in 65,536 fits. Services whose digests are equal are
numbered in their order.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, PersistentStoreMode
from apprise.result import AppriseResultStatus

from reconciler import durable
from reconciler.cli.signals.reasons import behind_colon, reason_in
from reconciler.cli.signals.run_facts import RunFacts
from reconciler.core import json_text
from reconciler.core.news import drift_print
from reconciler.core.result import Status
from reconciler.errors import UsageError
from reconciler.render import as_json
from reconciler.render.notifications import Message, MessageOrigin, apply_message, drift_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apprise.result import AppriseResult

    from reconciler.core.events import DriftFound
    from reconciler.core.model import JSON, Unmanaged


TOLD = Path(".reconciler/notified.json")
"""By account, digest of a URL and address, a fingerprint of the drift that was told."""
_DIGITS = 4
"""Of the digest of a URL."""
_PATIENCE = 20.0
"""Seconds that one service may take."""


class Services:
    """Those that `--notify` and RECONCILER_NOTIFY name.

    Args:
        urls: as Apprise reads them.
        say: is told if one of them could not be told.

    Attributes:
        keys: what each is known by in files, in the same order; unique.

    Raises:
        UsageError: Apprise knows no service of that kind.
    """

    def __init__(self, urls: Sequence[str], say: Callable[[str], None]) -> None:
        log = logging.getLogger("apprise")
        log.propagate = False  # that it fails is said in our words, which quote no URL
        log.addHandler(logging.NullHandler())
        asset = AppriseAsset(
            app_id="reconciler",
            app_desc="reconciler",
            async_mode=False,
            storage_mode=PersistentStoreMode.MEMORY,
            service_timeout=_PATIENCE,
        )
        self._services = []
        for number, url in enumerate(urls, 1):
            service = Apprise(asset=asset)
            if not service.add(url):
                raise UsageError(
                    f"Apprise does not support notification URL {number} of {len(urls)} "
                    f"({url.partition('://')[0] if '://' in url else 'it has no scheme'})",
                    "See https://appriseit.com/services/ for the format of each service.",
                )
            self._services.append(service)
        self._say = say
        digests = [sha256(url.encode("utf-8", "surrogateescape")).hexdigest() for url in urls]
        marks = [digest[:_DIGITS] for digest in digests]
        counts = [marks[:number].count(mark) for number, mark in enumerate(marks, 1)]
        self.keys = tuple(f"{mark}-{n}" for mark, n in zip(marks, counts, strict=True))

    def __len__(self) -> int:
        return len(self._services)

    def send(self, index: int, message: Message) -> bool:
        """Whether that one of the services took it."""
        kind = NotifyType.FAILURE if message.is_failure else NotifyType.SUCCESS
        if message.is_warning:
            kind = NotifyType.WARNING
        result = self._services[index].notify(
            message.body, message.title, notify_type=kind, body_format=NotifyFormat.TEXT
        )
        if not result:
            self._say(
                f"Cannot send the notification (URL {index + 1} of {len(self)})"
                f"{behind_colon(_reason(result))}. Check the URL in --notify or "
                "RECONCILER_NOTIFY; the run is not affected."
            )
        return bool(result)

    def send_all(self, message: Message | None) -> None:
        """Tells each of them, if there is anything to tell."""
        if message is not None:
            for index in range(len(self)):
                self.send(index, message)


def _reason(result: AppriseResult) -> str:
    """Why a service did not take a message; empty if that is not known."""
    for attempt in (item for service in result for item in service.attempts):
        if attempt.status == AppriseResultStatus.TIMEOUT:
            return f"no response within {_PATIENCE:g} s"
        if reason := next(filter(None, (reason_in(line.message) for line in attempt.logs)), ""):
            return reason
    return ""


class Notification(RunFacts):
    """What people are told of one run, at its end.

    Args:
        services: are told.
        say: is told if what was told cannot be read or kept.
        pipeline: where a pipeline shows the run; empty if none does.
        tells_failures: whether an apply that has changed nothing is told, too.
    """

    def __init__(
        self, services: Services, say: Callable[[str], None], pipeline: str, *, tells_failures: bool
    ) -> None:
        super().__init__()
        self._services = services
        self._say = say
        self._pipeline = pipeline
        self._tells_failures = tells_failures

    def close(self) -> None:
        """Tells the news, if there is any."""
        exit_code = self.ended.exit_code if self.ended else 0
        origin = MessageOrigin(self.run, self._pipeline)
        if self.operation in {"apply", "undo"}:
            outcomes = sorted(self.outcomes.values(), key=lambda item: item.change.address)
            plan = self.plan.plan if self.plan else None
            if self._tells_failures or any(item.status is Status.DONE for item in outcomes):
                self._services.send_all(
                    apply_message(self.account, origin, outcomes, exit_code, plan)
                )
            return
        if self.drift is None:
            self._services.send_all(drift_message(self.account, origin, (), exit_code, ()))
            return
        drift, before, now = self.drift.drift, self._told(), {}
        for index, key in enumerate(self._services.keys):
            told = before.get(key, {})
            fresh = [it for it in drift.monitors if told.get(it.address) != drift_print(it)]
            strangers = [it for it in drift.unmanaged or () if _key(it) not in told]
            message = drift_message(self.account, origin, fresh, exit_code, strangers)
            # What a service did not take is news in the next run, too.
            if message is None or self._services.send(index, message):
                told = _after(self.drift, told)
            if told:
                now[key] = told
        if now != before:
            self._remember(now)

    def _told(self) -> dict[str, dict[str, str]]:
        """What each service was told of this account's drift; nothing if that is not known."""
        try:
            data = durable.read(TOLD)
            every = {} if data is None else json_text.read(data)
            told = every.get(self.account, {})
            if isinstance(told, list):
                told = {}  # earlier versions kept the order of the URLs, which tells nothing
            return {
                str(key): {str(name): str(value) for name, value in item.items()}
                for key, item in told.items()
            }
        except (OSError, ValueError, AttributeError, TypeError) as error:
            reason = json_text.reason_of(error)
            self._say(f"{TOLD} cannot be read, so all drift is reported as new: {reason}")
            return {}

    def _remember(self, now: dict[str, dict[str, str]]) -> None:
        try:
            data = durable.read(TOLD)
            every: JSON = None
            with suppress(ValueError):  # which reading it has told
                every = None if data is None else json_text.read(data)
            others = every if isinstance(every, dict) else {}
            durable.make_folder(TOLD.parent)
            durable.replace(TOLD, f"{as_json(others | {self.account: now})}\n".encode())
        except OSError as error:
            reason = json_text.reason_of(error)
            self._say(f"{TOLD} cannot be written, so drift is reported again: {reason}")


def _after(found: DriftFound, told: dict[str, str]) -> dict[str, str]:
    """What a service was told that stands, once it was told of a drift."""
    now = {item.address: drift_print(item) for item in found.drift.monitors}
    if found.drift.unmanaged is None:  # nobody has looked, so they are still there
        now |= {name: text for name, text in told.items() if text == _STRANGER}
    now |= {_key(item): _STRANGER for item in found.drift.unmanaged or ()}
    return now if found.is_whole else told | now


_STRANGER = "unmanaged"


def _key(item: Unmanaged) -> str:
    """What a monitor without a manifest is noted by, which is no address."""
    return f"id {item.id}"
