"""What the tree of exceptions promises for each of them."""

import time

import pytest

from reconciler.errors import StateError, without_logins

_CLEAN = {
    "https://ci:pw@git.example.com/x.git": "https://git.example.com/x.git",
    "'gti:https://ci:pw@host/x' is none": "'gti:https://host/x' is none",
    "https://pw@host/x": "https://host/x",
    "https://ci:p@w@host/x": "https://host/x",
    "https://ci:p/w@host/x": "https://host/x",
    'https://ci:p"w@host/x': "https://host/x",
    "https://proxy/https://u:pw@host/x?a=https://pw": "https://proxy/https://host/x",
    "HTTP://u:pw@host:80, and http://u:pw@host": "HTTP://host:80, and http://host",
    "ssh://git:pw@host/x": "ssh://host/x",
    "https://host/x.git?private_token=pw": "https://host/x.git",
    "'https://u:pw@host/x?key=pw&b=pw#refs/x'": "'https://host/x#refs/x'",
    """fetch 'https://host/x?key=p'w<p"w>pw', then.""": "fetch 'https://host/x', then.",
    "GET http://u:pw@127.0.0.1:3/b/k?sig=pw in 1s": "GET http://127.0.0.1:3/b/k in 1s",
}
_SAME = (
    "ssh://git@host/x",
    "git@host:x.git",
    "Write to a@example.com. Is https://host/x right?",
    "http://host:8080/npm/@scope/x",
    "http://[::1]:8080/npm/@scope/x",
    "GET /monitors?type=email-smtp",
    "https://host/x#refs/x",
    "https://host:80/a?",
)


@pytest.mark.parametrize(("text", "clean"), [*_CLEAN.items(), *((text, text) for text in _SAME)])
def test_no_message_shows_the_login_or_the_query_of_a_url(text: str, clean: str) -> None:
    assert without_logins(text) == clean
    error = StateError(text, text)
    assert (str(error), error.hint) == (clean, clean)


@pytest.mark.parametrize(
    "part", ["/", "//:", "//a:", "//a:b", "//a@", "//a?", "ssh://a@", "?", ":"]
)
def test_a_long_text_takes_no_time(part: str) -> None:
    """A server may have chosen it. The square of its length would be minutes."""
    text = "//" + part * 300_000
    began = time.process_time()
    without_logins(text)
    assert time.process_time() - began < 5
