"""Reading and writing monitors.

Planning is given a `Reader`, which has no method that writes.
"""

from __future__ import annotations

import itertools
import json
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from reconciler.context import waiting
from reconciler.core.model import JSON, Account, Live
from reconciler.errors import (
    AlertSiteError,
    CredentialsError,
    IncompleteError,
    NonsenseError,
    NotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from reconciler.alertsite.session import Session
    from reconciler.alertsite.wire import Allowance
    from reconciler.core.events import Tell


_MAX_DIGITS = 18
_LONGEST_ID = 40
_ID_HINT = (
    "reconciler cannot plan for it. Look for it in AlertSite; if it is a normal monitor there, "
    "please report the lines above."
)
_READINGS = 3
"""How often a list is read that changes while it is read."""
_MOST_PAGES = 2_000
"""Of one list: enough for 100,000 monitors in pages of 50."""
_IN_FLIGHT = 8
_INCOMPLETE = (
    "What a list leaves out may still be there, so reconciler does not use the list. Run the same "
    "command again. If this persists, AlertSite pages its lists in an unknown way: please report "
    "the lines above."
)


class _MovedError(Exception):
    """The list changed between two of its pages, as far as can be told; says how."""


class Reader:
    """Reads the monitors of one account.

    Attributes:
        account: how plans and results name the account.

    Args:
        session: what asks AlertSite.
        account: how plans and results name the account.
        progress: is told how many monitors are read by now, again and again.
    """

    def __init__(
        self,
        session: Session,
        account: Account,
        progress: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._session = session
        self._progress = progress
        self._read = 0
        self.account = account

    @property
    def tell(self) -> Tell:
        """What is told of what happens."""
        return self._session.tell

    def list_monitors(self, kinds: Iterable[str]) -> list[Live]:
        """Every monitor of those kinds; others too, if AlertSite ignores the filter.

        One request, and more only if the answer says that it is one page. That a monitor is not in
        the list lets others be made or forgotten, so a list must be whole or an error. Whether
        monitors are paged at all, and whether `count` is that of a page or of all, is not
        documented; what is documented of sibling lists is that `limit` goes together with `offset`
        (api/v3/blackouts/get-blackouts.html). So a list is taken for whole if

        - its pages hold as many monitors as its own `count` says, where that is a total;
        - no page repeats a monitor of another: else `offset` did not do what it says;
        - it did not move: each page begins with the last monitor of the one before. What was there
          all the time is then in one of them, whatever came or went meanwhile. A list that moves is
          read again, a few times.

        Where the answer does not tell the type of a monitor, the list of each kind does.

        Raises:
            IncompleteError: the list contradicts itself, and says how.
            AlertSiteError: AlertSite cannot be reached, refuses, or answers something else.
        """
        kinds = tuple(kinds)
        monitors = self._list(",".join(kinds))
        if all(monitor.type is not None for monitor in monitors):
            return monitors
        holders: dict[int, list[str]] = {}
        for kind in kinds:
            for monitor in self._list(kind):
                holders.setdefault(monitor.id, []).append(kind)
        typed = []
        for monitor in monitors:
            found = holders.get(monitor.id, [])  # several, if AlertSite ignores the filter
            is_told = monitor.type is None and len(found) == 1
            typed.append(monitor._replace(type=found[0]) if is_told else monitor)
        return typed

    def read_monitor(self, number: int) -> Live | None:
        """The monitor of that id; None if AlertSite says that it has none (documented: 404).

        Raises:
            AlertSiteError: AlertSite cannot be reached, refuses, or answers something else.
        """
        path = f"/monitors/{number}"
        try:
            found = self._session.request("GET", path)
        except NotFoundError:
            return None
        except CredentialsError:
            raise
        except AlertSiteError as error:
            why = (
                "reconciler requested it because it is not in the list. If it was deleted, forget "
                "its record: reconciler state list, then reconciler state rm ADDRESS."
            )
            error.hint = f"{error.hint} {why}".lstrip()
            raise
        items = self._items(found, path)
        if not items:
            return None
        if len(items) != 1 or (monitor := _live(items[0], path)).id != number:
            raise NonsenseError(f"GET {path} did not return monitor {number}", self._hint())
        return monitor

    def read_monitors(self, numbers: Collection[int]) -> dict[int, Live | None]:
        """The monitors of those ids, None for each that AlertSite has not; some at a time.

        Raises:
            AlertSiteError: as `read_monitor`.
        """
        if len(numbers) < 2:  # noqa: PLR2004 - one needs no threads
            return {number: self.read_monitor(number) for number in numbers}
        from concurrent.futures import ThreadPoolExecutor  # 5 ms

        monitors: dict[int, Live | None] = {}
        with waiting(), ThreadPoolExecutor(_IN_FLIGHT) as pool:
            for number, found in zip(numbers, pool.map(self.read_monitor, numbers), strict=True):
                monitors[number] = found
                self._tell(self._read + 1)
        return monitors

    def _tell(self, read: int) -> None:
        self._read = read
        self._progress(read)

    def _list(self, types: str) -> list[Live]:
        moved = ""
        for _ in range(_READINGS):
            try:
                return self._whole_list(types)
            except _MovedError as error:
                moved = str(error)
        raise IncompleteError(
            f"GET /monitors, read {_READINGS} times, was inconsistent each time: {moved}",
            _INCOMPLETE,
        )

    def _whole_list(self, types: str) -> list[Live]:
        """One reading of all pages.

        Raises:
            _MovedError: something came or went meanwhile.
        """
        query, allowance = {"type": types}, self._session.listing()
        page = self._page(query, allowance)
        found = {monitor.id: monitor for monitor in page.monitors}
        if len(found) < len(page.monitors):
            raise _MovedError("a page has the same monitor twice")
        self._tell(len(found))
        total, size = page.total, page.limit or len(page.monitors)
        for number in itertools.count(1):
            if not size or not page.is_followed(len(found)):
                break
            if number == _MOST_PAGES:
                raise IncompleteError(
                    f"GET /monitors has more than {_MOST_PAGES:,} pages, of {size} monitors each",
                    _INCOMPLETE,
                )
            overlap = min(1, size - 1)
            query |= {"limit": str(size), "offset": str(len(found) - overlap)}
            where = f"the page at offset {query['offset']}, of at most {size},"
            page = self._page(query, allowance)
            if page.total is not None and total not in {None, page.total}:
                raise _MovedError(
                    f"its count is {total:,} first and {page.total:,} on {where[:-1]}"
                )
            total = page.total if total is None else total
            expected = [*found][-overlap:] if overlap else []
            first = [item.id for item in page.monitors[:overlap]]
            if first != expected:
                begins = f"begins with monitor {first[0]}" if first else "is empty"
                raise _MovedError(f"{where} {begins}, where monitor {expected[0]} stood before")
            new = {item.id: item for item in page.monitors[overlap:]}
            if not new:
                break
            if len(new) < len(page.monitors) - overlap or not found.keys().isdisjoint(new):
                raise _MovedError(f"{where} repeats a monitor")
            found |= new
            self._tell(len(found))
        if total is not None and total != len(found):
            raise IncompleteError(
                f"GET /monitors reports {total:,} monitors but lists {len(found):,}",
                _INCOMPLETE,
            )
        return list(found.values())

    def _page(self, query: Mapping[str, str], allowance: Allowance) -> _Page:
        answer = self._session.request("GET", "/monitors", query=query, allowance=allowance)
        monitors = [_live(item, "/monitors") for item in self._items(answer, "/monitors")]
        metadata = answer.get("metadata") if isinstance(answer, dict) else None
        resultset = metadata.get("resultset") if isinstance(metadata, dict) else None
        told = resultset if isinstance(resultset, dict) else {}
        return _Page(monitors, _number(told.get("limit")), _number(told.get("count")))

    def _items(self, answer: JSON, path: str) -> list[JSON]:
        """The monitors of an answer: `{"results": […]}`, a list or a bare monitor (unknown)."""
        if isinstance(answer, list):
            return answer
        if isinstance(answer, dict):
            results = answer.get("results")
            if isinstance(results, list):
                return results
            if "id" in answer:
                return [answer]
        raise NonsenseError(f"GET {path} returned JSON without a list of monitors", self._hint())

    def _hint(self) -> str:
        return f"Check {self._session.site.wording.url}: it must end in /api/v3."


class _Page(NamedTuple):
    """One answer to `GET /monitors`, and what it says of itself."""

    monitors: list[Live]
    limit: int | None
    counted: int | None

    @property
    def total(self) -> int | None:
        """How many monitors there are in all; None if the answer does not say.

        A count that is the page's own length may be just that.
        """
        return None if self.counted == len(self.monitors) else self.counted

    def is_followed(self, found: int) -> bool:
        """Whether there are more pages, as far as this one tells."""
        if self.total is not None:
            return self.total > found
        return self.limit is not None and 0 < self.limit <= len(self.monitors)


class Writer(Reader):
    """Reads and changes the monitors of one account."""

    def create(self, path: str, body: Mapping[str, JSON], secrets: Sequence[str] = ()) -> int:
        """Sends one POST and returns the id of the new monitor (documented: as text).

        A POST that may have arrived is not repeated: the monitor would be there twice. No message
        repeats a text of `secrets`.

        Raises:
            AlertSiteError: with `may_have_arrived` where the effect is not known.
        """
        answer = self._session.request("POST", path, body=body, secrets=secrets)
        number = _number(answer.get("id")) if isinstance(answer, dict) else None
        if number is None:
            raise NonsenseError(
                f"POST {path} did not return the id of the new monitor",
                "Run the same command again: it looks up the monitor by kind and name.",
                may_have_arrived=True,
            )
        return number

    def delete(self, path: str) -> None:
        """Sends one DELETE; a monitor that is not there any more is deleted (documented: 404).

        Raises:
            AlertSiteError: with `may_have_arrived` where the effect is not known.
        """
        with suppress(NotFoundError):
            self._session.request("DELETE", path)

    def patch(self, path: str, body: Mapping[str, JSON], secrets: Sequence[str] = ()) -> None:
        """Sends one PATCH; any 2xx is success (200 is documented by implication only).

        With `secrets` the answer must be as documented, or empty: no look can tell whether they
        were kept. No message repeats a text of them.

        Raises:
            AlertSiteError: with `may_have_arrived` where the effect is not known.
        """
        answer = self._session.request("PATCH", path, body=body, secrets=secrets)
        number = _number(answer.get("id")) if isinstance(answer, dict) else None
        if secrets and answer is not None and number != _number(path.rpartition("/")[2]):
            raise NonsenseError(
                f"PATCH {path} did not return the id of the monitor, and nothing else shows "
                "whether AlertSite kept a secret",
                may_have_arrived=True,
            )


def _live(item: JSON, path: str) -> Live:
    if not isinstance(item, dict) or "id" not in item:
        raise NonsenseError(f"GET {path} returned a monitor without an id", _ID_HINT)
    number = _number(item["id"])
    if number is None:
        shown = json.dumps(item["id"], ensure_ascii=False)
        if len(shown) > _LONGEST_ID:
            shown = f"{shown[:_LONGEST_ID]}…"
        raise NonsenseError(
            f"GET {path} returned a monitor whose id is {shown}, which is not a number of at most "
            f"{_MAX_DIGITS} digits",
            _ID_HINT,
        )
    kind = item.get("type")
    return Live(number, kind if isinstance(kind, str) and kind else None, item)


def _number(value: JSON) -> int | None:
    """An id or count, which AlertSite writes as a number or as a string of digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    return value if type(value) is int and 0 <= value < 10**_MAX_DIGITS else None
