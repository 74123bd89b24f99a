"""What is read is the episode with pauses in it; what is learnt is the episode without them."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from training_data import make_demonstrations

from df_policy.reading import Reading, windows

DATA = make_demonstrations(episodes=2, length=60)
SEEDS = st.integers(0, 9999)
STEPS, CHUNK, TOKENS = 240, 8, 30


def paused(seed, finished=True, data=DATA):
    return Reading.with_pauses(data.episode(1), data, finished, STEPS, np.random.default_rng(seed))


def held(reading):
    """The steps whose action was imposed."""
    return np.flatnonzero(reading.done < reading.at)


@given(
    start=st.integers(0, 50),
    length=st.integers(1, 60),
    data=st.data(),
    tokens=st.integers(1, 10),
    chunk=st.integers(1, 9),
)
def test_a_window_is_the_episode_read_in_chunks(start, length, data, tokens, chunk):
    offset = data.draw(st.integers(0, length - 1))
    reading = Reading.of(np.arange(start, start + length))
    one = windows([reading], np.array([offset]), tokens, chunk)
    for t in range(tokens):
        step = offset + t * chunk
        assert one.real[0, t] == (step < length)
        assert one.read.observation[0, t] == start + min(step, length - 1)
        for c in range(chunk):
            executed = step - chunk + c
            assert one.read.before[0, t, c] == (executed < 0)
            assert one.read.action[0, t, c] == start + min(max(executed, 0), length - 1)
        if one.real[0, t]:
            assert one.read.earlier[0, t] == start + max(step - 1, 0)
            for name in ("observation", "earlier", "action", "before"):
                read, free = getattr(one.read, name), getattr(one.free, name)
                assert np.array_equal(read[0, t], free[0, t])


@given(SEEDS)
def test_a_pause_holds_what_was_sent_last_and_loses_nothing(seed):
    reading = paused(seed)
    during = held(reading)
    assert (np.diff(reading.at)[during] == 0).all()
    assert (reading.done[during] == reading.at[during] - 1).all()
    rest = np.delete(np.arange(len(reading.at)), during)
    assert np.array_equal(reading.done[rest][:60], np.arange(60))
    assert (reading.done[rest][60:] == 59).all()
    assert len(reading.at) == STEPS


@given(SEEDS)
def test_in_a_pause_the_hand_comes_to_rest_where_it_was_sent(seed):
    """A hand that lags by two frames is seen a frame later than it is held."""
    lag = {name: np.roll(getattr(DATA, name), 2, axis=0) for name in ("tool_position", "gripper")}
    reading = paused(seed, data=dataclasses.replace(DATA, **lag))
    for place in np.unique(reading.at[held(reading)]):
        (inside,) = np.nonzero(reading.at == place)
        before = reading.seen[inside[0] - 1]
        if len(inside) > 1 and place < 59:
            assert reading.seen[inside[0]] == max(place, before)
            assert reading.seen[inside[-1]] == max(place + 1, before)
    assert (np.diff(reading.seen) >= 0).all()


@given(seed=SEEDS, offset=st.integers(0, CHUNK - 1), finished=st.booleans())
def test_what_is_learnt_is_to_go_on_from_where_the_last_token_ended(seed, offset, finished):
    reading = paused(seed, finished)
    cut = windows([reading], np.array([offset]), TOKENS, CHUNK)
    begin = DATA.starts[1]
    imposed = np.zeros(len(reading.at), bool)
    imposed[held(reading)] = True
    for t in range(1, TOKENS):
        if not cut.real[0, t]:
            continue
        step = offset + CHUNK * t
        now = reading.at[step - CHUNK]
        expected = begin + np.minimum(now + np.arange(CHUNK + 1), 59)
        assert np.array_equal(cut.free.action[0, t], expected[:-1])
        assert cut.free.observation[0, t] == expected[-1]
        executed = np.arange(step - CHUNK, step)
        assert np.array_equal(cut.read.action[0, t], begin + reading.done[executed])
        if not imposed[executed].any():
            assert np.array_equal(cut.read.action[0, t], cut.free.action[0, t])


@given(seed=SEEDS)
def test_only_a_finished_episode_goes_on_beyond_its_end(seed):
    endless = windows([paused(seed)], np.array([0]), TOKENS, CHUNK)
    assert endless.real.all()
    reading = paused(seed, finished=False)
    cut = windows([reading], np.array([0]), TOKENS, CHUNK)
    steps = CHUNK * np.arange(1, TOKENS)
    begins = reading.at[np.minimum(steps - CHUNK, len(reading.at) - 1)]
    expected = (steps < len(reading.at)) & (begins + CHUNK < 60)
    assert cut.real[0].tolist() == [True, *expected.tolist()]


def test_an_episode_of_one_frame_has_no_room_for_a_pause():
    order = np.arange(1)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        reading = Reading.with_pauses(order, DATA, True, 5, rng)
        assert (reading.at == 0).all()
        assert len(reading.at) == 5
