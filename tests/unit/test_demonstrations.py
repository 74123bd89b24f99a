"""Windows are contiguous, stay in their episode, and say where they padded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.demonstrations import Demonstrations, windows
from df_policy.errors import DfPolicyError
from df_policy.robot import RobotSpec


@given(
    start=st.integers(0, 50),
    length=st.integers(1, 60),
    data=st.data(),
    tokens=st.integers(1, 10),
    chunk=st.integers(1, 9),
)
def test_a_window_is_the_episode_read_in_chunks(start, length, data, tokens, chunk):
    offset = data.draw(st.integers(0, length - 1))
    one = windows(np.array([start]), np.array([start + length]), np.array([offset]), tokens, chunk)
    for t in range(tokens):
        step = offset + t * chunk
        assert one.real[0, t] == (step < length)
        assert one.observation[0, t] == start + min(step, length - 1)
        for c in range(chunk):
            executed = step - chunk + c
            assert one.before[0, t, c] == (executed < 0)
            assert one.action[0, t, c] == start + min(max(executed, 0), length - 1)


def demonstrations(episodes):
    frames = 4 * episodes
    return Demonstrations(
        spec=RobotSpec("arm", ("joint",), {}),
        images={},
        tool_position=np.zeros((frames, 3), np.float32),
        tool_quat_xyzw=np.tile(np.array([0, 0, 0, 1], np.float32), (frames, 1)),
        gripper=np.full((frames, 1), 0.08, np.float32),
        action=np.zeros((frames, 10), np.float32),
        starts=np.arange(episodes) * 4,
        ends=np.arange(1, episodes + 1) * 4,
    )


@given(episodes=st.integers(2, 30), share=st.floats(0.0, 0.5), seed=st.integers(0, 99))
def test_a_split_parts_the_episodes_and_depends_only_on_its_seed(episodes, share, seed):
    data = demonstrations(episodes)
    train, held_out = data.split(share, seed)
    assert sorted([*train.starts, *held_out.starts]) == list(data.starts)
    assert len(held_out.ends) >= 1
    assert (data.split(share, seed)[0].ends == train.ends).all()


@given(episodes=st.integers(1, 30), data=st.data())
def test_the_first_ones_are_all_that_is_left(episodes, data):
    count = data.draw(st.integers(1, episodes))
    whole = demonstrations(episodes)
    some = whole.first(count)
    assert list(some.ends) == list(whole.ends[:count])
    assert list(some.starts) == list(whole.starts[:count])
    assert len(some.action) == len(some.gripper) == len(some.tool_position) == some.ends[-1]
    assert whole.first(0) is whole
    with pytest.raises(DfPolicyError, match=f"at least {episodes + 1} episodes"):
        whole.first(episodes + 1)


def test_one_episode_cannot_be_split():
    with pytest.raises(DfPolicyError, match="record more"):
        demonstrations(1).split(0.05, 0)


def test_proprioception_is_the_action_that_stays():
    row = demonstrations(2).proprioception()[0]
    assert list(row) == pytest.approx([0, 0, 0, 1, 0, 0, 0, 1, 0, 0.08])
