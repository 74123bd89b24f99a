"""A wrong name is answered with the right one, where one is near."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.errors import nearest

NAMES = ("fruit_swap", "train", "evaluate")


@pytest.mark.parametrize(
    ("name", "meant"), [("trian", "train"), ("fruitswap", "fruit_swap"), ("evalute", "evaluate")]
)
def test_a_slip_is_answered_with_what_was_meant(name, meant):
    assert nearest(name, NAMES) == f"; did you mean {meant!r}?"


@pytest.mark.parametrize("name", ["", "xyz", "--"])
def test_a_name_like_no_other_gets_no_hint(name):
    assert nearest(name, NAMES) == ""


@given(st.text(), st.lists(st.text()))
def test_a_hint_names_one_that_is_known(name, names):
    hint = nearest(name, names)
    assert hint == "" or hint in {f"; did you mean {known!r}?" for known in names}


@given(st.text(min_size=1), st.lists(st.text()))
def test_a_known_name_is_nearest_to_itself(name, others):
    assert nearest(name, [*others, name]) == f"; did you mean {name!r}?"
