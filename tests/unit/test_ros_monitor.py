"""What the nodes measure of themselves: a single accident is forgotten, what lasts is not."""

from hypothesis import given
from hypothesis import strategies as st

from df_policy.ros_nodes.monitor import Usual

MILLISECONDS = st.lists(st.floats(1.0, 200.0), min_size=2, max_size=60)


def most(values, window=20):
    usual = Usual(window)
    for value in values:
        usual.add(value)
    return usual.most


@given(MILLISECONDS, st.integers(0, 59), st.floats(201.0, 1e6))
def test_one_value_that_is_far_larger_is_never_the_usual_one(values, place, accident):
    """Wherever it comes: the others of the window bound what is usual."""
    place = min(place, len(values))
    for length in range(place + 2, len(values) + 2):
        seen = [*values[:place], accident, *values[place:]][:length]
        others = [v for v in seen[-20:] if v != accident]
        assert most(seen) <= max(others)


@given(MILLISECONDS, st.floats(201.0, 1e6))
def test_what_lasts_is_usual_from_the_second_time_on_until_it_is_over_for_a_window(values, slow):
    usual = Usual(20)
    for value in [*values, slow, slow]:
        usual.add(value)
    assert usual.most == slow
    for _ in range(18):
        usual.add(1.0)
    assert usual.most == slow
    usual.add(1.0)
    usual.add(1.0)
    assert usual.most == 1.0


def test_before_there_are_two_it_is_what_there_is():
    assert most([]) == 0.0
    assert most([7.0]) == 7.0
