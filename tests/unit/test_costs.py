"""Costs as a person writes them: read whole or refused with a reason, and written as they were."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.costs import (
    KINDS,
    MOST,
    MOST_TEXT,
    ApproachFirst,
    KeepOutBox,
    KeepOutCylinder,
    Pending,
    Reach,
    ReachPose,
    SpeedLimit,
    parse,
    read,
    write,
)
from df_policy.errors import DfPolicyError

METRES = st.floats(-2.0, 2.0)
SIZES = st.floats(0.001, 2.0)
POINTS = st.tuples(METRES, METRES, METRES)
TURNS = (
    st.tuples(METRES, METRES, METRES, METRES)
    .filter(lambda quat: np.linalg.norm(quat) > 0.01)
    .map(lambda quat: tuple(float(number) for number in quat / np.linalg.norm(quat)))
)
COSTS = st.one_of(
    st.builds(KeepOutBox, POINTS, st.tuples(SIZES, SIZES, SIZES), SIZES),
    st.builds(KeepOutCylinder, st.tuples(METRES, METRES), SIZES, METRES, SIZES),
    st.builds(SpeedLimit, SIZES),
    st.builds(Reach, POINTS, st.floats(0.001, 1.0)),
    st.builds(ReachPose, POINTS, TURNS, st.floats(0.001, 1.0)),
    st.builds(ApproachFirst, POINTS, SIZES, st.floats(0.001, 1.0)),
)


@given(st.lists(COSTS, max_size=6).map(tuple))
def test_costs_are_read_as_they_were_written(costs):
    assert parse(write(costs)) == costs


def test_costs_are_read_from_json():
    text = json.dumps(
        [
            {"kind": "keep_out_box", "center_m": [0.5, 0, 0.1], "half_m": [0.05, 0.06, 0.1]},
            {"kind": "keep_out_cylinder", "center_m": [0.5, 0], "radius_m": 0.1, "top_m": 0.2},
            {"kind": "speed_limit", "speed_m_s": 0.2},
            {"kind": "reach", "point_m": [0.5, 0.1, 0.2]},
            {"kind": "reach_pose", "point_m": [0.5, 0.1, 0.2], "quat_xyzw": [1, 0, 0, 0]},
            {"kind": "approach_first", "point_m": [0.5, 0.1, 0.03]},
        ]
    )
    assert [type(cost) for cost in parse(text)] == list(KINDS.values())
    assert parse(text)[0] == KeepOutBox((0.5, 0.0, 0.1), (0.05, 0.06, 0.1))
    assert parse("") == parse("[]") == parse(" \n") == ()


def test_costs_may_stand_in_a_file(tmp_path):
    path = tmp_path / "costs.json"
    path.write_text('[{"kind": "speed_limit", "speed_m_s": 0.2}]\n')
    assert read(str(path)) == read(path.read_text()) == (SpeedLimit(0.2),)
    assert read("") == ()
    for wrong in ("nowhere.json", str(tmp_path), "a\0b", "x" * 5000):
        with pytest.raises(DfPolicyError, match="file of"):
            read(wrong)
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(DfPolicyError, match="file of"):
        read(str(path))
    path.write_text(" " * (MOST_TEXT + 1))
    with pytest.raises(DfPolicyError, match=f"up to {MOST_TEXT}"):
        read(str(path))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "JSON list"),
        ("{}", "JSON list"),
        ("[1]", "kind"),
        ('[{"kind": "reech", "point_m": [0, 0, 0]}]', "did you mean 'reach'"),
        ('[{"kind": "reach"}]', "all values of reach"),
        ('[{"kind": "reach", "point_m": [0, 0]}]', "3 finite"),
        ('[{"kind": "reach", "point_m": [0, 0, NaN]}]', "3 finite"),
        ('[{"kind": "reach", "point_m": "here"}]', "3 finite"),
        ('[{"kind": "speed_limit", "speed_m_s": true}]', "1 finite"),
        ('[{"kind": "speed_limit", "speed_m_s": 1, "colour": 2}]', "values speed_m_s"),
        ('[{"kind": ["reach"]}]', "a cost of keep_out_box"),
        ('[{"kind": "speed_limit", "speed_m_s": 0}]', "speed_limit.speed_m_s above 0"),
        ('[{"kind": "reach", "point_m": [0, 0, 0], "weight": 2}]', "weight above 0 and up to 1"),
        (
            '[{"kind": "keep_out_box", "center_m": [0, 0, 0], "half_m": [1, 1, -1]}]',
            "half_m above 0",
        ),
        (
            '[{"kind": "keep_out_cylinder", "center_m": [0, 0], "radius_m": 1, "top_m": 1, '
            '"margin_m": -1}]',
            "margin_m of at least 0",
        ),
        ('[{"kind": "reach_pose", "point_m": [0, 0, 0]}]', "all values of reach_pose"),
        (
            '[{"kind": "reach_pose", "point_m": [0, 0, 0], "quat_xyzw": [1, 0, 0]}]',
            "4 finite",
        ),
        (
            '[{"kind": "reach_pose", "point_m": [0, 0, 0], "quat_xyzw": [1, 1, 0, 0]}]',
            "quat_xyzw of length 1, got .* of 1.41",
        ),
        ('[{"kind": "approach_first", "point_m": [0, 0, 0], "radius_m": 0}]', "radius_m above 0"),
        ("[" * 5000, "JSON list"),
        ("[" + "9" * 5000 + "]", "JSON list"),
        (json.dumps([{"kind": "speed_limit", "speed_m_s": 1}] * (MOST + 1)), f"up to {MOST}"),
        (" " * (MOST_TEXT + 1), f"up to {MOST_TEXT} characters"),
    ],
)
def test_what_is_no_cost_is_said(text, match):
    with pytest.raises(DfPolicyError, match=match):
        parse(text)


@given(st.lists(COSTS, max_size=6), st.lists(POINTS, max_size=30))
def test_places_are_approached_in_the_order_of_the_list_and_all_else_acts_always(costs, way):
    pending = Pending(costs)
    places = [cost for cost in costs if isinstance(cost, ApproachFirst)]
    others = [cost for cost in costs if not isinstance(cost, ApproachFirst)]
    for point in way:
        over = bool(places) and math.dist(point, places[0].point_m) <= places[0].radius_m
        assert pending.now == (*others, *places[:1])
        assert pending.passed(np.array(point)) == over
        places = places[over:]
    assert pending.now == (*others, *places[:1])


@given(st.text(max_size=60))
def test_no_text_does_more_than_be_refused(text):
    try:
        costs = parse(text)
    except DfPolicyError:
        return
    assert parse(write(costs)) == costs
