"""Reading and writing monitors.

Planning is given a `Reader`, which has no method that writes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.errors import NonsenseError, NotFoundError
from reconciler.model import JSON, Live

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.alertsite.session import Session


_MAX_DIGITS = 18


class Reader:
    """Reads the monitors of one account.

    Attributes:
        account: how plans and results name the account.
    """

    def __init__(self, session: Session, account: str) -> None:
        self._session = session
        self.account = account

    def list_monitors(self, kinds: Iterable[str]) -> list[Live]:
        """Every monitor of those kinds; others too, if AlertSite ignores the filter.

        One request, and more only if the answer says that it is one page (unknown for monitors,
        documented for recipients). Stops at a page that brings nothing new.

        Raises:
            AlertSiteError: AlertSite cannot be reached, refuses, or answers something else.
        """
        query = {"type": ",".join(kinds)}
        found: dict[int, Live] = {}
        while True:
            page = self._session.request("GET", "/monitors", query=query)
            monitors = [_live(item) for item in _items(page)]
            before = len(found)
            found.update((monitor.id, monitor) for monitor in monitors)
            if len(found) == before or not _is_more(page, len(monitors), len(found)):
                return list(found.values())
            query = {**query, "offset": str(len(found))}


class Writer(Reader):
    """Reads and changes the monitors of one account."""

    def create(self, path: str, body: Mapping[str, JSON], secrets: Sequence[str] = ()) -> int:
        """Sends one POST and returns the id of the new monitor (documented: as text).

        A POST that may have arrived is not repeated: the monitor would be there twice.

        Args:
            path: below the base URL.
            body: the monitor.
            secrets: texts in the body that no message may repeat.

        Raises:
            AlertSiteError: with `may_have_arrived` where the effect is not known.
        """
        answer = self._session.request("POST", path, body=body, secrets=secrets)
        number = _number(answer.get("id")) if isinstance(answer, dict) else None
        if number is None:
            error = NonsenseError(
                f"POST {path} was answered without the id of the new monitor",
                "Run the same command again: it is looked up by kind and name.",
            )
            error.may_have_arrived = True
            raise error
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

        Args:
            path: below the base URL.
            body: the fields to change.
            secrets: texts in the body that no message may repeat.

        Raises:
            AlertSiteError: with `may_have_arrived` where the effect is not known.
        """
        self._session.request("PATCH", path, body=body, secrets=secrets)


def _items(page: JSON) -> list[JSON]:
    """The monitors of an answer: `{"results": […]}`, a bare list or a bare monitor (unknown)."""
    if isinstance(page, list):
        return page
    if isinstance(page, dict):
        results = page.get("results")
        if isinstance(results, list):
            return results
        if "id" in page:
            return [page]
    raise NonsenseError(
        "GET /monitors was answered with JSON that holds no list of monitors",
        "Check ALERTSITE_URL: it must end in /api/v3.",
    )


def _live(item: JSON) -> Live:
    number = _number(item.get("id")) if isinstance(item, dict) else None
    if number is None:
        raise NonsenseError("GET /monitors was answered with a monitor that has no numeric id")
    kind = item.get("type")
    return Live(number, kind if isinstance(kind, str) and kind else None, item)


def _is_more(page: JSON, size: int, found: int) -> bool:
    """Whether `metadata.resultset` speaks of more; `count` may mean the page or all (unknown)."""
    metadata = page.get("metadata") if isinstance(page, dict) else None
    resultset = metadata.get("resultset") if isinstance(metadata, dict) else None
    if not isinstance(resultset, dict):
        return False
    limit, count = _number(resultset.get("limit")), _number(resultset.get("count"))
    return (limit is not None and 0 < limit <= size) or (count is not None and count > found)


def _number(value: JSON) -> int | None:
    """An id or count, which AlertSite writes as a number or as a string of digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
        return int(value)
    return value if type(value) is int else None
