"""Which of many plans is followed: the middle of the likeliest, or one as it was drawn."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from df_policy.choice import densest, drawn


def test_the_densest_of_many_plans_is_in_the_larger_group_and_not_between_the_groups():
    rows = torch.tensor([[0.0], [0.1], [0.2], [5.0], [10.0], [10.1]])
    assert densest(rows) == 1
    assert densest(rows.flip(0)) == 4
    assert densest(torch.zeros(1, 3)) == 0


@given(count=st.integers(1, 9), seed=st.integers(0, 99))
def test_the_plan_as_it_was_drawn_is_one_of_the_nearest_to_the_first(count, seed):
    rows = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    assert drawn(rows) in (rows - rows[0]).norm(dim=1).argsort()[:3].tolist()
    assert drawn(rows[:1]) == 0


def test_a_plan_between_two_choices_gives_way_to_one_that_chose():
    rows = torch.tensor([[4.0], [0.0], [0.1], [10.0], [10.1]])
    assert drawn(rows) in (1, 2)


def test_a_rarer_choice_is_made_nearly_as_often_as_it_is_drawn():
    """By the densest hardly ever."""
    generator = torch.Generator().manual_seed(0)
    picked = {drawn: 0, densest: 0}
    for _ in range(1000):
        rarer = (torch.rand(8, generator=generator) < 0.3).float()
        rows = (rarer + 0.01 * torch.randn(8, generator=generator))[:, None]
        for choice in picked:
            picked[choice] += int(rarer[choice(rows)])
    assert 230 < picked[drawn] < 350
    assert picked[densest] < 0.6 * picked[drawn]
