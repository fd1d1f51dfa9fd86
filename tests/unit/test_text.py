"""Numbers and times, which are written alike everywhere."""

import pytest

from reconciler.render.text import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0404, "40 ms"),
        (1, "1.0 s"),
        (1.24, "1.2 s"),
        (12.4, "12 s"),
        (60, "1 min 0 s"),
        (185, "3 min 5 s"),
        (3720, "1 h 2 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
