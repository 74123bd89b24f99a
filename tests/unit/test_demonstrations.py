"""Recordings are split, joined and shortened as wholes; their rests are found and exchanged."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_data import make_demonstrations

from df_policy.demonstrations import Demonstrations, Rests, join
from df_policy.errors import DfPolicyError
from df_policy.robot import RobotSpec


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


def resting(rests, end):
    """One episode that moves but in `rests`, pairs of first frame and frame after the last."""
    moving = np.ones(end, dtype=bool)
    for begin, after in rests:
        moving[begin:after] = False
    position = np.cumsum(0.01 * moving).astype(np.float32)
    data = demonstrations(1)
    return dataclasses.replace(
        data,
        tool_position=np.repeat(position[:, None], 3, 1),
        tool_quat_xyzw=np.tile(np.array([0, 0, 0, 1], np.float32), (end, 1)),
        gripper=np.full((end, 1), 0.08, np.float32),
        action=np.repeat(position[:, None], 10, 1),
        starts=np.array([0]),
        ends=np.array([end]),
    )


def test_rests_are_found_but_for_short_ones_and_the_last():
    rests = Rests(resting([(5, 9), (12, 14), (20, 31), (40, 60)], 60))
    assert sorted(rests.lengths) == [4, 11]


def test_an_episode_is_finished_that_rests_at_its_end_longer_than_between_moves():
    assert Rests(resting([(5, 9), (20, 31), (40, 60)], 60)).finished.tolist() == [True]
    assert Rests(resting([(5, 9), (20, 31), (50, 60)], 60)).finished.tolist() == [False]
    assert Rests(resting([(5, 9), (20, 31)], 60)).finished.tolist() == [False]


@given(seed=st.integers(0, 999))
def test_an_exchange_changes_only_how_long_rests_are(seed):
    data = resting([(5, 9), (20, 31), (40, 60)], 60)
    order = Rests(data).exchange(0, np.random.default_rng(seed))
    assert (np.diff(order) >= 0).all()
    moving = [frame for frame in range(60) if not (5 <= frame < 9 or 20 <= frame < 31)]
    assert [frame for frame in order.tolist() if frame in moving] == moving
    for begin, end in ((5, 9), (20, 31)):
        assert ((order >= begin) & (order < end)).sum() in (4, 11)


def test_an_exchange_gives_other_episodes():
    rests = Rests(resting([(5, 9), (20, 31), (40, 60)], 60))
    orders = {tuple(rests.exchange(0, np.random.default_rng(seed))) for seed in range(20)}
    assert len(orders) == 4


def test_a_rest_in_which_something_is_seen_to_happen_keeps_its_length():
    data = resting([(5, 9), (20, 31), (40, 60)], 60)
    shown = np.zeros((60, 16, 16, 3), np.uint8)
    shown[25:, :2, :2] = 200  # a lamp goes on
    shown[:, 8, 8] = np.arange(60)[:, None]  # and a pixel is never the same
    rests = Rests(dataclasses.replace(data, images={"front": shown}))
    assert rests.lengths.tolist() == [4]
    assert rests.finished.tolist() == [True]
    order = rests.exchange(0, np.random.default_rng(0))
    assert order.tolist() == list(range(60))


def test_joined_recordings_are_each_as_they_were():
    parts = [make_demonstrations(episodes, seed=episodes) for episodes in (2, 1, 3)]
    whole = join(parts)
    rng = np.random.default_rng(0)
    at = 0
    for part in parts:
        frames = len(part.action)
        rows = rng.integers(0, frames, 50)
        for camera, images in part.images.items():
            assert np.array_equal(whole.images[camera][rows + at], images[rows])
        assert np.array_equal(whole.action[at : at + frames], part.action)
        at += frames
    mixed = rng.permutation(at)
    one_by_one = [whole.images["front"][mixed[i : i + 1]][0] for i in range(at)]
    assert np.array_equal(whole.images["front"][mixed], np.stack(one_by_one))
    lengths = [length for part in parts for length in part.ends - part.starts]
    assert list(whole.ends - whole.starts) == lengths
    assert list(whole.ends) == list(np.cumsum(lengths))


def test_recordings_of_two_robots_are_not_joined():
    one = demonstrations(2)
    other = dataclasses.replace(one, spec=RobotSpec("leg", ("joint",), {}))
    with pytest.raises(DfPolicyError, match="one robot"):
        join([one, other])


def test_recordings_of_one_robot_within_other_limits_are_joined_within_the_first_ones():
    one = demonstrations(2)
    spec = dataclasses.replace(one.spec, max_acceleration_m_s2=80.0, max_speed_m_s=2.0)
    other = dataclasses.replace(one, spec=spec)
    assert join([one, other]).spec == one.spec
    assert join([other, one]).spec == spec


@given(
    sizes=st.lists(st.integers(2, 9), min_size=1, max_size=4),
    weights=st.lists(st.floats(0.1, 10.0), min_size=4, max_size=4),
    seed=st.integers(0, 9),
)
def test_with_weights_each_recording_has_its_share_of_the_sequences(sizes, weights, seed):
    weights = weights[: len(sizes)]
    joined = join([demonstrations(size) for size in sizes], weights)
    for data in (joined, joined.split(0.1, seed)[0]):
        of = np.repeat(np.arange(len(sizes)), sizes)[data.starts // 4]
        shares = np.bincount(of, data.shares(), len(sizes))
        left = np.array([weight if (of == n).any() else 0.0 for n, weight in enumerate(weights)])
        assert np.allclose(shares, left / left.sum())


def test_without_weights_frames_are_drawn_alike():
    joined = join([demonstrations(2), demonstrations(6)])
    assert np.allclose(joined.shares(), 1 / 8)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -2.0], [1.0, float("nan")]])
def test_weights_that_are_not_one_above_0_for_each_are_refused(weights):
    with pytest.raises(DfPolicyError, match="a weight above 0 for each of 2"):
        join([demonstrations(2), demonstrations(2)], weights)
