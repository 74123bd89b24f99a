"""What is said of an episode: counts equal what was lost, labels come back, checksums tell."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from small_store import arrived
from tiny_world import SPEC, frames

from df_policy.data.episode import check_arrivals, stack
from df_policy.data.label import Label, about, checksum, counts
from df_policy.data.schema import NOTE_BYTES, labels
from df_policy.errors import DfPolicyError
from df_policy.frames import UNKNOWN, Arrival, Frame, streams

COUNT = 25
PERIOD = SPEC.period_ns
WAYS = streams(SPEC.cameras)


def episode() -> list[Frame]:
    return [arrived(frame) for frame in frames(0, COUNT)]


@settings(max_examples=30)
@given(
    stalled=st.sets(st.integers(1, COUNT - 1)),
    lost=st.dictionaries(st.integers(0, COUNT - 1), st.integers(1, 9)),
    stream=st.sampled_from(WAYS),
)
def test_counts_equal_what_was_injected(stalled, lost, stream):
    """A camera that stalls gives its last sample again; lost samples are told by the intake."""
    made = episode()
    last = made[0].observation.stamp_ns
    for index, frame in enumerate(made):
        if index not in stalled:
            last = frame.observation.stamp_ns
        came = Arrival(last, last + 10**18, lost.get(index, 0))
        made[index] = arrived(frame, **{stream: came})
    found = counts(stack(made, SPEC), SPEC)
    dropped, late = (
        dict(zip(names, row, strict=True))
        for names, row in zip((WAYS, ("tick", *WAYS)), found.values(), strict=True)
    )
    assert dropped.pop(stream) == sum(lost.values())
    assert late.pop(stream) == len(stalled)
    assert not any(dropped.values())
    assert not any(late.values())


@settings(max_examples=30)
@given(st.sets(st.integers(1, COUNT - 1)))
def test_late_ticks_are_counted(late):
    made = frames(0, COUNT)
    shift = 0
    for index, frame in enumerate(made):
        shift += PERIOD // 5 if index in late else 0
        moved = replace(frame.observation, stamp_ns=index * PERIOD + shift)
        made[index] = replace(frame, observation=moved)
    assert counts(stack(made, SPEC), SPEC)["late"][0] == len(late)


def test_what_nobody_tells_is_unknown_and_not_zero():
    found = counts(stack(frames(0, COUNT), SPEC), SPEC)
    assert list(found["dropped"]) == [UNKNOWN] * len(WAYS)
    assert list(found["late"]) == [0] + [UNKNOWN] * len(WAYS)


@given(st.integers(-1, 2**62), st.booleans(), st.text(max_size=NOTE_BYTES // 4))
def test_a_label_comes_back(seed, success, note):
    label = Label(seed, success, note.replace("\0", "").strip("\0"))
    found = Label.from_rows(label.rows())
    expected = label.note.encode("utf-8", "replace").decode()
    assert (found.seed, found.success, found.note) == (seed, success, expected)


@given(st.text(alphabet="aé€😀", min_size=NOTE_BYTES // 2, max_size=2 * NOTE_BYTES))
def test_a_long_note_is_cut_at_a_letter(note):
    found = Label.from_rows(Label(note=note).rows()).note
    assert note.startswith(found)
    assert NOTE_BYTES - 4 < len(found.encode()) <= NOTE_BYTES or found == note


@given(st.integers(0, 10**6), st.integers(0, COUNT - 1))
def test_every_bit_counts_in_the_checksum(bit, start):
    rows = stack(frames(1, COUNT), SPEC)["action"]
    changed = rows.copy()
    flat = changed.reshape(-1).view(np.uint8)
    flat[bit // 8 % len(flat)] ^= 1 << bit % 8
    assert checksum(rows, "float32") != checksum(changed, "float32")
    # In parts as in one go, and whatever the byte order in memory.
    parts = checksum(rows[start:], "float32", checksum(rows[:start], "float32"))
    assert parts == checksum(rows, "float32") == checksum(rows.astype(">f4"), "float32")


def test_the_checksum_covers_every_array():
    names = labels(SPEC)[-1].names
    arrays = stack(episode(), SPEC)
    of_images = {f"data/image_{camera}": 7 for camera in SPEC.cameras}
    numbers = {name: rows for name, rows in arrays.items() if f"data/{name}" not in of_images}
    rows = about(Label(3), numbers, of_images, SPEC)
    assert len(rows["checksum"]) == len(names) == len(set(names))
    assert np.all(rows["checksum"] >= 0)
    assert {"data/image_front", "data/action", "data/arrivals", "meta/success"} <= set(names)


@pytest.mark.parametrize(
    ("index", "came", "message"),
    [
        (7, Arrival(7 * PERIOD, 10**9, 0), "the clock was set back"),
        (7, Arrival(7 * PERIOD + 1_000_000, 7 * PERIOD + 10**18, 0), "not after their tick"),
    ],
)
def test_clocks_that_contradict_each_other_are_refused(index, came, message):
    made = episode()
    made[index] = arrived(made[index], image_wrist=came)
    with pytest.raises(DfPolicyError, match=f"image_wrist.*{message}|{message}.*image_wrist"):
        check_arrivals(stack(made, SPEC), SPEC, "it")


def test_a_recorders_clock_that_was_set_back_is_named():
    made = episode()
    made[9] = replace(made[9], received_ns=5)
    with pytest.raises(DfPolicyError, match=r"received_ns of it .* 0.000 s back after frame 8"):
        check_arrivals(stack(made, SPEC), SPEC, "it")
