"""Verbs, numbers and times, which are written alike everywhere."""

import pytest

from reconciler.core.plan import Action, BindingAction
from reconciler.core.planner import decide
from reconciler.render import plan_text
from reconciler.render.text import duration
from reconciler.render.verbs import VERBS

from build import ACCOUNT, SCHEMAS


def test_each_action_has_one_verb() -> None:
    assert set(VERBS) == {*Action, *BindingAction}
    assert len({verb.word for verb in VERBS.values()}) == len(VERBS)


def test_large_numbers_have_commas() -> None:
    plan = decide(ACCOUNT, (), {}, (), SCHEMAS.kinds)._replace(unchanged=12345, unmanaged=1234)
    assert "No changes. 12,345 unchanged." in plan_text(plan)
    assert "1,234 email monitors" in plan_text(plan)


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
