"""Logins that were rejected are not tried again, by nobody in the process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.context import RejectedLogins
from reconciler.errors import CredentialsError, UnavailableError

LOGIN = ("https://host", "me", "w0rd")


def test_of_many_threads_one_tries_a_login_that_is_rejected() -> None:
    rejected, tried = RejectedLogins(), []

    def log_in(_: int) -> None:
        with rejected.turn(*LOGIN):
            tried.append(1)
            raise CredentialsError("no", "Check it.")

    with ThreadPoolExecutor(8) as pool:
        errors = [future.exception() for future in [pool.submit(log_in, it) for it in range(20)]]
    assert len(tried) == 1
    assert {str(error) for error in errors} == {"no"}
    assert all(
        isinstance(error, CredentialsError) and error.hint == "Check it." for error in errors
    )


def test_another_login_is_tried_and_one_that_had_no_answer_again() -> None:
    rejected = RejectedLogins()
    with pytest.raises(UnavailableError), rejected.turn(*LOGIN):
        raise UnavailableError("busy")
    with pytest.raises(CredentialsError), rejected.turn(*LOGIN):
        raise CredentialsError("no")
    with rejected.turn(*LOGIN[:2], "an0ther"):
        pass
