"""What tests of stores do with any of them."""

from collections.abc import Callable

import pytest

from reconciler.errors import ConflictError, StateError
from reconciler.state_store import Key, Store


def write(store: Store, data: bytes, expected: str | None = None, key: Key = Key.STATE) -> str:
    return store.write(key, data, expected, "run 1")


def content(store: Store, key: Key = Key.STATE) -> bytes | None:
    held = store.read(key)
    return held and held.data


def failure(act: Callable[[], object]) -> str:
    """What is said of a failure that is no conflict, and that says what to do next."""
    with pytest.raises(StateError) as error:
        act()
    assert not isinstance(error.value, ConflictError)
    assert error.value.hint
    return str(error.value)
