"""Of all wishes for the fingers the newest alone, once it has settled."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from df_policy.hardware.hand_goals import HandGoals, HandSettings

SETTINGS = HandSettings(grasp_below_m=0.04, deadband_m=0.004)
openings = st.floats(0.0, 0.08)


def look(goals):
    """What a hand does in each look; the goal that it begins, if any."""
    return goals.begin() if goals.due() else None


@given(st.lists(openings, min_size=1, max_size=30))
@example(
    [0.047, 0.047, 0.062, 0.0508, 0.0546]
)  # the last is like its like, and not like the first
def test_the_last_wish_is_what_is_begun_last(wishes):
    goals = HandGoals(SETTINGS)
    begun = []
    for wish in wishes:
        goals.want(wish)
        begun.append(look(goals))
    begun += [look(goals) for _ in range(3)]
    last = [goal for goal in begun if goal is not None][-1]
    assert last.grasp == (wishes[-1] < 0.04)
    if not last.grasp:
        assert abs(last.opening_m - wishes[-1]) <= 0.004
    assert look(goals) is None  # and never again


def test_to_hold_is_begun_at_once_and_to_open_when_it_is_meant():
    goals = HandGoals(SETTINGS)
    goals.want(0.0)
    assert look(goals).grasp
    for opening in (0.05, 0.06, 0.07):  # a ramp: each would cut the last one short
        goals.want(opening)
        assert look(goals) is None
    assert look(goals).opening_m == 0.07


@pytest.mark.parametrize("forgotten", [True, False])
def test_what_may_not_have_been_carried_out_is_begun_anew(forgotten):
    goals = HandGoals(SETTINGS)
    goals.want(0.0)
    goal = look(goals)
    if forgotten:
        goals.forget()
    assert (look(goals) == goal) == forgotten
    assert goals.wanted(goal)
