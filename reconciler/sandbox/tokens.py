"""Logins and access tokens. Rule: tokens live in the process only, never in the database.

Documented (api/v3/get-access-token.html): the login call, the `access_token` of 32 hexadecimal
digits, its life of one hour, 401 after that. Documented (api/v3/index.html): users whose role does
not allow an operation get 403.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

USERNAME: Final = "demo@example.com"
PASSWORD: Final = "demo"
VIEWER: Final = ("viewer@example.com", "viewer")


@dataclass(frozen=True, slots=True)
class User:
    """Who a token speaks for."""

    may_write: bool


_USERS: Final = {(USERNAME, PASSWORD): User(may_write=True), VIEWER: User(may_write=False)}


class Tokens:
    """The tokens handed out so far, until they expire."""

    def __init__(self, life: float, now: Callable[[], float]) -> None:
        self._life = life
        self._now = now
        self._holders: dict[str, tuple[User, float]] = {}

    def issue(self, username: object, password: object) -> str | None:
        """Return a new token for this login, or None if there is no such login."""
        if not isinstance(username, str) or not isinstance(password, str):
            return None
        user = _USERS.get((username, password))
        if user is None:
            return None
        token = secrets.token_hex(16)
        self._holders[token] = (user, self._now() + self._life)
        return token

    def holder(self, token: str) -> User | None:
        """Return the user of a token that is valid now, or None."""
        user, expiry = self._holders.get(token, (None, 0.0))
        if user is not None and self._now() >= expiry:
            del self._holders[token]
            return None
        return user
