"""A mirrored demonstration is what a mirror on the base's x and z axes would show."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from training_data import make_demonstrations

from df_policy.geometry import rotation_6d
from df_policy.mirror import mirrored, mirrored_rows, with_mirrored

ACROSS = np.diag([1.0, -1.0, 1.0])


def turned(data, seed):
    """The episodes of `data` with the tool turned at random."""
    quats = Rotation.random(len(data.action), rng=np.random.default_rng(seed)).as_quat()
    action = data.action.copy()
    action[:, 3:9] = rotation_6d(quats)
    return dataclasses.replace(data, action=action, tool_quat_xyzw=quats.astype(np.float32))


@given(seed=st.integers(0, 99))
def test_places_and_rotations_are_those_in_the_mirror(seed):
    data = turned(make_demonstrations(2, 6), seed)
    seen = mirrored(data)
    assert np.allclose(seen.tool_position, data.tool_position @ ACROSS)
    before, after = (Rotation.from_quat(d.tool_quat_xyzw).as_matrix() for d in (data, seen))
    assert np.allclose(after, ACROSS @ before @ ACROSS, atol=1e-5)
    assert np.allclose(seen.action, mirrored_rows(data.action))
    assert np.allclose(
        seen.action[:, 3:9], rotation_6d(seen.tool_quat_xyzw.astype(np.float64)), atol=1e-5
    )
    assert np.allclose(seen.action[:, :3], data.action[:, :3] @ ACROSS)
    assert np.array_equal(seen.action[:, 9:], data.action[:, 9:])
    assert np.array_equal(seen.gripper, data.gripper)


def test_images_are_the_other_way_round_and_in_a_second_mirror_as_they_were():
    data = make_demonstrations(2, 6)
    rows = np.array([3, 0, 11])
    for camera, images in mirrored(data).images.items():
        assert len(images) == 12
        assert np.array_equal(images[rows][:, :, 0], data.images[camera][rows][:, :, -1])
        assert np.array_equal(
            mirrored(mirrored(data)).images[camera][rows], data.images[camera][rows]
        )


def test_an_episode_is_mirrored_only_if_it_is_learnt_from():
    data = make_demonstrations(4)
    learnt, held_out = data.split(0.25, seed=0)
    both, part = with_mirrored(data, learnt)
    assert len(both.action) == 2 * len(data.action)
    assert np.array_equal(both.action[: len(data.action)], data.action)
    assert np.array_equal(part.starts, [*learnt.starts, *(learnt.starts + len(data.action))])
    rows = part.frames()
    assert not np.isin(rows % len(data.action), held_out.frames()).any()
    first, last = part.episode(0), part.episode(len(part.ends) - 1)
    assert np.array_equal(both.action[first], data.action[learnt.episode(0)])
    assert np.array_equal(both.action[last], mirrored_rows(data.action[learnt.episode(2)]))


@pytest.mark.parametrize("count", [4, 3])
def test_mirrored_episodes_are_drawn_as_often_as_their_own(count):
    weights = ((40, 3.0), (160, 1.0))
    data = dataclasses.replace(make_demonstrations(4), weights=weights).first(count)
    _, part = with_mirrored(data, data)
    shares = part.shares()
    assert shares.sum() == pytest.approx(1.0)
    assert shares[:count] == pytest.approx(shares[count:])
    assert shares[0] == pytest.approx(3 * shares[1:count].sum())


def test_of_the_first_episodes_each_mirrored_frame_shows_its_own_image():
    data = make_demonstrations(4).first(3)
    both, part = with_mirrored(data, data)
    rows = part.episode(5)
    for camera, images in data.images.items():
        assert np.array_equal(both.images[camera][rows], images[rows - 120][:, :, ::-1])
