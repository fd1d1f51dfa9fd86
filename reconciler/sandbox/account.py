"""The monitors of an account as clients see and change them. Rule: the world decides here.

A list of monitors that are shown as they are stored is the store's own work, and fast. Only what a
world adds, hides or delays is done here, monitor by monitor.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.sandbox.monitors import MonitorKind, created, edited
from reconciler.sandbox.options import Controls
from reconciler.sandbox.store import Database, Page
from reconciler.sandbox.worlds import World


class AccountData:
    """The store, seen through a world.

    Every `now` is the moment at which a request takes effect.
    """

    def __init__(self, store: Database, controls: Controls) -> None:
        self._store = store
        self._controls = controls
        # Of monitors that are not in the list yet: when they will be.
        self._listed_from: dict[int, float] = {}
        # Of edits that are not visible yet, in their order: when they will be, and what was before.
        self._visible_from: dict[int, list[tuple[float, bytes]]] = {}
        self._vanished_in: World | None = None
        self._created: int | None = None

    @property
    def world(self) -> World:
        """The world as it is now."""
        return self._controls.world

    def page(self, types: Sequence[str] | None, limit: int | None, start: int, now: float) -> Page:
        """The monitors of these types, in the order of their ids."""
        world = self.world
        wanted = None if world.no_filter else types
        self._forget(now)
        if (
            world.shows_as_stored
            and not (world.short or world.hide)
            and not (self._listed_from or self._visible_from)
        ):
            page = self._store.page(wanted, limit, start)
        else:
            page = self._altered(world, wanted, limit, start)
        has_more = bool(page.texts) and len(page.texts) < page.count
        if world.vanish is not None and world is not self._vanished_in and not start and has_more:
            self._vanished_in = world
            first, *_ = page.texts
            self._store.remove(_id(first) if world.vanish == "first" else world.vanish)
        return page

    def find(self, number: int, now: float) -> bytes | None:
        """The JSON text of one monitor, as GET shows it."""
        text = self._store.find(number)
        if text is None:
            return None
        self._forget(now)
        return self._shown(self.world, number, text)

    def create(self, kind: MonitorKind, values: Mapping[str, Any], now: float) -> int:
        """Stores a new monitor; the id that is answered."""
        world = self.world
        monitor = created(kind, world.kept(values))
        number = self._store.add(monitor, reuses_ids=world.reuse_ids)
        if world.lag:
            self._listed_from[number] = now + world.lag
        if world.lies == "create-id":
            first, *_ = self._store.page(None, 1, 0).texts
            return _id(first)
        previous, self._created = self._created, number
        return previous if world.lies == "previous-id" and previous is not None else number

    def edit(self, kind: MonitorKind, number: int, values: Mapping[str, Any], now: float) -> bool:
        """Changes a monitor; False if there is none of this kind."""
        world = self.world
        before = self._store.find(number) if world.late else None
        kept = world.kept(values)
        if not self._store.edit(
            kind.name, number, lambda monitor: world.edited(monitor, edited(monitor, kept))
        ):
            return False
        if before is not None:
            self._visible_from.setdefault(number, []).append((now + world.late, before))
        return True

    def remove(self, number: int) -> bool:
        """Deletes a monitor; False if there is none."""
        return self._store.remove(number)

    def _altered(
        self, world: World, types: Sequence[str] | None, limit: int | None, start: int
    ) -> Page:
        texts = [(_id(text), text) for text in self._store.page(types, None, 0).texts]
        listed = [(number, text) for number, text in texts if number not in self._listed_from]
        counted = listed[: max(len(listed) - world.hide, 0)]
        served = counted[: max(len(counted) - world.short, 0)]
        window = served[start : None if limit is None else start + limit]
        return Page([self._shown(world, number, text) for number, text in window], len(counted))

    def _shown(self, world: World, number: int, text: bytes) -> bytes:
        late = self._visible_from.get(number)
        if late:
            ((_, text), *_) = late
        if world.shows_as_stored:
            return text
        return json.dumps(world.shown(json.loads(text)), separators=(",", ":")).encode()

    def _forget(self, now: float) -> None:
        """Forgets delays that are over."""
        listed, late = self._listed_from, self._visible_from
        self._listed_from = {number: moment for number, moment in listed.items() if moment > now}
        left = {number: [it for it in edits if it[0] > now] for number, edits in late.items()}
        self._visible_from = {number: edits for number, edits in left.items() if edits}


def _id(text: bytes) -> int:
    number: int = json.loads(text)["id"]
    return number
